//! The live machine of a scenario: real page tables in real memory, caches that can be stale, counts, locks, programs' memory.
//!
//! Invariant: nothing in it knows the model. What a step does is written in `step`, `walk`, `invalidate` and `gup` for
//! this machine; what it then looks like is read from memory and caches ([`look`](crate::look)).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::{Access, Pfn, PhysAddr};
use mmu::cache::CacheError;
use mmu::memory::{MemoryError, PhysicalMemory};
use mmu::pte::Pte;
use ordering::language::syntax::{BuiltIn, FrameKind};
use ordering::lowering::{
    Act, AgentId, Deeds, Entry, FrameId, Key, Lowered, MmId, PageId, Party, PmdId, Scene, UserId,
};
use steps::Step;
use thiserror::Error;

use crate::agent::{Held, Shared};
use crate::coding::{Coding, Height};
use crate::frames::{Bytes, Frame};
use crate::hardware::Hardware;
use crate::layout::Layout;
use crate::start::Start;
pub use crate::stuck::Stuck;
use crate::vcpus::{Guest, Played};

/// The host has no room for a machine.
#[derive(Debug, Error)]
pub enum NoRoom {
    /// For its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// For its translation caches.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Whether it writes a half of a PASID's or of a context entry.
fn is_of_half(act: &Act) -> bool {
    matches!(act, Act::Step(step) if matches!(**step, Step::SetPasidHalf(..)))
}

/// What a machine is made of.
struct Said {
    scene: Scene,
    asked: Vec<Vec<Vec<Party>>>,
    by_halves: bool,
    /// The start: all that the scenario says of it, then what the model has variables for.
    said: Vec<(Key, u32)>,
}

impl Said {
    fn of(lowered: &Lowered) -> Self {
        let scene = lowered.scene.clone();
        let initial = lowered.model.variables.iter().map(|variable| variable.initial);
        let said = scene.start.iter().cloned().chain(lowered.keys.iter().cloned().zip(initial)).collect();
        let asked = lowered.deeds.iter().map(|deeds| deeds.asked().to_vec()).collect();
        let by_halves = lowered.deeds.iter().flat_map(Deeds::acts).any(is_of_half);
        Self { asked, by_halves, said, scene }
    }
}

/// A machine on which one scenario runs.
#[derive(Debug)]
pub struct Machine {
    pub(crate) scene: Scene,
    pub(crate) memory: Arc<PhysicalMemory>,
    pub(crate) layout: Layout,
    pub(crate) coding: Coding,
    pub(crate) frames: Vec<Frame>,
    pub(crate) users: Vec<Hardware>,
    /// Who execute the accesses of the vCPUs; none: this machine does.
    pub(crate) vcpus: Option<Played>,
    /// By agent of the scenario.
    pub(crate) held: Vec<Held>,
    pub(crate) shared: Shared,
    /// By agent, those whom its steps ask at once.
    pub(crate) asked: Vec<Vec<Vec<Party>>>,
    /// Whether entries of PASIDs and context entries are written and read by halves.
    pub(crate) by_halves: bool,
    /// What the scenario says of the start, and then the model's variables.
    said: Vec<(Key, u32)>,
    /// The same in the machine's own words, once it was set up.
    pub(crate) start: Start,
    /// What a test lets it forget when it is put back.
    #[cfg(test)]
    pub(crate) forgets: parking_lot::Mutex<Option<crate::start::Piece>>,
}

impl Machine {
    /// A machine like the scenario, at its start.
    ///
    /// # Errors
    /// [`NoRoom`] if the host has none for its memory or its caches.
    pub fn new(lowered: &Lowered) -> Result<Self, NoRoom> {
        // Frame 0 stays free: a zero that is taken for a frame hits nobody.
        let layout = Layout::new(&lowered.scene, Pfn(1), None);
        let memory = Arc::new(layout.memory()?);
        let mut machine = Self::over(Said::of(lowered), layout, memory, None)?;
        machine.set_up();
        Ok(machine)
    }

    /// The same around a guest, which executes the accesses of the vCPUs. It reaches them through the shadow page table
    /// alone: see [`playable`](crate::vcpus::playable).
    ///
    /// # Errors
    /// [`Stuck::Fails`] if a vCPU does not come.
    ///
    /// # Panics
    /// If the guest's memory is smaller than [`bytes_needed`](crate::vcpus::bytes_needed) says, or if programs of the
    /// scenario zap and set shadow entries themselves.
    pub fn with_guest(lowered: &Lowered, guest: Guest) -> Result<Self, Stuck> {
        assert!(!lowered.scene.explicit_shadow, "nobody sees what the TLBs of a guest's vCPUs hold");
        let layout = Layout::new(&lowered.scene, guest.free_from, Some(guest.leaf_table));
        let (has, needed) = (guest.memory.len_bytes(), layout.bytes());
        assert!(has >= needed, "the guest has {has} bytes of memory; {needed} are needed");
        let played = Played::by(&guest, lowered.scene.pages.len());
        let mut machine = Self::over(Said::of(lowered), layout, guest.memory, Some(played))
            .map_err(|error| Stuck::Cannot(error.to_string()))?;
        machine.forget_shadow()?;
        machine.set_up();
        Ok(machine)
    }

    /// A machine of its own like this one, at its start; none if a guest plays its vCPUs, or the host has no room.
    #[must_use]
    pub fn another(&self) -> Option<Self> {
        if self.vcpus.is_some() {
            return None;
        }
        let said = Said {
            scene: self.scene.clone(),
            asked: self.asked.clone(),
            by_halves: self.by_halves,
            said: self.said.clone(),
        };
        let layout = Layout::new(&said.scene, Pfn(1), None);
        let memory = Arc::new(layout.memory().ok()?);
        let mut machine = Self::over(said, layout, memory, None).ok()?;
        machine.set_up();
        Some(machine)
    }

    /// With nothing in it yet.
    fn over(
        Said { scene, asked, by_halves, said }: Said,
        layout: Layout,
        memory: Arc<PhysicalMemory>,
        vcpus: Option<Played>,
    ) -> Result<Self, CacheError> {
        layout.link(&memory);
        Ok(Self {
            vcpus,
            coding: Coding::new(&scene, layout.frames.clone()),
            frames: scene.frames.iter().map(|_| Frame::default()).collect(),
            users: (0..scene.users.len())
                .map(|user| Hardware::new(&scene, UserId(user), &layout, &memory))
                .collect::<Result<_, _>>()?,
            held: scene.agents.iter().map(|_| Held::new(&scene)).collect(),
            shared: Shared::new(&scene),
            asked,
            by_halves,
            said,
            start: Start::default(),
            #[cfg(test)]
            forgets: parking_lot::Mutex::default(),
            memory,
            layout,
            scene,
        })
    }

    /// Lets a new machine be as the scenario says.
    fn set_up(&mut self) {
        for (variable, shared) in self.scene.variables.iter().zip(&self.shared.variables) {
            shared.store(variable.least, Ordering::Release);
        }
        // A frame without a variable is one that nobody counts.
        self.frames.iter().for_each(|frame| frame.refs.store(1, Ordering::Release));
        for (key, value) in &self.said {
            self.place(key, *value);
        }
        for (id, frame) in self.scene.frames.iter().enumerate() {
            if frame.kind != FrameKind::Table {
                self.bytes(FrameId(id)).fill(&self.frames[id], frame.content.into());
            }
        }
        self.start = Start::of(self);
    }

    /// What one variable of the model says of the start.
    fn place(&self, key: &Key, value: u32) {
        let entry = || self.coding.encode(self.scene.entries[value as usize]).0;
        let count = |count: &std::sync::atomic::AtomicU32| count.store(value, Ordering::Release);
        match key {
            Key::Pte(page) => self.memory.store(self.layout.page(*page).slot, entry()),
            Key::Pmd(pmd) => self.memory.store(self.layout.pmd(*pmd), entry()),
            Key::Spmd(pmd) => self.memory.store(self.layout.spmd(*pmd), entry()),
            Key::Spte(page) => self.memory.store(self.shadow_place(*page), entry()),
            Key::Pasid(pasid) => {
                let mm = value.checked_sub(1).map(|mm| MmId(mm as usize));
                self.layout.entries.set(&self.memory, *pasid, mm);
            }
            Key::Refs(frame) => count(&self.frames[frame.0].refs),
            Key::Mapcount(frame) => count(&self.frames[frame.0].maps),
            Key::Pins(frame) => count(&self.frames[frame.0].pins),
            Key::Stable(frame) => count(&self.frames[frame.0].stable),
            Key::User(index) => {
                let least = self.scene.variables[*index].least;
                self.shared.variables[*index].store(least + value, Ordering::Release);
            }
            Key::Orig(agent, page) => self.held[*agent].entries[page.0].store(entry(), Ordering::Release),
            Key::PmdOrig(agent, pmd) => self.held[*agent].uppers[pmd.0].store(entry(), Ordering::Release),
            // A frame is filled with what the scene says of it; caches, queues, locks and handles are empty at the start.
            Key::Content(_)
            | Key::Pwc(..)
            | Key::Tlb(..)
            | Key::Tagged(..)
            | Key::LoadedMm(_)
            | Key::LoadedTag(_)
            | Key::InFlight(..)
            | Key::DeviceTlb(..)
            | Key::Completion(..)
            | Key::PasidCache(_)
            | Key::InProgress(_)
            | Key::Requested(_)
            | Key::Slot(_)
            | Key::Lock(_)
            | Key::Shares(..)
            | Key::Store(..)
            | Key::Section(..)
            | Key::Awaits(..)
            | Key::Handle(..)
            | Key::Dma(..)
            | Key::Gone(_)
            | Key::Aborted(_)
            | Key::PasidHigh(_)
            | Key::PasidRead(_)
            | Key::Torn(_)
            | Key::Returned(..)
            | Key::Ghost(_) => {}
        }
    }

    pub(crate) fn bytes(&self, frame: FrameId) -> Bytes<'_> {
        let is_frame = self.scene.frames[frame.0].kind == FrameKind::Frame;
        let poisons = is_frame && self.scene.asks(BuiltIn::FreedFrame);
        Bytes { memory: &self.memory, pfn: self.coding.pfn(frame), poisons }
    }

    /// Where the word of a frame lies that stands for its content.
    pub(crate) fn content(&self, frame: FrameId) -> PhysAddr {
        self.coding.pfn(frame).address()
    }

    /// Whether the step goes to a frame that is free, and may not.
    pub(crate) fn live(&self, frame: FrameId) -> Result<(), Stuck> {
        if self.frames[frame.0].is_free() && self.scene.asks(BuiltIn::FreedFrame) {
            return Err(Stuck::Breaks(BuiltIn::FreedFrame));
        }
        Ok(())
    }

    /// An access to a frame: what is read, if it is a read.
    pub(crate) fn access(&self, frame: FrameId, access: Access, value: u32) -> Result<Option<u64>, Stuck> {
        self.live(frame)?;
        let place = self.content(frame);
        Ok(match access {
            Access::Read => Some(self.memory.load(place)),
            Access::Write => {
                self.memory.store(place, value.into());
                None
            }
        })
    }

    pub(crate) fn load(&self, place: PhysAddr) -> Pte {
        Pte(self.memory.load(place))
    }

    /// The entry that a word stands for; words that lead elsewhere are none of a scenario.
    pub(crate) fn entry(&self, word: Pte, height: Height) -> Result<Entry, Stuck> {
        let found = self.coding.decode(word, height);
        found.ok_or_else(|| Stuck::Cannot(format!("{word:?} is no entry of the scenario")))
    }

    /// The upper entry above a page, if it has one that the scenario names.
    pub(crate) fn above(&self, page: PageId) -> Option<PmdId> {
        self.scene.pages[page.0].above
    }

    /// Whether the step comes to a page-table page that is free, and may not.
    pub(crate) fn table_is_live(&self, page: PageId) -> Result<(), Stuck> {
        self.may_be_walked(self.scene.pages[page.0].table)
    }

    /// The same for the page-table page with its shadow entry.
    pub(crate) fn shadow_table_is_live(&self, page: PageId) -> Result<(), Stuck> {
        self.may_be_walked(self.scene.pages[page.0].shadow_table)
    }

    fn may_be_walked(&self, table: Option<FrameId>) -> Result<(), Stuck> {
        let Some(table) = table else { return Ok(()) };
        if self.frames[table.0].is_free() && self.scene.asks(BuiltIn::FreedTable) {
            return Err(Stuck::Breaks(BuiltIn::FreedTable));
        }
        Ok(())
    }

    /// What an agent remembers of a page's entry.
    pub(crate) fn remembered(&self, agent: AgentId, page: PageId) -> &AtomicU64 {
        &self.held[agent].entries[page.0]
    }

    /// Which frame the scenario's word leads to.
    pub(crate) fn frame_at(&self, word: Pte) -> Result<FrameId, Stuck> {
        let found = self.coding.frame(word.pfn());
        found.ok_or_else(|| Stuck::Cannot(format!("{word:?} leads to no frame of the scenario")))
    }
}
