//! The unit before virtio devices: legacy mode, a domain and a second stage for each function.
//!
//! Invariant: a page that is unmapped is invalidated, and the wait is over, before anybody may have it. Source: VT-d 6.5.2,
//! 9.1, 9.3, 9.8.

use crate::descriptor::Invalidation;
use crate::entry::{self, DeviceTlb, Levels, Translation};
use crate::id::{Domain, Iova, Source};
use crate::memory::{Frame, Memory};
use crate::policy::Policy;
use crate::queue::Queue;
use crate::space::{Kind, Space};
use crate::unit::{Mode, Unit};

/// The unit, its tables, and memory.
#[derive(Debug)]
pub(super) struct Remapping {
    pub(super) memory: Memory,
    unit: Unit,
    queue: Queue,
    root: Frame,
    last_domain: Domain,
}

impl Remapping {
    /// Lets the unit translate, nothing yet; none if there is none.
    pub(super) fn start(mut memory: Memory) -> Option<Self> {
        let unit = Unit::find()?;
        unit.translate(false);
        let queue = Queue::start(&unit, &mut memory, Mode::Legacy);
        let contexts = memory.frame();
        let root = memory.page(entry::link(contexts.address()));
        unit.set_root(root, Mode::Legacy);
        let mut found = Self { memory, unit, queue, root, last_domain: Domain(0x50) };
        found.invalidate(&[Invalidation::Contexts, Invalidation::Iotlb]);
        found.unit.translate(true);
        Some(found)
    }

    /// A space for the function `source`, in which nothing is mapped.
    pub(super) fn attach(&mut self, source: Source) -> Space {
        self.last_domain.0 += 1;
        let space = Space::new(&mut self.memory, Kind::Second(Levels::Four), source, self.last_domain, None);
        if let Translation::Second(table, levels) = space.translation() {
            let [first, second] = entry::context(table, levels, self.last_domain, DeviceTlb::Off);
            let contexts = self.contexts(source);
            contexts.store(2 * source.devfn() + 1, second);
            contexts.store(2 * source.devfn(), first);
        }
        if self.unit.caches_absent() {
            self.invalidate(&[Invalidation::Contexts, Invalidation::Iotlb]);
        }
        space
    }

    /// The context table of the function's bus. Who caches that there is none is told by [`attach`](Self::attach).
    fn contexts(&mut self, source: Source) -> Frame {
        let at = entry::root(source);
        if self.root.load(at) == 0 {
            let contexts = self.memory.frame();
            self.root.store(at, entry::link(contexts.address()));
        }
        entry::linked(self.root.load(at))
    }

    /// Maps a page.
    pub(super) fn map(&mut self, space: &Space, at: Iova, frame: Frame) {
        space.map(&mut self.memory, at, frame);
        if self.unit.caches_absent() {
            self.invalidate(&[Invalidation::Iotlb]);
        }
    }

    /// Unmaps a page, and invalidates as `policy` has it.
    pub(super) fn unmap(&mut self, space: &Space, at: Iova, policy: Policy) {
        let change = space.unmap(&mut self.memory, at);
        let list = policy.after(&change);
        if !list.items().is_empty() {
            self.invalidate(list.items());
        }
    }

    /// Lets a page that is mapped lead to `frame`, and invalidates as `policy` has it.
    pub(super) fn remap(&mut self, space: &Space, at: Iova, frame: Frame, policy: Policy) {
        let change = space.remap(&mut self.memory, at, frame);
        let list = policy.after(&change);
        if !list.items().is_empty() {
            self.invalidate(list.items());
        }
    }

    fn invalidate(&mut self, invalidations: &[Invalidation]) {
        self.queue.invalidate(&self.unit, invalidations);
    }
}
