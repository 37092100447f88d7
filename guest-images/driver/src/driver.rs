//! The driver: the unit's tables, its queue, and the engines whose requests it translates.
//!
//! Invariant: what the tables say of a function or a process was flushed when [`attach`](Driver::attach) returns; a page that
//! is mapped, remapped or unmapped is flushed as far as the [`Policy`] wants it. Source: VT-d 6.2 (what is cached), 9.1 to 9.6.

mod entries;

use core::fmt;

use crate::descriptor::{Also, Invalidation};
use crate::engine::{Engine, Job, Outcome, Target};
use crate::entry::{self, DeviceTlb};
use crate::id::{Iova, Pasid, Source};
use crate::memory::{Frame, Memory};
use crate::page_request::{Answer, Asked};
use crate::policy::Policy;
use crate::queue::{Queue, Waiting};
use crate::space::{Change, Space};
use crate::unit::{Mode, Unit};

/// Engines of the machine.
pub const ENGINES: usize = 2;
/// Processes that are ever attached: below this.
const PASIDS: u32 = 8;

/// The driver of one unit.
#[derive(Debug)]
pub struct Driver {
    /// What is not given out yet.
    pub memory: Memory,
    /// The unit.
    pub unit: Unit,
    queue: Queue,
    mode: Mode,
    root: Frame,
    engines: [Port; ENGINES],
}

/// An engine, and what the unit's tables have of it.
#[derive(Debug)]
struct Port {
    engine: Engine,
    directory: Frame,
    pasids: Frame,
}

/// What the machine lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lacking {
    /// A remapping unit.
    Unit,
    /// An engine.
    Engine,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit => f.write_str("there is no remapping unit; boot with --iommu vtd"),
            Self::Engine => write!(
                f,
                "there are fewer than {ENGINES} DMA engines; boot with --device dma-engine for each"
            ),
        }
    }
}

impl Driver {
    /// Finds unit and engines, and lets the unit translate, in legacy mode and nothing yet.
    ///
    /// # Errors
    /// [`Lacking`] says what is not there.
    pub fn start(mut memory: Memory) -> Result<Self, Lacking> {
        let unit = Unit::find().ok_or(Lacking::Unit)?;
        let first = Port::start(&mut memory, 0).ok_or(Lacking::Engine)?;
        let second = Port::start(&mut memory, 1).ok_or(Lacking::Engine)?;
        let queue = Queue::start(&unit, &mut memory, Mode::Legacy);
        let root = memory.frame();
        let mut driver = Self { memory, unit, queue, mode: Mode::Legacy, root, engines: [first, second] };
        driver.switch(Mode::Legacy);
        Ok(driver)
    }

    /// Begins anew with tables of that mode, empty but for what every engine needs.
    pub fn switch(&mut self, mode: Mode) {
        (0..ENGINES).for_each(|number| self.stop_translating_ahead(number));
        self.unit.translate(false);
        self.mode = mode;
        self.queue = Queue::start(&self.unit, &mut self.memory, mode);
        let contexts = self.memory.frame();
        self.root = self.memory.page(entry::link(contexts.address()));
        (0..ENGINES).for_each(|number| self.add_bus(self.source(number)));
        self.unit.set_root(self.root, mode);
        (0..ENGINES).for_each(|number| self.introduce(number));
        self.flush_all();
        self.unit.translate(true);
    }

    /// A context table for the bus of `source`, unless it has one.
    fn add_bus(&mut self, source: Source) {
        if self.root.load(entry::root(source)) == 0 {
            let contexts = self.memory.frame();
            self.root.store(entry::root(source), entry::link(contexts.address()));
        }
    }

    /// Lets an engine's requests, or those with the space's PASID, be translated by `space`, and forgets what was before.
    pub fn attach(&mut self, space: &Space) {
        let number = self.number(space.source);
        self.lend_ring(space);
        if self.make_way(space) {
            self.flush_all();
        }
        self.write_entry(space);
        self.flush_all();
        self.engines[number].engine.translate_ahead(space.device_tlb);
    }

    /// Lets a process be nobody's, and forgets what it was. Requests for its pages may still be under way.
    ///
    /// # Panics
    /// If it is none.
    pub fn detach(&mut self, space: &Space) {
        let pasid = space.pasid.expect("a process has a PASID");
        self.clear_entry(space);
        self.invalidate(&[
            Invalidation::PasidEntry(space.domain, pasid),
            Invalidation::PasidIotlb(space.domain, pasid),
        ]);
        if space.device_tlb == DeviceTlb::On {
            self.invalidate(&[Invalidation::DeviceTlbOfPasid(space.source, pasid)]);
        }
    }

    /// Which tables the unit reads.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Maps what an engine itself reaches in a space for requests without PASID.
    pub fn lend_ring(&mut self, space: &Space) {
        if space.pasid.is_none() {
            for frame in self.engine(space).own_frames() {
                space.map(&mut self.memory, Iova(frame.address()), frame);
            }
        }
    }

    // Pages.

    /// Maps a page. A unit that caches what is absent is told to forget it.
    pub fn map(&mut self, space: &Space, at: Iova, frame: Frame) {
        space.map(&mut self.memory, at, frame);
        if self.unit.caches_absent() {
            self.invalidate(&[Invalidation::Iotlb]);
        }
    }

    /// Lets a page that is mapped lead to `frame`.
    pub fn remap(&mut self, space: &Space, at: Iova, frame: Frame, policy: Policy) -> Change {
        let change = space.remap(&mut self.memory, at, frame);
        self.flush(&change, policy);
        change
    }

    /// The same by an entry of the second stage, also below a first one.
    pub fn remap_below(&mut self, space: &Space, at: Iova, frame: Frame, policy: Policy) -> Change {
        let change = space.remap_below(&mut self.memory, at, frame);
        self.flush(&change, policy);
        change
    }

    /// Lets a page lead nowhere.
    pub fn unmap(&mut self, space: &Space, at: Iova, policy: Policy) -> Change {
        let change = space.unmap(&mut self.memory, at);
        self.flush(&change, policy);
        change
    }

    /// Invalidates after a change as `policy` has it, and waits.
    pub fn flush(&mut self, change: &Change, policy: Policy) {
        let list = policy.after(change);
        if !list.items().is_empty() {
            self.invalidate(list.items());
        }
    }

    /// Invalidates in that order, and waits.
    pub fn invalidate(&mut self, invalidations: &[Invalidation]) {
        self.queue.invalidate(&self.unit, invalidations);
    }

    /// The same, with a wait as `waiting` has it; nothing happens if there are no invalidations.
    pub fn submit(&mut self, invalidations: &[Invalidation], waiting: Waiting) {
        if !invalidations.is_empty() {
            self.queue.submit(&self.unit, invalidations, waiting);
        }
    }

    /// Waits for nothing, and lets the wait do `also`.
    pub fn wait(&mut self, also: Also) {
        self.queue.carry_out(&self.unit, core::iter::empty(), also);
    }

    /// Answers a page request.
    pub fn answer(&mut self, asked: &Asked, answer: Answer) {
        self.queue.carry_out(&self.unit, [asked.answer(answer)].into_iter(), Also::Nothing);
    }

    /// Forgets everything, everywhere.
    pub fn flush_all(&mut self) {
        self.invalidate(&[Invalidation::Contexts]);
        if self.mode == Mode::Scalable {
            self.invalidate(&[Invalidation::PasidEntries]);
        }
        self.invalidate(&[Invalidation::Iotlb]);
        (0..ENGINES).for_each(|number| self.flush_device(number));
    }

    fn flush_device(&mut self, number: usize) {
        let source = self.source(number);
        if self.unit.has_device_tlbs() {
            self.invalidate(&[Invalidation::DeviceTlb(source)]);
            if self.mode == Mode::Scalable {
                let all: [_; PASIDS as usize] = core::array::from_fn(|pasid| {
                    Invalidation::DeviceTlbOfPasid(source, Pasid(u32::try_from(pasid).unwrap_or_default()))
                });
                self.invalidate(&all);
            }
        }
    }

    // Devices.

    fn stop_translating_ahead(&mut self, number: usize) {
        self.engines[number].engine.translate_ahead(DeviceTlb::Off);
        self.flush_device(number);
    }

    /// Whether the engines can name processes.
    #[must_use]
    pub fn has_pasids(&self) -> bool {
        self.unit.has_scalable_mode() && self.engines.iter().all(|port| port.engine.has_pasids())
    }

    /// Whether the engines can translate ahead, and the unit lets them.
    #[must_use]
    pub fn has_device_tlbs(&self) -> bool {
        self.unit.has_device_tlbs() && self.engines.iter().all(|port| port.engine.has_device_tlb())
    }

    /// What requests of an engine carry.
    #[must_use]
    pub fn source(&self, number: usize) -> Source {
        self.engines[number].engine.source()
    }

    fn number(&self, source: Source) -> usize {
        (0..ENGINES).find(|number| self.source(*number) == source).unwrap_or_default()
    }

    /// The engine number `number`.
    pub fn engine_number(&mut self, number: usize) -> &mut Engine {
        &mut self.engines[number].engine
    }

    /// The engine of `space`.
    pub fn engine(&mut self, space: &Space) -> &mut Engine {
        let number = self.number(space.source);
        &mut self.engines[number].engine
    }

    /// What the engine of `space` reads there.
    pub fn read(&mut self, space: &Space, at: Iova) -> Outcome {
        let [outcome] = self.engine(space).run([Job::Read(Target { pasid: space.pasid, at })]);
        outcome
    }

    /// Lets the engine of `space` write there.
    pub fn write(&mut self, space: &Space, at: Iova, word: u64) -> Outcome {
        let [outcome] = self.engine(space).run([Job::Write(Target { pasid: space.pasid, at }, word)]);
        outcome
    }
}

impl Port {
    fn start(memory: &mut Memory, number: usize) -> Option<Self> {
        let engine = Engine::start(memory, number)?;
        Some(Self { engine, directory: memory.frame(), pasids: memory.frame() })
    }
}
