//! CPUs with tags: the address space that one runs in, and what its TLB holds under each tag.
//!
//! Invariant: the TLB knows an address and a tag, and no address space. Under another tag nothing is found, emptied or lost.
//! Source: Intel SDM vol. 3, 4.10.1 and 4.10.4; AMD APM vol. 2, 15.16.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use mmu::cache::{Tag, Translation};
use ordering::lowering::{MmId, PageId, Scene, TagId, UserId};
use parking_lot::Mutex;
use steps::Switched;

use crate::machine::Machine;
use crate::stuck::Stuck;

/// Tags of a scenario, and its pages: fewer than this.
const MOST: usize = 64;

/// What one CPU runs in.
#[derive(Debug)]
pub(crate) struct Context {
    start: (MmId, TagId),
    mm: AtomicUsize,
    tag: AtomicUsize,
    /// By page: the first page at its address.
    addresses: Vec<PageId>,
    /// By what is known: the page for which it was filled last. The TLB does not say, and nothing goes by it.
    filled: Mutex<HashMap<Tag, PageId>>,
}

impl Context {
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

    fn set(&self, mm: MmId, tag: TagId) {
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

impl Machine {
    /// That `user`, if it has tags, runs in the address space of `page`.
    pub(crate) fn runs_in(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        let context = self.users[user.0].context.as_ref();
        match context.is_none_or(|context| self.scene.pages[page.0].home == Some(context.mm())) {
            true => Ok(()),
            false => Err(Stuck::Waits("the CPU runs in another address space")),
        }
    }

    /// `user` goes on in `mm`, and uses what its TLB holds under `tag`.
    pub(crate) fn switch(&self, user: UserId, mm: MmId, tag: TagId, switched: Switched) -> Result<(), Stuck> {
        let hardware = &self.users[user.0];
        let context =
            hardware.context.as_ref().ok_or_else(|| Stuck::Cannot(format!("{user} has no tags")))?;
        // A walk ends before the instruction does.
        hardware.walks.iter().for_each(|walk| *walk.lock() = None);
        context.set(mm, tag);
        if switched == Switched::Empties {
            for page in (0..self.scene.pages.len()).map(PageId) {
                hardware.tlb.invalidate(context.known(page, tag), self.layout.page(page).address);
            }
        }
        Ok(())
    }

    /// Empties what `user` holds of the address of `page`: under `tag`, or under the one that it uses.
    pub(crate) fn forget_tagged(&self, user: UserId, page: PageId, tag: Option<TagId>) {
        let hardware = &self.users[user.0];
        let Some(context) = &hardware.context else { return };
        let under = tag.unwrap_or_else(|| context.tag());
        hardware.tlb.invalidate(context.known(page, under), self.layout.page(page).address);
        if under == context.tag() {
            let address = self.scene.pages[page.0].address;
            let there =
                (0..self.scene.pages.len()).filter(|other| self.scene.pages[*other].address == address);
            there.for_each(|other| *hardware.walks[other].lock() = None);
        }
    }

    /// What the TLB of `user` holds under `tag` at the address of `page`, if it was filled for that page.
    pub(crate) fn under_tag(&self, user: UserId, page: PageId, tag: TagId) -> Option<Translation> {
        let context = self.users[user.0].context.as_ref()?;
        let known = context.known(page, tag);
        let own = context.filled.lock().get(&known) == Some(&page);
        self.users[user.0].tlb.holds(known, self.layout.page(page).address).filter(|_| own)
    }
}
