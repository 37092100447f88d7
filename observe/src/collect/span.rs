//! Addresses, as intervals.
//!
//! Invariant: they are sorted, and none touches another; there are at most [`MOST`] of them.

/// An interval: its first address, and the one behind its last.
pub(super) type Interval = (u64, u64);

/// Intervals that are kept.
const MOST: usize = 32;

/// A set of addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Span(Vec<Interval>);

impl Span {
    /// These belong to it, too; whether there was room.
    pub(super) fn add(&mut self, (first, last): Interval) -> bool {
        let near = |known: &Interval| known.0 <= last && first <= known.1;
        let merged = self.0.iter().filter(|known| near(known));
        let whole = merged.fold((first, last), |whole, known| (whole.0.min(known.0), whole.1.max(known.1)));
        let mut kept: Vec<Interval> = self.0.iter().copied().filter(|known| !near(known)).collect();
        if kept.len() >= MOST {
            return false;
        }
        kept.push(whole);
        kept.sort_unstable();
        self.0 = kept;
        true
    }

    /// These do not belong to it any longer.
    pub(super) fn remove(&mut self, (first, last): Interval) {
        let parts = |known: &Interval| {
            let before = (known.0, known.1.min(first));
            let behind = (known.0.max(last), known.1);
            [before, behind].into_iter().filter(|(first, last)| first < last)
        };
        self.0 = self.0.iter().flat_map(parts).collect();
        self.0.dedup();
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn meets(&self, interval: Interval) -> bool {
        self.0.iter().any(|known| meet(*known, interval))
    }

    /// Whether all of it is in the interval.
    pub(super) fn is_within(&self, interval: Interval) -> bool {
        self.0.iter().all(|known| contains(interval, *known))
    }
}

/// Whether they have an address in common.
pub(super) fn meet(one: Interval, other: Interval) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// Whether one has all of the other.
pub(super) fn contains(one: Interval, other: Interval) -> bool {
    one.0 <= other.0 && other.1 <= one.1
}

#[cfg(test)]
mod tests {
    use super::Span;

    fn of(intervals: &[(u64, u64)]) -> Span {
        let mut span = Span::default();
        intervals.iter().for_each(|interval| assert!(span.add(*interval)));
        span
    }

    #[test]
    fn what_is_added_in_parts_and_taken_away_is_what_a_set_of_pages_has() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let (mut span, mut pages) = (Span::default(), std::collections::BTreeSet::new());
            for _ in 0..random.usize(0..12) {
                let first = random.u64(0..20);
                let last = first + random.u64(1..6);
                if random.bool() {
                    assert!(span.add((first, last)));
                    pages.extend(first..last);
                } else {
                    span.remove((first, last));
                    pages.retain(|page| !(first..last).contains(page));
                }
            }
            let told: std::collections::BTreeSet<u64> =
                span.0.iter().flat_map(|(first, last)| *first..*last).collect();
            assert_eq!(told, pages);
            assert!(span.0.windows(2).all(|two| two[0].1 <= two[1].0), "{span:?}");
            assert_eq!(span.meets((3, 5)), pages.contains(&3) || pages.contains(&4));
            assert_eq!(span.is_within((3, 15)), pages.iter().all(|page| (3..15).contains(page)));
        }
    }

    #[test]
    fn more_intervals_than_are_kept_are_refused_and_not_forgotten() {
        let apart: Vec<(u64, u64)> = (0..32).map(|page| (page * 2, page * 2 + 1)).collect();
        let mut span = of(&apart);
        assert!(!span.add((100, 101)));
        assert!(span.add((1, 2)), "what joins two needs no room");
    }
}
