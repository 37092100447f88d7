//! The start of a scenario in the machine's own words, and the way back to it.
//!
//! Invariant: a machine that was put back looks like a new one, in every word of its memory, every cache, count and lock;
//! only where the ends of its invalidation queues lie tells that it was used. What was not written is not written again:
//! of a frame, its first word is, and the rest if it was freed, allocated or copied to. To be called with nobody at work.

use std::sync::atomic::Ordering;

use mmu::address::PhysAddr;
use ordering::language::syntax::FrameKind;
use ordering::lowering::{FrameId, PageId, PasidId};

use crate::agent::{Held, Ranges};
use crate::frames::Frame;
use crate::hardware::Hardware;
use crate::loaded::Loaded;
use crate::machine::{Machine, Stuck};
use crate::unit::Unit;

/// What is there at the start, where that is not nothing.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Every word that a step can write, but for shadow entries.
    words: Vec<(PhysAddr, u64)>,
    /// By page: the shadow entry.
    shadows: Vec<u64>,
    frames: Vec<Counts>,
    /// By agent: what it remembers of entries, and of upper ones.
    remembered: Vec<[Vec<u64>; 2]>,
    variables: Vec<u32>,
}

/// One frame's.
#[derive(Debug)]
struct Counts {
    refs: u32,
    maps: u32,
    pins: u32,
    stable: u32,
    kept: u64,
}

/// What is put back apart from the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// What vCPUs that somebody else plays have cached.
    Played,
    /// Entries of page tables, of PASIDs, of the shadow page table; the word that stands for a frame's content.
    Words,
    Counts,
    /// All bytes of frames.
    Frames,
    Remembered,
    Variables,
    Tlbs,
    DeviceTlbs,
    Uppers,
    PasidCaches,
    Walks,
    Completions,
    /// What has been read of PASIDs' entries by halves.
    Readings,
    /// Devices that were taken away.
    Gone,
    /// What CPUs with tags run in.
    Contexts,
    /// What is translated and has not landed, and waits that were aborted.
    Flights,
    /// What units have cached, and devices behind them.
    Units,
    UnitWalks,
    UnitQueues,
    Handles,
    Sections,
    Buffers,
    Marks,
    Locks,
    Awaited,
    Posted,
    Requested,
    Ranges,
}

impl Piece {
    pub(crate) const ALL: [Self; 28] = [
        Self::Played,
        Self::Words,
        Self::Counts,
        // Behind the counts: what nobody holds is poisoned.
        Self::Frames,
        Self::Remembered,
        Self::Variables,
        Self::Tlbs,
        Self::DeviceTlbs,
        Self::Uppers,
        Self::PasidCaches,
        Self::Walks,
        Self::Completions,
        Self::Readings,
        Self::Contexts,
        Self::Flights,
        // Before the queues, which wait for answers.
        Self::Gone,
        // Before the caches: what it still does would only empty them.
        Self::UnitQueues,
        Self::UnitWalks,
        Self::Units,
        Self::Handles,
        Self::Sections,
        Self::Buffers,
        Self::Marks,
        Self::Locks,
        Self::Awaited,
        Self::Posted,
        Self::Requested,
        Self::Ranges,
    ];
}

impl Start {
    /// That of a machine which is set up.
    pub(crate) fn of(machine: &Machine) -> Self {
        let layout = &machine.layout;
        let pages = layout.pages.iter().map(|page| page.slot);
        let shadow = |page| machine.memory.load(machine.shadow_place(PageId(page)));
        let uppers = layout.pmds.iter().chain(&layout.spmds);
        let pasids = (0..machine.scene.pasids.len()).map(PasidId);
        let pasids = pasids.flat_map(|pasid| layout.entries.places(pasid));
        let filled = machine.scene.frames.iter().zip(&layout.frames);
        let filled = filled.filter(|(frame, _)| frame.kind != FrameKind::Table).map(|(_, pfn)| pfn.address());
        let mut places: Vec<PhysAddr> = pages.chain(uppers.copied()).chain(pasids).chain(filled).collect();
        places.sort_unstable();
        places.dedup();
        let counts = |frame: &Frame| Counts {
            refs: frame.refs.load(Ordering::Acquire),
            maps: frame.maps.load(Ordering::Acquire),
            pins: frame.pins.load(Ordering::Acquire),
            stable: frame.stable.load(Ordering::Acquire),
            kept: frame.kept.load(Ordering::Acquire),
        };
        let remembered = |held: &Held| {
            [&held.entries, &held.uppers]
                .map(|words| words.iter().map(|word| word.load(Ordering::Acquire)).collect())
        };
        Self {
            shadows: (0..layout.pages.len()).map(shadow).collect(),
            words: places.into_iter().map(|place| (place, machine.memory.load(place))).collect(),
            frames: machine.frames.iter().map(counts).collect(),
            remembered: machine.held.iter().map(remembered).collect(),
            variables: machine.shared.variables.iter().map(|value| value.load(Ordering::Acquire)).collect(),
        }
    }
}

impl Machine {
    /// Puts everything back as it is at the start. Nobody may be at work on the machine.
    ///
    /// # Errors
    /// [`Stuck::Fails`] if a vCPU that somebody else plays does not forget what it has cached.
    pub fn reset(&self) -> Result<(), Stuck> {
        for piece in Piece::ALL {
            #[cfg(test)]
            if *self.forgets.lock() == Some(piece) {
                continue;
            }
            self.put_back(piece)?;
        }
        Ok(())
    }

    fn put_back(&self, piece: Piece) -> Result<(), Stuck> {
        let units = || self.users.iter().filter_map(|user| user.unit.as_ref());
        match piece {
            Piece::Played => self.forget_shadow()?,
            Piece::Words => {
                self.start.words.iter().for_each(|(place, word)| self.memory.store(*place, *word));
                for (page, word) in self.start.shadows.iter().enumerate() {
                    self.memory.store(self.shadow_place(PageId(page)), *word);
                }
            }
            Piece::Counts => self.put_back_counts(),
            Piece::Frames => self.put_back_frames(),
            Piece::Remembered => self.put_back_remembered(),
            Piece::Variables => {
                let values = self.shared.variables.iter().zip(&self.start.variables);
                values.for_each(|(variable, value)| variable.store(*value, Ordering::Release));
            }
            Piece::Tlbs => self.users.iter().for_each(|user| user.tlb.reset()),
            Piece::DeviceTlbs => self.users.iter().for_each(|user| user.device_tlb.reset()),
            Piece::Uppers => {
                let uppers = self.users.iter().flat_map(|user| &user.uppers);
                uppers.for_each(|upper| upper.store(0, Ordering::Release));
            }
            Piece::PasidCaches => self.users.iter().for_each(|user| user.pasid.store(0, Ordering::Release)),
            Piece::Walks => {
                self.users.iter().flat_map(|user| &user.walks).for_each(|slot| *slot.lock() = None);
            }
            Piece::Completions => {
                self.users.iter().flat_map(|user| &user.completions).for_each(|slot| *slot.lock() = None);
            }
            Piece::Readings => self.users.iter().for_each(Hardware::end_readings),
            Piece::Gone => self.users.iter().for_each(Hardware::comes_back),
            Piece::Contexts => {
                self.users.iter().filter_map(|user| user.loaded.as_ref()).for_each(Loaded::reset);
            }
            Piece::Flights => self.held.iter().for_each(Held::end_flights),
            Piece::Units => units().for_each(Unit::empty),
            Piece::UnitWalks => units().for_each(Unit::end_walks),
            Piece::UnitQueues => units().for_each(|unit| unit.queue.settle()),
            Piece::Handles => self.held.iter().for_each(|held| held.handles.lock().clear()),
            Piece::Sections => self.held.iter().for_each(|held| held.sections.lock().clear()),
            Piece::Buffers => self.held.iter().for_each(|held| held.buffer.lock().clear()),
            Piece::Marks => self.held.iter().for_each(|held| {
                *held.huge.lock() = false;
                held.indivisible.store(false, Ordering::Relaxed);
            }),
            Piece::Locks => self.shared.locks.lock().clear(),
            Piece::Awaited => self.shared.awaited.lock().clear(),
            Piece::Posted => self.shared.queue.lock().clear(),
            Piece::Requested => {
                self.shared.requested.iter().for_each(|page| page.store(0, Ordering::Release));
            }
            Piece::Ranges => self.shared.ranges.iter().for_each(|page| *page.lock() = Ranges::default()),
        }
        Ok(())
    }

    fn put_back_counts(&self) {
        for (frame, counts) in self.frames.iter().zip(&self.start.frames) {
            frame.refs.store(counts.refs, Ordering::Release);
            frame.maps.store(counts.maps, Ordering::Release);
            frame.pins.store(counts.pins, Ordering::Release);
            frame.stable.store(counts.stable, Ordering::Release);
            frame.kept.store(counts.kept, Ordering::Release);
        }
    }

    /// The first words are there already.
    fn put_back_frames(&self) {
        for (id, frame) in self.frames.iter().enumerate() {
            if frame.whole.load(Ordering::Acquire) {
                self.bytes(FrameId(id)).fill(frame, self.scene.frames[id].content.into());
            }
        }
    }

    fn put_back_remembered(&self) {
        for (held, start) in self.held.iter().zip(&self.start.remembered) {
            for (words, start) in [&held.entries, &held.uppers].into_iter().zip(start) {
                words.iter().zip(start).for_each(|(word, start)| word.store(*start, Ordering::Release));
            }
        }
    }
}

#[cfg(test)]
mod tests;
