//! What a CPU with tags has loaded: the address space that it runs in, and the tag that it uses.
//!
//! Invariant: what its TLB knows is an address and a tag, and no address space. Source: Intel SDM vol. 3, 4.10.1 and 4.10.4;
//! AMD APM vol. 2, 15.16.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use mmu::cache::Tag;
use ordering::lowering::{MmId, PageId, Scene, TagId, UserId};
use parking_lot::Mutex;

/// Tags of a scenario, and its pages: fewer than this.
const MOST: usize = 64;

/// What one CPU runs in.
#[derive(Debug)]
pub(crate) struct Loaded {
    start: (MmId, TagId),
    mm: AtomicUsize,
    tag: AtomicUsize,
    /// By page: the first page at its address.
    addresses: Vec<PageId>,
    /// By what is known: the page for which it was filled last. The TLB does not say, and nothing goes by it.
    filled: Mutex<HashMap<Tag, PageId>>,
}

impl Loaded {
    /// That of `user`; none if it has no tags.
    pub(crate) fn of(scene: &Scene, user: UserId) -> Option<Self> {
        let start = scene.users[user.0].context?;
        let addresses = scene.pages.iter().map(|page| page.address).collect();
        let (mm, tag) = (AtomicUsize::new(start.0.0), AtomicUsize::new(start.1.0));
        Some(Self { start, mm, tag, addresses, filled: Mutex::default() })
    }

    /// As at the start.
    pub(crate) fn reset(&self) {
        self.set(self.start.0, self.start.1);
    }

    /// Another address space, and another tag.
    pub(crate) fn set(&self, mm: MmId, tag: TagId) {
        self.mm.store(mm.0, Ordering::Release);
        self.tag.store(tag.0, Ordering::Release);
    }

    /// The address space.
    pub(crate) fn mm(&self) -> MmId {
        MmId(self.mm.load(Ordering::Acquire))
    }

    /// The tag.
    pub(crate) fn tag(&self) -> TagId {
        TagId(self.tag.load(Ordering::Acquire))
    }

    /// Whether the TLB was filled for that page with what it knows so.
    pub(crate) fn was_filled_for(&self, known: Tag, page: PageId) -> bool {
        self.filled.lock().get(&known) == Some(&page)
    }

    /// Notes for which page the TLB is filled.
    pub(crate) fn fills(&self, page: PageId) {
        self.filled.lock().insert(self.known(page, self.tag()), page);
    }

    /// What the cache knows of a page under a tag: the tag, and the address, which whoever walks to another address shall
    /// not disturb.
    pub(crate) fn known(&self, page: PageId, tag: TagId) -> Tag {
        let number = (tag.0 + 1) * MOST + self.addresses[page.0].0;
        Tag(u16::try_from(number).expect("a scenario has at most 60 tags and 60 pages"))
    }
}
