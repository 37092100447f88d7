//! What there is in a random scenario.

use steps::entry::Bit;

use super::draw::Draw;

impl Draw {
    pub(super) fn things(&mut self) {
        let bits: Vec<_> = Bit::ALL.iter().map(|bit| bit.name()).filter(|bit| *bit != "huge").collect();
        for bit in bits {
            if self.once_in(5) {
                self.things.bits.push(bit);
            }
        }
        let apart = self.needs("MM")
            || self.needs("PASID")
            || self.needs("CONTEXT")
            || self.needs("TAG")
            || self.once_in(3);
        self.things.mms = self.some(&["P", "Q"], usize::from(apart), if apart { 2 } else { 0 });
        let tagged = !self.needs("PMD") && (self.needs("TAG") || (apart && self.once_in(3)));
        let tags = usize::from(tagged && !self.things.mms.is_empty());
        self.things.tags = self.some(&["K", "L"], tags, 2 * tags);
        self.things.frames = self.some(&["old", "new", "other"], 1, 3);
        let swaps = usize::from(self.once_in(3));
        self.things.slots = self.some(&["s0", "s1"], swaps, swaps);
        let upper = self.needs("PMD") || self.once_in(2);
        self.things.tables = self.some(&["T", "U"], usize::from(upper), if upper { 2 } else { 0 });
        self.things.pmds = self.some(&["M", "N"], usize::from(upper), if upper { 2 } else { 0 });
        self.things.pages = self.some(&["A", "B", "C"], 1, 3);
        self.things.cpus = self.some(&["C0", "C1"], 1, 2);
        let shadow =
            ["VCPU", "spte", "spmd", "change_pte", "notify_start"].iter().any(|place| self.needs(place));
        self.things.vcpus = self.some(&["V0", "V1"], usize::from(shadow), 2);
        let devices = self.needs("DEV")
            || self.needs("PASID")
            || self.needs("CONTEXT")
            || self.needs("page_re")
            || self.needs("drain_re");
        self.things.devices = self.some(&["D0", "D1"], usize::from(devices), 2);
        let pasids = usize::from(self.needs("PASID"));
        self.things.pasids = self.some(&["X", "Y"], pasids, self.things.mms.len());
        let contexts = usize::from(self.needs("CONTEXT"));
        self.things.contexts = self.some(&["E", "F"], contexts, self.things.mms.len());
        self.things.vars = self.some(&["x", "y"], 0, 2);
        self.address_spaces();
        self.memory();
        self.machine();
    }

    /// Whether the step that the seed names has such a place.
    fn needs(&self, place: &str) -> bool {
        self.steps[0].form.contains(place)
    }

    fn address_spaces(&mut self) {
        let mms = self.things.mms.clone();
        self.lines.extend(mms.iter().map(|mm| format!("mm {mm}")));
        self.lines.extend(self.things.tags.clone().iter().map(|tag| format!("tag {tag}")));
        for page in self.things.pages.clone() {
            let mut line = format!("page {page}");
            match self.at(page) {
                Some(at) => line += at,
                None if !mms.is_empty() => line += &format!(" in {}", self.one(&mms)),
                None => {}
            }
            let tagged = !self.things.tags.is_empty();
            if !self.things.pmds.is_empty() && !tagged && !self.once_in(4) {
                line += &format!(" under {}", self.one(&self.things.pmds.clone()));
            }
            self.lines.push(line);
        }
    }

    /// Another page at the address of the first one, now and then, where only CPUs with tags may go there.
    fn at(&mut self, page: &str) -> Option<&'static str> {
        let others = !self.things.vcpus.is_empty() || !self.things.devices.is_empty();
        let first = self.lines.iter().any(|line| line == "page A in P");
        let may = first && !others && !self.things.tags.is_empty() && self.things.mms.len() == 2;
        (page == "B" && may && !self.once_in(3)).then_some(" in Q at A")
    }

    fn free(&mut self) -> &'static str {
        if self.once_in(3) { " free" } else { "" }
    }

    fn memory(&mut self) {
        for (number, frame) in self.things.frames.clone().into_iter().enumerate() {
            let free = self.free();
            self.lines.push(format!("frame {frame} = {number}{free}"));
        }
        for slot in self.things.slots.clone() {
            let free = self.free();
            self.lines.push(format!("swap {slot} = 0{free}"));
        }
        for (number, table) in self.things.tables.clone().into_iter().enumerate() {
            let free = if number == 0 { "" } else { self.free() };
            self.lines.push(format!("table {table}{free}"));
        }
        let shadows = self.needs("spmd") || !self.things.vcpus.is_empty() && self.once_in(4);
        for (number, pmd) in self.things.pmds.clone().into_iter().enumerate() {
            let entry = match self.rng.u32(0..4) {
                0 => self.huge(),
                _ if number == 0 || self.once_in(2) => "T".to_owned(),
                _ => self.one(&["T", "U", "none"]).to_owned(),
            };
            self.lines.push(format!("pmd {pmd} -> {entry}"));
            if shadows {
                let entry = self.one(&["T", "U", "U", "none", "old rw huge"]).to_owned();
                self.lines.push(format!("shadow {pmd} -> {entry}"));
            }
        }
        for page in self.things.pages.clone() {
            let entry = self.start_entry();
            self.lines.push(format!("map {page} -> {entry}"));
        }
        for frame in self.things.frames.clone() {
            if self.once_in(3) {
                let refs = self.rng.u32(1..4);
                self.lines.push(format!("refs {frame} = {refs}"));
            }
        }
    }

    fn machine(&mut self) {
        for pasid in self.things.pasids.clone() {
            let mm = if self.once_in(4) { "none" } else { self.one(&self.things.mms.clone()) };
            self.lines.push(format!("pasid {pasid} -> {mm}"));
        }
        for context in self.things.contexts.clone() {
            let mm = if self.once_in(4) { "none" } else { self.one(&self.things.mms.clone()) };
            self.lines.push(format!("context {context} -> {mm}"));
        }
        for cpu in self.things.cpus.clone() {
            let (mms, tags) = (self.things.mms.clone(), self.things.tags.clone());
            let context = match tags.is_empty() {
                true => String::new(),
                false => format!(" in {} tag {}", self.one(&mms), self.one(&tags)),
            };
            self.lines.push(format!("cpu {cpu}{context}"));
        }
        self.lines.extend(self.things.vcpus.clone().iter().map(|vcpu| format!("vcpu {vcpu}")));
        for device in self.things.devices.clone() {
            let ats = if self.rng.bool() { " ats" } else { "" };
            let entry = self.entry_in_front();
            self.lines.push(format!("device {device}{ats}{entry}"));
        }
        for var in self.things.vars.clone() {
            let (least, more) = (self.rng.u32(0..2), self.rng.u32(1..3));
            self.lines.push(format!("var {var} = {least}..{} from {least}", least + more));
        }
    }

    /// What a device goes by.
    fn entry_in_front(&mut self) -> String {
        let (pasids, contexts) = (self.things.pasids.clone(), self.things.contexts.clone());
        match (pasids.is_empty(), contexts.is_empty()) {
            (true, true) => String::new(),
            (_, _) if self.once_in(5) => String::new(),
            (true, false) => format!(" context {}", self.one(&contexts)),
            (false, false) if self.rng.bool() => format!(" context {}", self.one(&contexts)),
            (false, true | false) => format!(" pasid {}", self.one(&pasids)),
        }
    }
}
