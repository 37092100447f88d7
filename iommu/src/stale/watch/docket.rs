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
/// Cases that are judged at once at most, while nothing has ended: the others come next.
const MOST_AT_ONCE: usize = 1 << 8;
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
    came: Came,
}

/// What became of an invalidation that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Came {
    /// It did not come.
    NotYet,
    /// It was carried out first at that event, and is complete with the next wait.
    At(u64),
    /// Nobody has to wait for it: what it is for was emptied and drained by something else.
    Needless,
}

/// What was told of a subject and a change.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The mistakes that were named.
    pub(super) mistakes: Vec<&'static str>,
    /// Invalidations before that event were looked at.
    pub(super) looked_until: u64,
}

/// Stale uses `S` by what was stale, and how far each was judged.
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
        let needs = subject.needs().into_iter().map(|invalidation| Need { invalidation, came: Came::NotYet });
        Self { needs: needs.collect(), subject, since: used.elapsed, used, uses: 1, ground: None }
    }

    /// An invalidation was carried out. If it was waited for, software is at it, and has time for the next.
    pub(super) fn hear(&mut self, invalidation: &Descriptor, at: Moment) {
        for need in &mut self.needs {
            if need.came == Came::NotYet && self.subject.is_served(&need.invalidation, invalidation) {
                self.since = self.since.max(at.elapsed);
                need.came = Came::At(at.event);
            }
        }
    }

    /// What `invalidation` is for was emptied.
    fn empty(&mut self, invalidation: &Descriptor) {
        for need in &mut self.needs {
            if self.subject.is_served(&need.invalidation, invalidation) {
                need.came = Came::Needless;
            }
        }
    }

    /// Whether `invalidation` is one that it needs.
    fn needs(&self, invalidation: &Descriptor) -> bool {
        self.needs.iter().any(|need| self.subject.is_served(&need.invalidation, invalidation))
    }

    fn charged(&self) -> Option<Ground> {
        self.ground.map(|(ground, _)| ground)
    }

    /// Why it is to be judged at `now`, if it is.
    fn due(&self, now: Duration, patience: Duration) -> Option<Ground> {
        let is_over = now.saturating_sub(self.since) >= patience;
        self.charged().or(is_over.then_some(Ground::TimeOver))
    }

    /// Event from which on invalidations come too late; none if the case waited for them until now.
    pub(super) fn until(&self) -> u64 {
        self.ground.map_or(u64::MAX, |(_, event)| event)
    }

    /// Whether everything came or is `queued`, and a wait behind it: then software has done its part.
    pub(super) fn is_under_way(&self, queued: &[Descriptor]) -> bool {
        // How many descriptors of the queue have to be carried out for it.
        let carried_out = |need: &Need| match need.came {
            Came::At(_) | Came::Needless => Some(0),
            Came::NotYet => {
                let is_it = |queued: &Descriptor| self.subject.is_served(&need.invalidation, queued);
                queued.iter().position(is_it).map(|place| place + 1)
            }
        };
        let last = self.needs.iter().try_fold(0, |last, need| Some(carried_out(need)?.max(last)));
        let is_wait = |queued: &Descriptor| matches!(queued, Descriptor::Wait(_));
        last.is_some_and(|last| queued[last..].iter().any(is_wait))
    }

    /// Whether everything came, and was waited for at `last_wait`.
    pub(super) fn is_over(&self, last_wait: u64) -> bool {
        self.needs.iter().all(|need| match need.came {
            Came::NotYet => false,
            Came::At(event) => event < last_wait,
            Came::Needless => true,
        })
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
        self.open.values_mut().for_each(|case| case.empty(invalidation));
        self.complete(last_wait);
    }

    /// What came at these events was not carried out.
    pub(super) fn take_back(&mut self, events: &[u64]) {
        for need in self.open.values_mut().flat_map(|case| &mut case.needs) {
            if matches!(need.came, Came::At(event) if events.contains(&event)) {
                need.came = Came::NotYet;
            }
        }
    }

    /// What was invalidated before `event` is complete.
    pub(super) fn complete(&mut self, event: u64) {
        let before = self.open.len();
        self.open.retain(|_, case| case.ground.is_some() || !case.is_over(event));
        self.counts.dropped += (before - self.open.len()) as u64;
    }

    /// Since `event` there may be a `ground` to judge cases; the first one counts.
    pub(super) fn charge(&mut self, event: u64, ground: impl Fn(&K, &S) -> Option<Ground>) {
        for (key, case) in self.open.iter_mut().filter(|(_, case)| case.ground.is_none()) {
            case.ground = ground(key, &case.subject).map(|ground| (ground, event));
        }
    }

    /// The cases that an invalidation is for and that nothing is charged with yet.
    pub(super) fn concerned(&self, invalidation: &Descriptor) -> impl Iterator<Item = (&K, &S)> {
        let open = self.open.iter().filter(|(_, case)| case.ground.is_none() && case.needs(invalidation));
        open.map(|(key, case)| (key, &case.subject))
    }

    /// Nobody looked between `looked` and `now`: no more of it counts than `most`.
    pub(super) fn postpone(&mut self, looked: Duration, now: Duration, most: Duration) {
        for case in self.open.values_mut() {
            let unseen = now.saturating_sub(case.since.max(looked));
            case.since += unseen.saturating_sub(most);
        }
    }

    /// Whether a case is to be judged at `now`.
    pub(super) fn is_due(&self, now: Duration, patience: Duration) -> bool {
        self.open.values().any(|case| case.due(now, patience).is_some())
    }

    /// Takes out cases that are to be judged at `now`, oldest first; not too many, because each costs a report.
    pub(super) fn due(&mut self, now: Duration, patience: Duration) -> Vec<Judged<K, S>> {
        self.take(MOST_AT_ONCE, |case| case.due(now, patience))
    }

    /// Takes out all cases, oldest first: nothing comes any more.
    pub(super) fn rest(&mut self) -> Vec<Judged<K, S>> {
        self.take(usize::MAX, |case| case.charged().or(Some(Ground::TheEnd)))
    }

    fn take(&mut self, most: usize, ground: impl Fn(&Case<S>) -> Option<Ground>) -> Vec<Judged<K, S>> {
        let due = self.open.iter().filter_map(|(key, case)| Some((case.used, ground(case)?, key.clone())));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(used, ..)| *used);
        due.truncate(most);
        let taken = due.into_iter().filter_map(|(_, ground, key)| {
            let case = self.open.remove(&key)?;
            Some((key, case, ground))
        });
        taken.collect()
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
