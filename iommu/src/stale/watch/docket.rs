//! Stale uses that were met and not judged yet, and those that were.
//!
//! A use between a change and the end of its invalidation is nobody's mistake: hardware may go on using what is cached
//! until then. So a case is opened when a use is met, dropped when every invalidation that its subject needs was
//! carried out and waited for, and judged when there is a [`Ground`] for it.
//!
//! Invariant: a case is judged once, dropped, or open; an invalidation counts for a case only if it came after the
//! subject was cached. What is kept is bounded, and what is too much is counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Add;
use std::time::Duration;

use crate::spec::descriptor::Descriptor;
use crate::stale::{Ground, Moment};

/// Open cases at most.
const MOST_OPEN: usize = 1 << 12;
/// Instead of an event: what was to be invalidated is gone already.
const EMPTIED: u64 = 0;
/// Judged cases that are remembered at most.
const MOST_CLOSED: usize = 1 << 16;

/// What was used.
pub(super) trait Subject {
    /// The invalidations that it takes to be rid of it.
    fn needs(&self) -> Vec<Descriptor>;

    /// Whether `invalidation`, which was carried out, is the one that is needed.
    fn is_served(&self, need: &Descriptor, invalidation: &Descriptor) -> bool;
}

/// Uses between a change and the end of its invalidation, as they were judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Changes whose first use was kept until it could be judged.
    pub kept: u64,
    /// Of these the ones whose invalidation was completed.
    pub dropped: u64,
    /// Uses that were too many to be kept, or whose invalidation software was waiting for when the guest ended.
    pub unjudged: u64,
    /// Of those that were kept the ones that wait to be judged.
    pub open: u64,
}

/// A use that waits to be judged, and those of the same change since.
#[derive(Debug)]
pub(super) struct Case<S> {
    pub(super) subject: S,
    needs: Vec<Need>,
    /// The first use.
    pub(super) used: Moment,
    pub(super) uses: u64,
    /// When software was seen to do something about it, or the first use.
    since: Duration,
    ground: Option<(Ground, u64)>,
}

/// A case with its key and the ground to judge it.
pub(super) type Judged<K, S> = (K, Case<S>, Ground);

/// An invalidation that is waited for.
#[derive(Debug)]
struct Need {
    invalidation: Descriptor,
    /// Event of its coming, or [`EMPTIED`]; none until then.
    came: Option<u64>,
}

/// What was told of a subject and a change.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The mistakes that were named.
    pub(super) mistakes: Vec<&'static str>,
    /// Invalidations before that event were looked at.
    pub(super) looked_until: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Docket<K, S> {
    open: HashMap<K, Case<S>>,
    closed: HashMap<K, Told>,
    counts: Tally,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            kept: self.kept + other.kept,
            dropped: self.dropped + other.dropped,
            unjudged: self.unjudged + other.unjudged,
            open: self.open + other.open,
        }
    }
}

impl<K, S> Default for Docket<K, S> {
    fn default() -> Self {
        Self { open: HashMap::new(), closed: HashMap::new(), counts: Tally::default() }
    }
}

impl<S: Subject> Case<S> {
    pub(super) fn new(subject: S, used: Moment) -> Self {
        let needs = subject.needs().into_iter().map(|invalidation| Need { invalidation, came: None });
        Self { needs: needs.collect(), subject, since: used.elapsed, used, uses: 1, ground: None }
    }

    /// An invalidation was carried out. If it was waited for, software is at it, and has time for the next.
    pub(super) fn hear(&mut self, invalidation: &Descriptor, at: Moment) {
        for need in &mut self.needs {
            if self.subject.is_served(&need.invalidation, invalidation) {
                if need.came.is_none() {
                    self.since = self.since.max(at.elapsed);
                }
                need.came = Some(at.event);
            }
        }
    }

    fn charged(&self) -> Option<Ground> {
        self.ground.map(|(ground, _)| ground)
    }

    /// Event from which on invalidations come too late; none if the case waited for them until now.
    pub(super) fn until(&self) -> u64 {
        self.ground.map_or(u64::MAX, |(_, event)| event)
    }

    /// Whether everything came or is `queued`, and a wait with it: then software has done its part.
    pub(super) fn is_under_way(&self, queued: &[Descriptor]) -> bool {
        let is_coming = |need: &Need| {
            let is_queued = |queued| self.subject.is_served(&need.invalidation, queued);
            need.came.is_some() || queued.iter().any(is_queued)
        };
        self.needs.iter().all(is_coming) && queued.iter().any(|queued| matches!(queued, Descriptor::Wait(_)))
    }

    /// Whether everything came, and was waited for at `last_wait`.
    pub(super) fn is_over(&self, last_wait: u64) -> bool {
        self.needs.iter().all(|need| need.came.is_some_and(|came| came == EMPTIED || came < last_wait))
    }
}

impl<K: Eq + Hash + Clone, S: Subject> Docket<K, S> {
    /// Subjects and changes that were met, judged or not.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.open.keys().chain(self.closed.keys())
    }

    /// What became of all that was met.
    pub(super) fn tally(&self) -> Tally {
        Tally { open: self.open.len() as u64, ..self.counts }
    }

    /// Whether nothing waits to be judged.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Counts a use for its case; false if there is none.
    pub(super) fn count_use(&mut self, key: &K) -> bool {
        let open = self.open.get_mut(key);
        let is_open = open.is_some();
        if let Some(case) = open {
            case.uses += 1;
        }
        is_open
    }

    /// What was told of it, if anything was.
    pub(super) fn told(&mut self, key: &K) -> Option<&mut Told> {
        self.closed.get_mut(key)
    }

    /// Keeps a case until it can be judged.
    pub(super) fn keep(&mut self, key: K, case: Case<S>) {
        if self.open.len() >= MOST_OPEN {
            self.counts.unjudged += 1;
            return;
        }
        self.counts.kept += 1;
        self.open.insert(key, case);
    }

    /// Of cases that were taken out, those that are to be reported. Those whose invalidation is under way stay open, and
    /// without a judgement if nothing comes any more.
    pub(super) fn excuse(
        &mut self,
        taken: Vec<Judged<K, S>>,
        queued: &[Descriptor],
        is_end: bool,
    ) -> Vec<Judged<K, S>> {
        let is_excused =
            |(_, case, ground): &Judged<K, S>| !ground.is_evidence() && case.is_under_way(queued);
        let (excused, guilty): (Vec<_>, Vec<_>) = taken.into_iter().partition(is_excused);
        if is_end {
            self.counts.unjudged += excused.len() as u64;
        } else {
            self.open.extend(excused.into_iter().map(|(key, case, _)| (key, case)));
        }
        guilty
    }

    /// An invalidation is carried out.
    pub(super) fn hear(&mut self, invalidation: &Descriptor, at: Moment) {
        self.open.values_mut().for_each(|case| case.hear(invalidation, at));
    }

    /// What `invalidation` is for was emptied and drained by something else, so that nobody has to wait for that.
    pub(super) fn empty(&mut self, invalidation: &Descriptor, last_wait: u64) {
        self.hear(invalidation, Moment { event: EMPTIED, elapsed: Duration::ZERO });
        self.complete(last_wait);
    }

    /// What was invalidated before `event` is complete.
    pub(super) fn complete(&mut self, event: u64) {
        let before = self.open.len();
        self.open.retain(|_, case| case.ground.is_some() || !case.is_over(event));
        self.counts.dropped += (before - self.open.len()) as u64;
    }

    /// Since `event` there is a ground to judge the cases that `concerns` names.
    pub(super) fn charge(&mut self, ground: Ground, event: u64, concerns: impl Fn(&K, &S) -> bool) {
        for (key, case) in &mut self.open {
            if case.ground.is_none() && concerns(key, &case.subject) {
                case.ground = Some((ground, event));
            }
        }
    }

    /// The cases that nothing is charged with yet.
    pub(super) fn open(&self) -> impl Iterator<Item = (&K, &S)> {
        let open = self.open.iter().filter(|(_, case)| case.ground.is_none());
        open.map(|(key, case)| (key, &case.subject))
    }

    /// Takes out the cases that are to be judged at `now`, oldest first.
    pub(super) fn due(&mut self, now: Duration, patience: Duration) -> Vec<Judged<K, S>> {
        let is_over = |case: &Case<S>| now.saturating_sub(case.since) >= patience;
        let ground = |case: &Case<S>| case.charged().or_else(|| is_over(case).then_some(Ground::TimeOver));
        self.take(ground)
    }

    /// Takes out all cases, oldest first: nothing comes any more.
    pub(super) fn rest(&mut self) -> Vec<Judged<K, S>> {
        self.take(|case| Some(case.charged().unwrap_or(Ground::TheEnd)))
    }

    fn take(&mut self, ground: impl Fn(&Case<S>) -> Option<Ground>) -> Vec<Judged<K, S>> {
        let due = self.open.iter().filter(|(_, case)| ground(case).is_some());
        let keys: Vec<K> = due.map(|(key, _)| key.clone()).collect();
        let taken = keys.into_iter().filter_map(|key| {
            let case = self.open.remove(&key)?;
            let ground = ground(&case)?;
            Some((key, case, ground))
        });
        let mut taken: Vec<_> = taken.collect();
        taken.sort_by_key(|(_, case, _)| case.used);
        taken
    }

    /// Whether a mistake was not told of it yet; from now on it was.
    pub(super) fn tell(&mut self, key: K, mistake: &'static str, looked_until: u64) -> bool {
        if self.closed.len() >= MOST_CLOSED {
            self.closed.clear();
        }
        let told = self.closed.entry(key).or_default();
        told.looked_until = looked_until;
        let is_new = !told.mistakes.contains(&mistake);
        if is_new {
            told.mistakes.push(mistake);
        }
        is_new
    }
}

#[cfg(test)]
mod tests;
