//! Walks: how an entry comes from memory into the cache that accesses use.
//!
//! Invariant: each hop is a step, and so is reading a PASID entry or an upper entry before; a split hop is two, and what
//! is in flight between them is what was read. Whoever has what he needs does not walk.

use steps::entry::Bit;

use crate::model::{Guard, Update, Var};

use super::deed::{self, Part};
use super::emitter::Emitter;
use super::entry::Need;
use super::hardware::Hop;
use super::names::PageId;
use super::program::{Goal, Way};
use super::spaces::{Halves, Pasid};
use super::state::NONE;
use super::upper::Case;

/// A way to bring an entry one hop nearer.
pub(super) struct Fill {
    pub(super) way: Way,
    /// Whether it then lies where accesses find it.
    pub(super) arrives: bool,
}

impl Hop {
    /// The part of a step that is this hop, which comes about in that way.
    fn part(&self, how: deed::Hop) -> Part {
        Part::Walk(self.user, self.page, self.into, how)
    }
}

impl Fill {
    /// On the way there.
    fn before(way: Way) -> Self {
        Self { way: way.to(Goal::Stay), arrives: false }
    }
}

impl Emitter<'_> {
    /// The ways to get an entry of `page` one hop further along `path`.
    pub(super) fn fills(&mut self, path: &[Hop], page: PageId, need: Need) -> Vec<Fill> {
        let mut ways = Vec::new();
        for (index, hop) in path.iter().enumerate() {
            let rest = &path[index..];
            // Whoever may walk reads the PASID's entry first, whatever he then finds.
            ways.extend(self.pasid_reads(hop, &self.lacking(rest, None, need)));
            for case in &hop.cases {
                let mut guard = case.guard.clone();
                guard.extend(hop.pasid.as_ref().map(|pasid| pasid.names_mm));
                guard.extend(hop.in_flight.map(|var| Guard::Is(var, NONE)));
                if case.reads_upper {
                    guard.extend(self.lacking(rest, None, need));
                    ways.push(self.upper_read(hop, case, guard, page));
                } else {
                    ways.extend(self.reads(hop, case, &guard, need, rest));
                }
            }
            ways.extend(self.of_upper_in_flight(hop, rest, need));
            ways.extend(self.install(hop, rest, need));
        }
        ways
    }

    /// The ways to read the entry, in `case`.
    fn reads(&mut self, hop: &Hop, case: &Case, guard: &[Guard], need: Need, rest: &[Hop]) -> Vec<Fill> {
        let walks = [guard, &self.lacking(rest, None, need)].concat();
        let how = if case.is_upper { deed::Hop::Huge } else { deed::Hop::Read };
        let part = hop.part(how);
        let freed = self.freed(case, &walks, &hop.text).map(|way| way.part(part));
        let mut ways: Vec<Fill> = freed.into_iter().map(Fill::before).collect();
        let lacks = self.lacking(rest, Some(case.from), need);
        let entries = &self.state.domains.entries;
        for (value, _) in entries.usable(need) {
            // What is walked comes first: a trace that cannot go on says what it waits for there.
            let mut guard = [guard, &[Guard::Is(case.from, value)], &lacks].concat();
            guard.extend(case.table.map(|refs| Guard::IsNot(refs, 0)));
            let (to, shown) = match hop.in_flight {
                Some(var) => (var, format!("{}: read", hop.text)),
                None => {
                    guard.extend(&hop.blocked);
                    (hop.to, hop.text.clone())
                }
            };
            // A walk marks what it reads as young; what a cache holds has been walked already.
            let read = entries.with(value, Bit::Young).unwrap_or(value);
            let marked = (read != value).then_some(Update::Set(case.from, read));
            // What is on its way replaces nothing yet.
            let others = hop.others.iter().filter(|_| hop.in_flight.is_none());
            let replaced = others.map(|other| Update::Set(*other, NONE));
            let updates = std::iter::once(Update::Set(to, read)).chain(marked).chain(case.caches);
            let updates = updates.chain(replaced).collect();
            let way = Way::new(guard, updates, shown).to(Goal::Stay).part(part);
            ways.push(Fill { way, arrives: rest.len() == 1 && hop.in_flight.is_none() });
        }
        if let Some((changed, forgotten)) = case.forgets {
            let faults = [self.state.domains.entries.lacks(case.from, need), changed];
            let mut guard = [guard, &lacks, &faults].concat();
            guard.extend(case.table.map(|refs| Guard::IsNot(refs, 0)));
            let way = Way::new(guard, vec![forgotten], format!("{}: fault", hop.text));
            ways.push(Fill::before(way.part(hop.part(deed::Hop::Fault))));
        }
        ways
    }

    /// The way to read the upper entry into the paging-structure cache.
    fn upper_read(&self, hop: &Hop, case: &Case, guard: Vec<Guard>, page: PageId) -> Fill {
        let kept = hop.in_flight.zip(hop.upper).map(|(var, upper)| Update::Set(var, upper.table));
        let updates = case.caches.into_iter().chain(kept).collect();
        let above = self.scope.hardware.uppers.above(page);
        let name = above.map_or("", |above| self.state.domains.pmds[above.0].as_str());
        let part = hop.part(deed::Hop::Upper);
        Fill::before(Way::new(guard, updates, format!("read {name}")).part(part))
    }

    /// The ways on of a walk that keeps the upper entry in flight.
    fn of_upper_in_flight(&mut self, hop: &Hop, rest: &[Hop], need: Need) -> Vec<Fill> {
        let (Some(var), Some(upper)) = (hop.in_flight, hop.upper) else { return Vec::new() };
        let Some(case) = hop.cases.iter().find(|case| case.reads_upper) else { return Vec::new() };
        let guard = [Guard::Is(var, upper.table)];
        let forgets = Some((Guard::IsNot(upper.pmd, upper.table), Update::Set(var, NONE)));
        let case = Case { caches: None, forgets, ..case.clone() };
        self.reads(hop, &case, &guard, need, rest)
    }

    /// The way of a split hop to put what is in flight into the cache.
    fn install(&self, hop: &Hop, rest: &[Hop], need: Need) -> Option<Fill> {
        let var = hop.in_flight?;
        let mut guard = self.lacking(rest, None, need);
        guard.push(Guard::IsNot(var, NONE));
        guard.extend(hop.upper.map(|upper| Guard::IsNot(var, upper.table)));
        guard.extend(&hop.blocked);
        let mut install = vec![Update::Copy { to: hop.to, from: var }, Update::Set(var, NONE)];
        install.extend(hop.others.iter().map(|other| Update::Set(*other, NONE)));
        let way = Way::new(guard, install, format!("{}: fill", hop.text)).to(Goal::Stay);
        let way = way.part(hop.part(deed::Hop::Fill));
        Some(Fill { way, arrives: rest.len() == 1 })
    }

    /// The step that comes to a page-table page that is free.
    pub(super) fn freed(&self, case: &Case, guard: &[Guard], text: &str) -> Option<Way> {
        let refs = case.table?;
        let guard = [guard, &[Guard::Is(refs, 0)]].concat();
        Some(self.in_freed(guard, case.page_table, text).to(Goal::Stay))
    }

    /// The ways to cache the PASID entry that the walk goes through.
    fn pasid_reads(&self, hop: &Hop, lacks: &[Guard]) -> Vec<Fill> {
        let Some(pasid) = &hop.pasid else { return Vec::new() };
        let evict = self.scope.options.evict;
        if let Some(halves) = pasid.halves {
            // Whoever loses what he has cached reads both halves again, though the first one is what it was.
            let unknown = (!evict).then_some(Guard::Is(pasid.cache, 0));
            return self.pasid_halves((hop, pasid, halves), unknown, lacks);
        }
        let unknown = if evict { Guard::Differ(pasid.cache, pasid.entry) } else { Guard::Is(pasid.cache, 0) };
        let read = |mm| {
            let guard = [lacks, &[unknown, Guard::Is(pasid.entry, mm)]].concat();
            let way = Way::new(guard, vec![Update::Set(pasid.cache, mm)], pasid.text.as_str());
            Fill::before(way.part(hop.part(deed::Hop::Pasid)))
        };
        (1..self.state.size(pasid.entry)).map(read).collect()
    }

    /// The ways to read the PASID entry half by half, whichever comes first.
    fn pasid_halves(
        &self,
        (hop, pasid, halves): (&Hop, &Pasid, Halves),
        unknown: Option<Guard>,
        lacks: &[Guard],
    ) -> Vec<Fill> {
        use deed::Hop::{PasidAbsent, PasidHigh, PasidLow, PasidRest, PasidTorn};
        let Halves { high, read, torn } = halves;
        let spaces = self.state.size(pasid.entry);
        let way = |guards: &[Guard], updates: Vec<Update>, (how, what): (deed::Hop, &str)| {
            let text = format!("{}{what}", pasid.text);
            Fill::before(Way::new([lacks, guards].concat(), updates, text).part(hop.part(how)))
        };
        let (seen_low, seen_high) = (|mm: u32| mm, |mm: u32| spaces + mm);
        // Both halves of one space, or of two: what the hardware then does is not said.
        let done = |low: u32, high: u32| match low == high {
            true => (vec![Update::Set(pasid.cache, low), Update::Set(read, 0)], (PasidRest, "")),
            false => (vec![Update::Set(torn, 1), Update::Set(read, 0)], (PasidTorn, ": torn")),
        };
        let begins: Vec<Guard> = [Guard::Is(read, 0)].into_iter().chain(unknown).collect();
        let mut ways = Vec::new();
        for mm in 0..spaces {
            // Who finds it absent at first reads nothing more.
            let present = [Guard::IsNot(pasid.entry, 0), Guard::Is(high, mm)];
            let from_high = [begins.as_slice(), &present].concat();
            ways.push(way(&from_high, vec![Update::Set(read, seen_high(mm))], (PasidHigh, ": high")));
            let absent = [Guard::Is(read, seen_high(mm)), Guard::Is(pasid.entry, 0)];
            ways.push(way(&absent, vec![Update::Set(read, 0)], (PasidAbsent, ": fault")));
            if mm == 0 {
                continue;
            }
            let from_low = [begins.as_slice(), &[Guard::Is(pasid.entry, mm)]].concat();
            ways.push(way(&from_low, vec![Update::Set(read, seen_low(mm))], (PasidLow, ": low")));
            for other in 0..spaces {
                let (updates, what) = done(mm, other);
                let low_first = [Guard::Is(read, seen_low(mm)), Guard::Is(high, other)];
                ways.push(way(&low_first, updates.clone(), what));
                let high_first = [Guard::Is(read, seen_high(other)), Guard::Is(pasid.entry, mm)];
                ways.push(way(&high_first, updates, what));
            }
        }
        ways
    }

    /// The guards under which no cache from the first hop of `path` to the front has an entry for the access. If caches
    /// lose entries, walking again shows only if what is walked, at `from`, says something else, or if the walk outlives
    /// what empties the cache.
    fn lacking(&self, path: &[Hop], from: Option<Var>, need: Need) -> Vec<Guard> {
        if self.scope.options.evict {
            let first = path.first().filter(|hop| !hop.outlives).zip(from);
            return first.map(|(hop, from)| Guard::Differ(hop.to, from)).into_iter().collect();
        }
        let places = path.iter().flat_map(|hop| std::iter::once(&hop.to).chain(&hop.others));
        places.map(|place| self.state.domains.entries.lacks(*place, need)).collect()
    }
}
