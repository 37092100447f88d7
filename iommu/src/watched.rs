//! A unit with its watch: how the two are put together, and what is asked of them.
//!
//! Invariant: the only place that knows both. The unit knows a [`Witness`], the watch is one; whoever drives a unit, or
//! uses its ports, asks the unit alone.
//!
//! [`Witness`]: crate::vtd::witness::Witness

use std::any::Any;
use std::sync::Arc;

use mmu::cache::CacheError;
use mmu::memory::PhysicalMemory;
use pcie::MsiSink;

use crate::stale::StaleUse;
use crate::stale::in_place::ChangedInPlace;
use crate::stale::interrupt::StaleInterrupt;
use crate::stale::told::Listener;
use crate::stale::unused::Unused;
use crate::stale::watch::{Passage, Tally, Watch};
use crate::vtd::options::VtdOptions;
use crate::vtd::witness::Witness;
use crate::vtd::{Moment, Vtd};

impl Vtd {
    /// A unit after reset, in front of `memory`. Its interrupts, and those that it remaps, go to `sink`.
    ///
    /// # Panics
    /// If the host has no room for its IOTLB. [`try_new`](Self::try_new) says so.
    #[must_use]
    pub fn new(memory: Arc<PhysicalMemory>, options: VtdOptions, sink: Arc<dyn MsiSink>) -> Arc<Self> {
        match Self::try_new(memory, options, sink) {
            Ok(unit) => unit,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room for its IOTLB.
    pub fn try_new(
        memory: Arc<PhysicalMemory>,
        options: VtdOptions,
        sink: Arc<dyn MsiSink>,
    ) -> Result<Arc<Self>, CacheError> {
        Self::try_told(memory, options, sink, None)
    }

    /// The same; if the unit is watched, `listener` is told what happens in it.
    ///
    /// # Errors
    /// The same.
    pub fn try_told(
        memory: Arc<PhysicalMemory>,
        options: VtdOptions,
        sink: Arc<dyn MsiSink>,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<Arc<Self>, CacheError> {
        let watch = Watch::new(options.stale, &memory).map(|watch| watch.with_listener(listener));
        let witness = watch.map(|watch| Arc::new(watch) as Arc<dyn Witness>);
        Self::witnessed(memory, options, sink, witness)
    }

    /// The stale uses that were noticed since this was asked last, oldest first.
    #[must_use]
    pub fn take_stale_uses(&self) -> Vec<StaleUse> {
        self.judge();
        self.watch().map(Watch::take).unwrap_or_default()
    }

    /// The uses of stale interrupt entries that were noticed since this was asked last, oldest first.
    #[must_use]
    pub fn take_stale_interrupts(&self) -> Vec<StaleInterrupt> {
        self.judge();
        self.watch().map(Watch::take_interrupts).unwrap_or_default()
    }

    /// Stale uses that were noticed so far, of translations and of interrupt entries, also those that nobody took in time.
    #[must_use]
    pub fn stale_use_count(&self) -> u64 {
        self.judge();
        self.watch().map_or(0, Watch::count)
    }

    /// The entries that software was seen to change while they were present, since this was asked last, oldest first.
    #[must_use]
    pub fn take_changes_in_place(&self) -> Vec<ChangedInPlace> {
        self.watch().map(Watch::take_changed).unwrap_or_default()
    }

    /// Changes of entries in place that were seen so far, also those that nobody took in time.
    #[must_use]
    pub fn change_in_place_count(&self) -> u64 {
        self.watch().map_or(0, Watch::changed_count)
    }

    /// What became of the uses that were kept until they could be judged.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.watch().map(Watch::tally).unwrap_or_default()
    }

    /// No invalidation comes any more: the uses that wait to be judged count, unless software waits for the unit.
    pub fn judge_the_rest(&self) {
        if let Some(watch) = self.watch() {
            watch.judge(true, || self.queued());
        }
    }

    /// How many events there were, and how much time has passed for whoever is watched, if anybody is.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.watch().map(Watch::moment)
    }

    fn judge(&self) {
        if let Some(watch) = self.watch() {
            watch.judge(false, || self.queued());
        }
    }

    /// The guest is held, so that no time passes in which it should have invalidated something; or it goes on.
    pub fn let_time(&self, passage: Passage) {
        if let Some(watch) = self.watch() {
            watch.let_time(passage);
        }
    }

    /// Cached translations that were too many to be watched for stale uses.
    #[must_use]
    pub fn unwatched_count(&self) -> u64 {
        self.watch().map_or(0, Watch::forgotten)
    }

    /// The cached translations that the tables no longer contain, if no use of them was met since; by address. Nothing if
    /// nothing is watched.
    #[must_use]
    pub fn audit(&self) -> Vec<Unused> {
        self.watch().map(|watch| watch.audit(self)).unwrap_or_default()
    }

    /// The witness of a unit, if that is the watch.
    pub(crate) fn watch(&self) -> Option<&Watch> {
        let witness: &dyn Any = self.witness()?;
        witness.downcast_ref()
    }
}
