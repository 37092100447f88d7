//! The program that all is about: a page is taken away from a frame, everybody is told, and the frame is released. One
//! or two steps of it may be missing, or stand in the wrong place.

use super::{Draw, Theme};
use crate::oracle::entry::{Bit, Entry, Target};
use crate::oracle::program::Statement;
use crate::oracle::step::{Count, Held, Invalidation, Lock, Page, Step};

impl Draw {
    pub(super) fn replacement(&mut self) -> Vec<Statement> {
        let page = Page(0);
        let old = match self.scenario.pages[0].map.as_ref().map(|entry| entry.target) {
            Some(Target::Frame(frame)) => frame,
            Some(_) | None => 0,
        };
        let new = (old + 1) % self.scenario.frames.len();
        let mut steps = vec![Step::Lock(Lock::Ptl(page), false)];
        if self.scenario.vcpus > 0 {
            steps.push(Step::NotifyStart(page));
        }
        steps.push(Step::PteClear(page));
        if self.has(Theme::Upper) && self.rng.bool() {
            steps.push(Step::PmdClear(0));
        }
        self.tell_everybody(page, &mut steps);
        if self.rng.bool() {
            let rw = self.rng.bool();
            let entry = self.with_bits(Entry::of(Target::Frame(new)).with(Bit::Rw, rw));
            steps.push(Step::SetPte(page, entry));
        }
        if self.scenario.vcpus > 0 {
            steps.push(Step::NotifyEnd(page));
        }
        steps.push(Step::Unlock(Lock::Ptl(page)));
        if self.has(Theme::Sections) && self.rng.bool() {
            steps.push(if self.rng.bool() { Step::IpiSync } else { Step::SynchronizeRcu });
        }
        if self.has(Theme::Requests) && self.rng.bool() {
            steps.push(Step::DrainRequests);
        }
        steps.push(Step::Count(Count::Put, Held::Frame(old)));
        if self.has(Theme::Upper) && self.rng.bool() {
            steps.push(Step::Count(Count::Put, Held::Table(0)));
        }
        if self.rng.bool() {
            let place = self.rng.usize(1..steps.len());
            let step = steps.remove(place);
            if self.rng.bool() {
                steps.insert(self.rng.usize(0..steps.len()), step);
            }
        }
        steps.into_iter().map(Statement::Step).collect()
    }

    fn tell_everybody(&mut self, page: Page, steps: &mut Vec<Step>) {
        let at_once = |what| Step::Invalidate { what, leaf: false, post: false };
        if self.has(Theme::Upper) {
            let leaf = self.once_in(3);
            steps.push(Step::Invalidate { what: Invalidation::FlushPmd(0), leaf, post: false });
        }
        steps.push(at_once(Invalidation::FlushTlb(page)));
        if !self.scenario.devices.is_empty() {
            let post = self.has(Theme::Posted) && self.rng.bool();
            let of_devices = match (self.has(Theme::Pasid), self.has(Theme::Apart)) {
                (true, _) => {
                    steps.push(Step::SetPasid(None));
                    vec![Invalidation::PasidInv, Invalidation::IotlbInvPasid, Invalidation::DevtlbInvPasid]
                }
                (false, true) => vec![Invalidation::IotlbInv(page), Invalidation::DevtlbInv(page)],
                (false, false) => vec![Invalidation::Notify(page)],
            };
            let told = of_devices.into_iter().map(|what| Step::Invalidate { what, leaf: false, post });
            steps.extend(told);
            if post {
                steps.push(Step::InvWait);
            }
        }
        if self.has(Theme::ExplicitVcpu) {
            steps.push(Step::ZapSpte(page));
            steps.push(at_once(Invalidation::FlushVcpus(page)));
        }
    }
}
