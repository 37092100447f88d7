//! What there is in a random scenario, and what it assumes.

use super::{Draw, Theme};
use crate::oracle::entry::{Bit, Entry, Target};
use crate::oracle::setting::{DeviceOf, FrameOf, PageOf, Scenario, VarOf};
use crate::oracle::step::{Mm, Page, Tag};

pub(super) const fn nothing() -> Scenario {
    Scenario {
        mms: 0,
        tags: 0,
        pages: Vec::new(),
        frames: Vec::new(),
        slots: Vec::new(),
        tables: Vec::new(),
        pmds: Vec::new(),
        cpus: 1,
        contexts: Vec::new(),
        vcpus: 0,
        devices: Vec::new(),
        pasid: None,
        vars: Vec::new(),
        options: Vec::new(),
        agents: Vec::new(),
        properties: Vec::new(),
    }
}

impl Draw {
    pub(super) fn things(&mut self) {
        let pasid = self.has(Theme::Pasid);
        if pasid || self.once_in(6) {
            self.scenario.mms = self.rng.usize(1..3);
        }
        if self.has(Theme::Tags) {
            self.scenario.mms = 2;
        }
        self.frames();
        self.upper();
        self.pages();
        self.scenario.cpus = self.rng.usize(1..3);
        if self.has(Theme::Vcpu) || self.has(Theme::ExplicitVcpu) {
            self.scenario.vcpus = self.rng.usize(1..3);
        }
        self.devices();
        if self.has(Theme::Tags) {
            self.contexts();
        }
        if pasid {
            let mm = Mm(self.rng.usize(0..self.scenario.mms));
            self.scenario.pasid = Some(if self.once_in(5) { None } else { Some(mm) });
        }
        for _ in 0..self.rng.usize(0..3) {
            let greatest = self.rng.u8(1..3);
            self.scenario.vars.push(VarOf { least: 0, greatest, start: self.rng.u8(0..=greatest) });
        }
    }

    fn frames(&mut self) {
        let count = self.rng.usize(2..4);
        for number in 0..count {
            let free = number > 0 && self.once_in(3);
            let content = u8::try_from(number).expect("few frames");
            let refs = (!free && self.once_in(5)).then_some(2);
            self.scenario.frames.push(FrameOf { content, free, refs });
        }
        if self.has(Theme::Swap) {
            self.scenario.slots.push(self.rng.bool());
        }
    }

    fn upper(&mut self) {
        if self.has(Theme::Upper) {
            self.scenario.tables.push(false);
            let count = if self.once_in(3) { 2 } else { 1 };
            self.scenario.pmds.extend(vec![Entry::of(Target::Table(0)); count]);
        }
    }

    fn pages(&mut self) {
        let shared = self.scenario.pmds.len() > 1;
        let count = if shared { 2 } else { self.rng.usize(1..3) };
        for _ in 0..count {
            let mm = (self.scenario.mms > 0).then(|| Mm(self.rng.usize(0..self.scenario.mms)));
            let pmd = (self.has(Theme::Upper) && self.rng.u32(0..4) > 0).then_some(0);
            let map = if self.once_in(5) { None } else { Some(self.mapping()) };
            self.scenario.pages.push(PageOf { mm, pmd, at: None, map });
        }
        if self.has(Theme::Upper) {
            self.scenario.pages[0].pmd = Some(0);
        }
        if shared {
            // Its entry is the one of the first page, and is said once.
            self.scenario.pages[1] = PageOf { pmd: Some(1), map: None, ..self.scenario.pages[1].clone() };
        }
        // What is mapped is held; whoever has `refs` has at least as many as there are mappings.
        let mapped: Vec<_> = self.scenario.pages.iter().filter_map(|page| page.map.as_ref()).collect();
        let targets: Vec<_> = mapped.iter().map(|entry| entry.target).collect();
        for target in targets {
            match target {
                Target::Frame(frame) => self.scenario.frames[frame].free = false,
                Target::Slot(slot) => self.scenario.slots[slot] = false,
                Target::Nothing | Target::Marker | Target::Table(_) | Target::Handle(_) | Target::Orig => {}
            }
        }
    }

    /// What CPUs run in, and perhaps two pages at one address: only CPUs with tags go there.
    fn contexts(&mut self) {
        self.scenario.tags = 2;
        for _ in 0..self.scenario.cpus {
            self.scenario.contexts.push(Some((Mm(self.rng.usize(0..2)), Tag(self.rng.usize(0..2)))));
        }
        let users = self.scenario.devices.len() + self.scenario.vcpus;
        if self.scenario.pages.len() > 1 && users == 0 && self.rng.u32(0..3) > 0 {
            self.scenario.pages[0].mm = Some(Mm(0));
            let other = &mut self.scenario.pages[1];
            (other.mm, other.at) = (Some(Mm(1)), Some(Page(0)));
        } else if self.scenario.cpus > 1 && self.once_in(4) {
            self.scenario.contexts[1] = None;
        }
    }

    fn mapping(&mut self) -> Entry {
        if self.has(Theme::Swap) && self.once_in(3) {
            return self.entry_without_orig();
        }
        let frame = self.rng.usize(0..self.scenario.frames.len());
        let rw = self.rng.bool();
        self.with_bits(Entry::of(Target::Frame(frame)).with(Bit::Rw, rw))
    }

    fn devices(&mut self) {
        let pasid = self.has(Theme::Pasid);
        let any = [Theme::Device, Theme::Apart, Theme::Pasid, Theme::Requests, Theme::Posted];
        if any.into_iter().any(|theme| self.has(theme)) {
            let ats = self.has(Theme::Apart) || self.rng.bool();
            self.scenario.devices.push(DeviceOf { ats, pasid });
            if self.once_in(3) {
                let other = DeviceOf { ats: self.rng.bool(), pasid: pasid && self.rng.bool() };
                self.scenario.devices.push(other);
            }
        }
    }

    fn set(&mut self, of: u32, name: &'static str, value: &'static str) {
        if self.once_in(of) {
            self.scenario.options.push((name, value));
        }
    }

    pub(super) fn options(&mut self) {
        // A state alone does not say whether steps go on for ever: this is not compared.
        self.set(1, "livelock", "off");
        self.set(2, "evict", "off");
        self.set(3, "walk", "split");
        let flush = self.one(&["whole", "whole", "split", "ipi"]);
        if flush != "whole" {
            self.scenario.options.push(("flush", flush));
        }
        if self.scenario.option("walk", "split") && !self.scenario.devices.is_empty() {
            self.set(2, "inv_drains", "off");
            self.set(2, "ats_drains", "off");
        }
        if self.has(Theme::Tso) {
            self.scenario.options.push(("memory", "tso"));
        }
        self.set(6, "speculation", "on");
        // A CPU that runs elsewhere waits.
        if !self.once_in(if self.has(Theme::Tags) { 12 } else { 3 }) {
            self.set(1, "deadlock", "off");
        }
        self.set(6, "use_after_free", "off");
        self.set(6, "unlock", "off");
        self.set(10, "range", "off");
    }

    /// The options of what the programs turn out to do.
    pub(super) fn options_of_steps(&mut self) {
        if self.has(Theme::Posted) {
            self.set(2, "queue", "ordered");
        }
        if self.has(Theme::Upper) {
            self.set(6, "walk_after_free", "off");
            self.set(3, "walk_unlinked", "off");
        }
    }
}
