//! What one CPU, vCPU or device translates with: its caches, and what its walks have in flight.
//!
//! Invariant: a cache holds what a walk has put into it until it is invalidated, evicted or filled anew, however stale that
//! is. Each page has a tag of its own, so that what is invalidated of one page ends no walk to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use mmu::address::{Access, VirtAddr};
use mmu::cache::{CacheError, CachePort, FillTicket, Tag, Translation, TranslationCache};
use mmu::memory::PhysicalMemory;
use ordering::lowering::{Caches, PageId, PmdId, Scene, UserId};
use parking_lot::Mutex;

use crate::layout::Layout;
use crate::loaded::Loaded;
use crate::reading::Reading;
use crate::seat::Seat;
use crate::unit::entries::Named;
use crate::unit::{Unit, on_unit};

/// Translations that a cache has room for.
const ENTRIES: usize = 192;

/// A cache of translations with the port of whoever uses it.
#[derive(Debug)]
pub(crate) struct Tlb {
    cache: Arc<TranslationCache>,
    port: Seat<CachePort>,
}

/// What a walk has read and not installed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InFlight {
    /// The upper entry, as a word.
    Upper(u64),
    /// The entry.
    Leaf(Translation, Begun),
}

/// When a walk began, for whoever may discard it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begun {
    /// In the eyes of a cache.
    Ticket(FillTicket),
    /// In the eyes of the shadow page table.
    Sequence(u64),
}

/// One user's.
#[derive(Debug)]
pub(crate) struct Hardware {
    /// A TLB, or an IOTLB.
    pub(crate) tlb: Tlb,
    /// A device's own.
    pub(crate) device_tlb: Tlb,
    /// By upper entry: what the paging-structure cache holds of it.
    pub(crate) uppers: Vec<AtomicU64>,
    /// The address space that the entry which it goes by names, as it has read it: its number plus one; 0 for none.
    pub(crate) pasid: AtomicUsize,
    /// By page.
    pub(crate) walks: Vec<Mutex<Option<InFlight>>>,
    /// By page: on the way to the device's own TLB.
    pub(crate) completions: Vec<Mutex<Option<InFlight>>>,
    /// What has been read of that entry, if it is read by halves.
    pub(crate) reading: Mutex<Option<Reading>>,
    /// Whether it has read one of which the halves were written for two address spaces.
    pub(crate) torn: AtomicBool,
    /// Whether it is a device that was taken away.
    pub(crate) gone: AtomicBool,
    /// What a CPU with tags runs in.
    pub(crate) loaded: Option<Loaded>,
    /// A device's VT-d unit: then nothing else of this is used, but for that it is gone.
    pub(crate) unit: Option<Unit>,
}

impl Tlb {
    fn new() -> Result<Self, CacheError> {
        let cache = Arc::new(TranslationCache::try_new(ENTRIES)?);
        Ok(Self { port: Seat::new(cache.port()), cache })
    }

    /// What it holds of a page, however old.
    pub(crate) fn holds(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.cache.contains(tag, address)
    }

    /// Uses what it holds of a page, so that an invalidation waits for the end.
    pub(crate) fn using<T>(
        &self,
        tag: Tag,
        address: VirtAddr,
        access: Access,
        use_it: impl FnOnce(Translation) -> T,
    ) -> Option<T> {
        let mut port = self.port.lock();
        let section = port.enter();
        section.lookup(tag, address).filter(|found| found.serves(access)).map(use_it)
    }

    /// To be taken before a walk.
    pub(crate) fn begin(&self, tag: Tag) -> FillTicket {
        self.port.lock().enter().begin_fill(tag)
    }

    /// Installs what a walk has found, instead of what was there; false if that was invalidated since.
    pub(crate) fn fill(&self, tag: Tag, address: VirtAddr, found: Translation, ticket: FillTicket) -> bool {
        self.evict(tag, address);
        self.port.lock().enter().fill(ticket, address, found)
    }

    /// Loses what it holds of a page.
    pub(crate) fn evict(&self, tag: Tag, address: VirtAddr) {
        self.cache.evict(tag, address);
    }

    /// Issues an invalidation, and waits until no access through what is gone is in flight.
    pub(crate) fn invalidate(&self, tag: Tag, address: VirtAddr) {
        self.cache.invalidate_page(tag, address);
        self.cache.drain();
    }

    /// Holds nothing, and nothing that was begun may still fill.
    pub(crate) fn reset(&self) {
        self.cache.invalidate_all();
    }
}

/// Scenarios have few pages.
fn tag(page: PageId) -> Tag {
    Tag(u16::try_from(page.0).expect("a scenario has at most 60 pages"))
}

impl Hardware {
    /// # Errors
    /// As [`TranslationCache::try_new`].
    pub(crate) fn new(
        scene: &Scene,
        user: UserId,
        layout: &Layout,
        memory: &Arc<PhysicalMemory>,
    ) -> Result<Self, CacheError> {
        let device = matches!(scene.users[user.0].caches, Caches::Iotlb | Caches::DeviceTlb);
        let unit = (device && on_unit(scene).is_ok())
            .then(|| Unit::new(scene, user, memory, &layout.entries, layout.rings[user.0]));
        let none = || scene.pages.iter().map(|_| Mutex::new(None)).collect();
        Ok(Self {
            tlb: Tlb::new()?,
            device_tlb: Tlb::new()?,
            uppers: scene.pmds.iter().map(|_| AtomicU64::new(0)).collect(),
            pasid: AtomicUsize::new(0),
            walks: none(),
            completions: none(),
            reading: Mutex::default(),
            torn: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            loaded: Loaded::of(scene, user),
            unit,
        })
    }

    /// What the caches know a page by.
    pub(crate) fn tag(&self, page: PageId) -> Tag {
        self.loaded.as_ref().map_or_else(|| tag(page), |loaded| loaded.known(page, loaded.tag()))
    }

    /// What is kept of an upper entry, as a word; 0 for nothing.
    pub(crate) fn upper(&self, pmd: PmdId) -> u64 {
        self.uppers[pmd.0].load(Ordering::Acquire)
    }

    pub(crate) fn set_upper(&self, pmd: PmdId, word: u64) {
        self.uppers[pmd.0].store(word, Ordering::Release);
    }

    /// What it has cached of the entry that it goes by.
    pub(crate) fn named(&self) -> Named {
        let number = self.pasid.load(Ordering::Acquire);
        number.checked_sub(1).map_or(Named::Nothing, Named::Space)
    }

    /// Caches that.
    pub(crate) fn set_named(&self, space: usize) {
        self.pasid.store(space + 1, Ordering::Release);
    }

    /// Nothing has been read of its entry by halves.
    pub(crate) fn end_readings(&self) {
        *self.reading.lock() = None;
        self.torn.store(false, Ordering::Release);
    }

    /// It is there, and answers.
    pub(crate) fn comes_back(&self) {
        // Only what was taken away is silent: one that was late has answered since.
        if self.gone.swap(false, Ordering::AcqRel) {
            self.unit.iter().for_each(Unit::answer_again);
        }
    }
}
