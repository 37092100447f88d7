//! Random programs and properties.
//!
//! Invariant: a statement stands on one line, so that each can be left out by itself.

use steps::table::{Actor, STEPS};

use super::draw::Draw;

/// Steps that come to something only together: what stands between the first and the rest is drawn, too.
const CHAINS: [&[&str]; 40] = [
    &["lock LOCK", "unlock LOCK"],
    &["lock LOCK shared", "set_pte PAGE -> ENTRY", "unlock LOCK"],
    &["trylock LOCK [shared] else LABEL", "unlock LOCK"],
    &["unlock LOCK", "lock LOCK"],
    &["irq_off", "irq_on"],
    &["rcu_read_lock", "rcu_read_unlock"],
    &["notify_start PAGE", "notify_end PAGE"],
    &["get FRAME", "put FRAME"],
    &["pin FRAME", "unpin FRAME"],
    &["map FRAME", "unmap FRAME"],
    &["put FRAME", "alloc FRAME", "put FRAME"],
    &["mark_stable FRAME", "free FRAME", "alloc FRAME"],
    &["free FRAME", "copy FRAME -> FRAME"],
    &["put FRAME", "copy FRAME -> FRAME"],
    &["gup_fast PAGE [write] [leaf] => HANDLE", "put HANDLE"],
    &["gup_fast PAGE pin => HANDLE", "unpin HANDLE"],
    &["pte_read PAGE", "try_get PAGE [write] [pin] => HANDLE"],
    &["pte_clear PAGE", "set_pte PAGE -> ENTRY"],
    &["pte_modify PAGE BITS", "flush_tlb PAGE"],
    &["pte_modify PAGE BITS", "change_pte PAGE"],
    &["pte_clear PAGE", "change_pte PAGE"],
    &["pmd_clear PMD", "flush_pmd PMD [leaf]", "set_pmd PMD -> ENTRY"],
    &["set_pte PAGE -> ENTRY", "pte_modify PAGE BITS"],
    &["zap_spmd PMD", "flush_vcpus PAGE", "set_spmd PMD -> ENTRY", "set_spte PAGE -> orig"],
    &["set_spmd PMD -> ENTRY", "set_spte PAGE -> ENTRY", "load PAGE"],
    &["iotlb_inv PAGE post", "devtlb_inv PAGE post", "inv_wait [OTHERWISE]"],
    &["notify PAGE post", "inv_wait all [OTHERWISE]"],
    &["devtlb_inv PAGE post", "unplug DEV", "inv_wait else out"],
    &["pte_clear PAGE", "iotlb_inv PAGE", "devtlb_inv PAGE"],
    &["set_pasid PASID -> MM", "pasid_inv PASID", "iotlb_inv_pasid PASID"],
    &[
        "set_pasid_low PASID -> none",
        "pasid_inv PASID",
        "set_pasid_high PASID -> MM",
        "set_pasid_low PASID -> MM",
    ],
    &["set_pasid_high PASID -> MM", "set_pasid_low PASID -> MM"],
    &["set_context CONTEXT -> MM", "context_inv CONTEXT", "iotlb_inv PAGE"],
    &[
        "set_context_low CONTEXT -> none",
        "context_inv CONTEXT",
        "set_context_high CONTEXT -> MM",
        "set_context_low CONTEXT -> MM",
    ],
    &["set_context_high CONTEXT -> MM", "set_context_low CONTEXT -> MM"],
    &["page_response PAGE", "drain_requests"],
    &["peek PAGE [write] => HANDLE", "forget HANDLE"],
    &["load PAGE", "switch MM tag TAG [flush]", "load PAGE"],
    &["switch MM tag TAG", "flush_tag TAG [CPUS]", "switch MM tag TAG"],
    &["pte_clear PAGE", "flush_tlb PAGE [UNDER] [CPUS]"],
];

impl Draw {
    pub(super) fn agents(&mut self) {
        let mut places: Vec<&'static str> = self.things.cpus.clone();
        places.extend(&self.things.vcpus);
        places.extend(&self.things.devices);
        self.rng.shuffle(&mut places);
        let agents = self.rng.usize(2..5);
        for number in 0..agents {
            let place = match number {
                0 if self.once_in(3) => None,
                _ => self.rng.choice(&places).copied(),
            };
            let spontaneous = if self.once_in(4) { " spontaneous" } else { "" };
            let on = place.map_or_else(String::new, |place| format!(" on {place}"));
            self.lines.push(format!("agent a{number}{on}{spontaneous}"));
            for _ in 0..self.rng.usize(2..7) {
                let statement = self.statement(place);
                self.lines.push(format!("  {statement}"));
            }
            self.lines.push("out:".to_owned());
        }
    }

    /// A step that this agent may take, for most of them.
    fn own_step(&mut self, place: Option<&'static str>) -> String {
        let is_device = place.is_some_and(|place| self.things.devices.contains(&place));
        let uses: Vec<_> = STEPS
            .iter()
            .filter(|row| match row.actor {
                Actor::Device => is_device,
                Actor::Cpu => place.is_some() && !is_device,
                Actor::Translating => place.is_some(),
                Actor::Anybody | Actor::Kernel => false,
            })
            .map(|row| row.form)
            .collect();
        match self.rng.choice(&uses) {
            Some(form) if is_device || self.once_in(3) => {
                let text = self.written(form);
                if self.once_in(10) { text.replacen(" A", " any", 1) } else { text }
            }
            Some(_) | None => self.step(),
        }
    }

    fn statement(&mut self, place: Option<&'static str>) -> String {
        let step = self.own_step(place);
        let vars = self.things.vars.clone();
        match self.rng.u32(0..30) {
            0 => format!("repeat {}..2: {step}", self.rng.u32(0..3)),
            1 => format!("if {}: {step}", self.condition()),
            2 => format!("when {}", self.condition()),
            3 => format!("when {}: {step}", self.condition()),
            4 => format!("check {} else out", self.condition()),
            5 => format!("{step} | {}", self.own_step(place)),
            6 => format!("atomic {{ {step}; {} }}", self.own_step(place)),
            7 => format!("if {}: goto out", self.condition()),
            9 if self.once_in(2) => self.operation(),
            10..12 | 21 if !vars.is_empty() => self.assignment(),
            12 => format!("{{ {step}; {} }} | end", self.own_step(place)),
            13 => format!("if {}: end", self.condition()),
            14..20 => self.chain(&step),
            20 => format!("atomic {{ {}; {step} }}", self.step()),
            _ => step,
        }
    }

    /// Steps that belong together, of the same things for the most part, with `between` behind the first.
    fn chain(&mut self, between: &str) -> String {
        let chain = *self.rng.choice(&CHAINS).expect("there are chains");
        let start = self.rng.clone();
        let mut written = Vec::new();
        for form in chain {
            // The same draws name the same things.
            self.rng = start.clone();
            written.push(self.written(form));
        }
        written.insert(1, between.to_owned());
        written.join("; ")
    }

    fn assignment(&mut self) -> String {
        let vars = self.things.vars.clone();
        let (to, from) = (self.one(&vars), self.one(&vars));
        match self.rng.u32(0..5) {
            0 => format!("{to} += {}", self.rng.u32(1..3)),
            1 => format!("{to} -= 1"),
            2 => format!("{to} = {from}"),
            3 => format!("{to} = {from} - 1"),
            _ => format!("{to} = {}", self.rng.u32(0..4)),
        }
    }

    fn event(&mut self) -> String {
        let page = self.one(&self.things.pages.clone());
        match self.rng.u32(0..4) {
            0 => format!("reads {page} == {}", self.rng.u32(0..3)),
            1 => format!("writes {page}"),
            _ => self.step(),
        }
    }

    pub(super) fn properties(&mut self) {
        for _ in 0..self.rng.usize(0..3) {
            let property = match self.rng.u32(0..4) {
                0 => format!("always {}", self.condition()),
                1 => format!("finally {}", self.condition()),
                2 => format!("never {}", self.event()),
                _ => format!("never {} after {}", self.event(), self.event()),
            };
            self.lines.push(property);
        }
    }
}
