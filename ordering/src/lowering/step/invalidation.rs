//! Steps that empty caches: the CPUs' TLBs, the devices' and the shadow page table.
//!
//! Invariant: who is told forgets the page at once, and (unless an option says otherwise) also what a walk in flight
//! has read. Nobody else forgets anything.

use steps::{CacheKind, Depth, Invalidation, Pages, Scope, Section};

use crate::language::span::Span;
use crate::language::syntax::{UserKind, Words};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::super::deed::Part;
use super::super::deed::Party;
use super::super::emitter::Emitter;
use super::super::hardware::Level;
use super::super::names::{PageId, TagId, UserId};
use super::super::options::Flush;
use super::super::program::{Goal, Way};
use super::super::state::{Key, NONE};
use super::super::tags::Case;
use super::At;

/// CPUs at most that a flush reaches one by one: it has a place in its program for each set of them.
const MOST_ONE_BY_ONE: usize = 8;

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
        let mut cases = self.forget_cases((&pages, levels), &users, tag, span)?;
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
                        answer.cases = self.forget_cases((&pages, levels), &[cpu], tag, at.span)?;
                    }
                }
                self.round(answers, &[Section::Interrupts], at);
            }
            Flush::Split if cpus.len() > 1 && !self.manner.indivisible => {
                self.one_by_one((&pages, levels), &cpus, tag, at)?;
            }
            Flush::Split | Flush::Whole | Flush::Ipi => {
                let cases = self.forget_cases((&pages, levels), &users, tag, at.span)?;
                let way = |(guard, updates)| at.way(guard, updates);
                self.step(cases.into_iter().map(way).collect(), at.line);
            }
        }
        Ok(())
    }

    /// One CPU a step, whichever comes first: a node for each set of those that are left.
    fn one_by_one(
        &mut self,
        emptied: (&[PageId], &[Level]),
        cpus: &[UserId],
        tag: Option<TagId>,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        if cpus.len() > MOST_ONE_BY_ONE {
            let message = format!("a flush that reaches one CPU a step reaches at most {MOST_ONE_BY_ONE}");
            return Err(Diagnostic::new(
                Code::TooManyCases,
                at.span,
                message,
                "use fewer CPUs, or `option flush = ipi`",
            ));
        }
        let all = (1 << cpus.len()) - 1;
        let labels: Vec<usize> = (0..=all).map(|_| self.out.builder.label()).collect();
        for left in (1..=all).rev() {
            self.out.builder.bind(labels[left]);
            let mut ways = Vec::new();
            for (index, cpu) in cpus.iter().enumerate().filter(|(index, _)| left >> index & 1 == 1) {
                let (rest, shown) =
                    (left & !(1 << index), format!("{}: {}", at.text, self.state.domains.users[cpu.0]));
                for (guard, updates) in self.forget_cases(emptied, &[*cpu], tag, at.span)? {
                    let way = Way::new(guard, updates, shown.as_str()).part(Part::Flush(*cpu));
                    let way = way.to(Goal::Label(labels[rest]));
                    ways.push(if rest == 0 { way.happening(at.happening()) } else { way });
                }
            }
            self.step(ways, at.line);
        }
        self.out.builder.bind(labels[0]);
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
