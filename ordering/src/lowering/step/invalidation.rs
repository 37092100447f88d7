//! Steps that empty caches: the CPUs' TLBs, the devices' and the shadow page table.
//!
//! Invariant: who is told forgets the page at once, and (unless an option says otherwise) also what a walk in flight
//! has read. Nobody else forgets anything.

use steps::{CacheKind, Depth, Invalidation, Pages, Scope, Section};

use crate::language::Diagnostic;
use crate::language::span::Span;
use crate::language::syntax::{UserKind, Words};
use crate::model::{Guard, Update, Var};

use super::super::deed::Part;
use super::super::deed::Party;
use super::super::emitter::Emitter;
use super::super::hardware::Level;
use super::super::names::{PageId, UserId};
use super::super::options::Flush;
use super::super::program::Way;
use super::super::state::{Key, NONE};
use super::super::tags::Case;
use super::At;

/// The levels of caches that an invalidation empties.
pub(in super::super) const fn levels(invalidation: &Invalidation<Words>) -> &'static [Level] {
    match (invalidation.caches(), invalidation.depth()) {
        (CacheKind::Cpus, Depth::All) => &[Level::Tlb, Level::CpuUpper],
        (CacheKind::Cpus, Depth::Leaf) => &[Level::Tlb],
        (CacheKind::Vcpus, Depth::All | Depth::Leaf) => &[Level::VcpuTlb, Level::VcpuUpper],
        (CacheKind::Devices, Depth::All) => &[Level::Iotlb, Level::DeviceTlb, Level::DeviceUpper],
        (CacheKind::Devices, Depth::Leaf) => &[Level::Iotlb, Level::DeviceTlb],
        (CacheKind::Iotlbs, Depth::All) => &[Level::Iotlb, Level::DeviceUpper],
        (CacheKind::Iotlbs, Depth::Leaf) => &[Level::Iotlb],
        (CacheKind::DeviceTlbs, Depth::All | Depth::Leaf) => &[Level::DeviceTlb],
        (CacheKind::PasidCaches, Depth::All | Depth::Leaf) => &[],
    }
}

impl Emitter<'_> {
    pub(super) fn invalidation(
        &mut self,
        invalidation: &Invalidation<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let cases = self.emptied(invalidation, at.span)?;
        self.step(cases.into_iter().map(|(guard, updates)| at.way(guard, updates)).collect(), at.line);
        Ok(())
    }

    pub(super) fn posted(
        &mut self,
        invalidation: &Invalidation<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        // What is posted and cannot be done is reported here, and not by the hardware that would do it.
        self.emptied(invalidation, at.span)?;
        self.post(invalidation, at);
        Ok(())
    }

    /// What an invalidation waits for, and what it changes when it is done, in each case.
    pub(in super::super) fn emptied(
        &mut self,
        invalidation: &Invalidation<Words>,
        span: Span,
    ) -> Result<Vec<Case>, Diagnostic> {
        let (pages, users) = self.reach(invalidation, span)?;
        if invalidation.caches() == CacheKind::PasidCaches {
            let forgotten = users.into_iter().flat_map(|user| self.forgets_pasid(user)).collect();
            return Ok(vec![(Vec::new(), forgotten)]);
        }
        let levels = levels(invalidation);
        let waits = [self.landed(&pages, levels, &users), self.present(levels, &users)].concat();
        let tag = self.named_tag(invalidation)?;
        let mut cases = self.forget_cases(&pages, levels, &users, tag);
        cases.iter_mut().for_each(|(guard, _)| drop(guard.splice(0..0, waits.iter().copied())));
        Ok(cases)
    }

    pub(super) fn flush(
        &mut self,
        invalidation: &Invalidation<Words>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let (pages, users) = self.reach(invalidation, at.span)?;
        let (levels, tag) = (levels(invalidation), self.named_tag(invalidation)?);
        let cpus: Vec<UserId> =
            self.scope.names.users_of(UserKind::Cpu).filter(|cpu| users.contains(cpu)).collect();
        match self.scope.options.flush {
            // A CPU needs no interrupt for its own TLB.
            Flush::Ipi if invalidation.scope != Scope::Own => {
                let mut answers = self.interrupted();
                answers.retain(|answer| match answer.party {
                    Party::Cpu(cpu) => cpus.contains(&cpu),
                    // CPUs without a name are nobody's to be named.
                    Party::CpuOf(_) | Party::Reader(_) => !matches!(invalidation.scope, Scope::On(_)),
                });
                for answer in &mut answers {
                    if let Party::Cpu(cpu) = answer.party {
                        answer.cases = self.forget_cases(&pages, levels, &[cpu], tag);
                    }
                }
                self.round(answers, &[Section::Interrupts], at);
            }
            Flush::Split if cpus.len() > 1 => {
                for (index, cpu) in cpus.iter().enumerate() {
                    let shown = format!("{}: {} of {}", at.text, index + 1, cpus.len());
                    let last = index + 1 == cpus.len();
                    let way = |(guard, updates)| {
                        let way = Way::new(guard, updates, shown.as_str()).part(Part::Flush(*cpu));
                        if last { way.happening(at.happening()) } else { way }
                    };
                    let cases = self.forget_cases(&pages, levels, &[*cpu], tag);
                    self.step(cases.into_iter().map(way).collect(), at.line);
                }
            }
            Flush::Split | Flush::Whole | Flush::Ipi => {
                let cases = self.forget_cases(&pages, levels, &users, tag);
                let way = |(guard, updates)| at.way(guard, updates);
                self.step(cases.into_iter().map(way).collect(), at.line);
            }
        }
        Ok(())
    }

    pub(super) fn notify_start(&mut self, pages: &Pages<Words>, at: &At<'_>) -> Result<(), Diagnostic> {
        let pages = self.pages(pages)?;
        let most = self.state.domains.most_ranges;
        let mut updates = self.retried(&pages);
        if !self.scope.hardware.explicit_shadow {
            let zapped = pages.iter().map(|page| Update::Set(self.state.var(&Key::Spte(*page)), NONE));
            updates.extend(zapped);
        }
        let counts = self.open_ranges(&pages);
        updates.extend(counts.iter().map(|count| Update::Increment(*count)));
        let room = counts.iter().map(|count| Guard::Below(*count, most)).collect();
        let full: Vec<Guard> = counts.iter().map(|count| Guard::Is(*count, most)).collect();
        self.step_in_range(at.way(room, updates), &full, at);
        Ok(())
    }

    pub(super) fn notify_end(&mut self, pages: &Pages<Words>, at: &At<'_>) -> Result<(), Diagnostic> {
        let pages = self.pages(pages)?;
        let mut updates = self.retried(&pages);
        let counts = self.open_ranges(&pages);
        updates.extend(counts.iter().map(|count| Update::Decrement(*count)));
        let open = counts.iter().map(|count| Guard::IsNot(*count, 0)).collect();
        let none: Vec<Guard> = counts.iter().map(|count| Guard::Is(*count, 0)).collect();
        self.step_in_range(at.way(open, updates), &none, at);
        Ok(())
    }

    /// The counts of the ranges that are open over each of `pages`.
    fn open_ranges(&mut self, pages: &[PageId]) -> Vec<Var> {
        pages.iter().map(|page| self.state.var(&Key::InProgress(*page))).collect()
    }

    /// Takes `way`, which is out of range where one of `outside` holds.
    fn step_in_range(&mut self, way: Way, outside: &[Guard], at: &At<'_>) {
        let outside: Vec<Way> =
            outside.iter().filter_map(|guard| self.out_of_range(at.way(vec![*guard], Vec::new()))).collect();
        self.step(std::iter::once(way).chain(outside).collect(), at.line);
    }

    /// A fault that began before the end is retried: its sequence number has changed.
    fn retried(&mut self, pages: &[PageId]) -> Vec<Update> {
        let users: Vec<UserId> = self.scope.names.users_of(UserKind::Vcpu).collect();
        self.forget(pages, &[Level::Shadow], &users)
    }
}
