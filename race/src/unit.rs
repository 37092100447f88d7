//! The VT-d unit in front of a device of the scenario, and its driver: which scenarios can have one, and how it is set up.
//!
//! Invariant: the unit is that of `iommu`, and knows nothing of the scenario. Its tables lie in the machine's memory, what
//! it forgets it is told through its queue, and what it has cached is looked at in its caches. A device has a unit of its
//! own, as in the model it has an IOTLB of its own. Source: drivers/iommu/intel/svm.c, pasid.c, dmar.c.

pub(crate) mod contexts;
pub(crate) mod entries;
pub(crate) mod queue;
pub(crate) mod requests;
pub(crate) mod tables;

use std::sync::Arc;

use iommu::spec::command::{QUEUE, ROOT_TABLE, TRANSLATION};
use iommu::spec::descriptor::Descriptor;
use iommu::spec::register::Register;
use iommu::vtd::options::{CacheSizes, VtdOptions};
use iommu::vtd::port::{Fetched, Port, Reached};
use iommu::vtd::{SpaceKey, Vtd, Width};
use mmu::address::{Access, VirtAddr};
use mmu::memory::PhysicalMemory;
use ordering::lowering::{Caches, Scene, UserId};
use parking_lot::Mutex;
use pcie::{Ats, Msi, MsiSink};
use steps::Directory;
use steps::entry::Bit;

use self::entries::Entries;
use self::queue::{Queue, Ring};
use self::requests::{NEIGHBOURS, SOURCE, request};
use crate::seat::Seat;
use crate::stuck::Stuck;

/// Translations of a device's own TLB; the IOTLB has as many.
const ENTRIES: usize = 4096;

/// A device's unit, its driver, and the device's port.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) unit: Arc<Vtd>,
    pub(crate) port: Seat<Port>,
    pub(crate) queue: Queue,
    /// Those of functions beside it, if it goes by context entries.
    neighbours: Vec<Seat<Port>>,
    /// By page: how far a walk has come, of which the IOTLB has nothing yet.
    pub(crate) walks: Vec<Mutex<Option<Walk>>>,
    /// By page: what is on its way to the device's own TLB.
    pub(crate) completions: Vec<Mutex<Option<Fetched>>>,
    /// What a test lets the driver do wrong.
    #[cfg(test)]
    pub(crate) lapse: Mutex<Option<tests::Lapse>>,
}

/// A walk that goes on later.
#[derive(Clone, Debug)]
pub(crate) enum Walk {
    /// It has read the upper entry.
    Reached(Reached),
    /// It has read the entry.
    Fetched(Fetched),
}

/// Nobody is interrupted: the driver looks by himself.
struct Polled;

impl MsiSink for Polled {
    fn send(&self, _: Msi) {}
}

/// Whether the devices of `scene` have the VT-d unit in front of them; if not, why they have plain translation caches.
///
/// # Errors
/// What the scenario asks for that the unit does not do.
pub fn on_unit(scene: &Scene) -> Result<(), &'static str> {
    let is_device = |caches: Caches| matches!(caches, Caches::Iotlb | Caches::DeviceTlb);
    let ahead = scene.users.iter().any(|user| user.caches == Caches::DeviceTlb);
    let tracks = |bit: Bit| scene.entries.iter().any(|entry| entry.bits.has(bit));
    let under = |above| scene.pages.iter().filter(|page| page.above == Some(above)).count();
    let shares_upper = scene.pages.iter().filter_map(|page| page.above).any(|above| under(above) > 1);
    let has_upper = scene.pages.iter().any(|page| page.above.is_some());
    let shares_pasid = scene.pages.len() > 1 && scene.users.iter().any(|user| user.pasid.is_some());
    let home_above = |above| scene.pages.iter().find(|page| page.above == Some(above)).map(|page| page.home);
    let several_homes =
        scene.pages.iter().any(|page| page.above.and_then(home_above).is_some_and(|home| home != page.home));
    let by_context = scene.users.iter().any(|user| user.directory == Directory::Contexts);
    let drains = scene.options.inv_drains || ahead && scene.options.ats_drains;
    match () {
        () if !scene.users.iter().any(|user| is_device(user.caches)) => Ok(()),
        () if scene.options.split_walk && drains && (shares_upper || shares_pasid) => {
            Err("an invalidation of one page ends the unit's walks to all pages of the PASID")
        }
        () if several_homes => Err("one upper entry stands in one address space, and its pages in several"),
        () if tracks(Bit::Huge) && shares_upper => {
            Err("a huge page is one entry of the unit's IOTLB, and each page under it a part of its frame")
        }
        () if tracks(Bit::Dirty) && has_upper => Err(
            "a walk to make an entry dirty begins at a cached upper entry or above, and no step says where",
        ),
        () if by_context && (tracks(Bit::Dirty) || tracks(Bit::Young)) => {
            Err("a second-stage walk of legacy mode sets neither an accessed nor a dirty bit")
        }
        () => Ok(()),
    }
}

impl Unit {
    /// The unit of a user of `scene` in front of `memory`, translating by `entries`.
    pub(crate) fn new(
        scene: &Scene,
        user: UserId,
        memory: &Arc<PhysicalMemory>,
        entries: &Entries,
        ring: Ring,
    ) -> Self {
        let caches = CacheSizes { iotlb: ENTRIES, ..CacheSizes::default() };
        let options = VtdOptions { caches, ..VtdOptions::default() };
        let unit = Vtd::new(Arc::clone(memory), options, Arc::new(Polled));
        let ahead = scene.users[user.0].caches == Caches::DeviceTlb;
        let mut port = unit.port(SOURCE, if ahead { ENTRIES } else { 0 });
        port.set_ats(if ahead { Ats::Enabled } else { Ats::Disabled });
        let queue = Queue::new(&unit, memory, ring);
        switch_on(&unit, entries.root_register(scene, user));
        let by_context = scene.users[user.0].directory == Directory::Contexts;
        let neighbours = NEIGHBOURS.into_iter().filter(|_| by_context);
        let unit = Self {
            port: Seat::new(port),
            queue,
            neighbours: neighbours.map(|source| Seat::new(unit.port(source, 0))).collect(),
            unit,
            walks: scene.pages.iter().map(|_| Mutex::default()).collect(),
            completions: scene.pages.iter().map(|_| Mutex::default()).collect(),
            #[cfg(test)]
            lapse: Mutex::default(),
        };
        unit.empty();
        unit
    }

    /// Nothing of the scenario's is cached; what it needs for its neighbours is.
    pub(crate) fn empty(&self) {
        self.unit.empty();
        for neighbour in &self.neighbours {
            let read = neighbour.lock().read_entries(request(None, VirtAddr(0), Access::Read));
            read.expect("the entries of the neighbours are never written again");
        }
    }

    /// Nothing is in flight.
    pub(crate) fn end_walks(&self) {
        self.walks.iter().for_each(|slot| *slot.lock() = None);
        self.completions.iter().for_each(|slot| *slot.lock() = None);
    }

    /// The device answers the unit, also what it was told while it did not.
    pub(crate) fn answer_again(&self) {
        self.unit.release_device_tlb(SOURCE);
    }

    /// Tells the unit and the device to forget, and waits.
    ///
    /// # Errors
    /// [`Stuck::Cannot`] if the device does not answer.
    pub(crate) fn forget(&self, descriptors: &[Descriptor]) -> Result<(), Stuck> {
        #[cfg(test)]
        if let Some(lapse) = *self.lapse.lock() {
            return lapse.submit(&self.queue, descriptors);
        }
        self.queue.submit(descriptors)
    }

    /// The device is told, and does not answer in time: the unit reports it, and the driver goes on. One that `is_gone`
    /// never will.
    ///
    /// # Errors
    /// [`Stuck::Cannot`] if the unit does anything else.
    pub(crate) fn gives_up(&self, descriptors: &[Descriptor], is_gone: bool) -> Result<(), Stuck> {
        self.unit.hold_device_tlb(SOURCE);
        self.queue.submit_to_nobody(descriptors, SOURCE)?;
        if !is_gone {
            self.unit.release_device_tlb(SOURCE);
        }
        Ok(())
    }

    /// The IOTLB loses what it holds of an address.
    pub(crate) fn evict(&self, space: SpaceKey, address: VirtAddr) {
        #[cfg(test)]
        if *self.lapse.lock() == Some(tests::Lapse::KeepsEvicted) {
            return;
        }
        self.unit.evict_iotlb(space, address);
    }
}

/// Root table, queue, translation. The unit is new: there is nothing that its caches would have to forget.
fn switch_on(unit: &Vtd, root_register: u64) {
    let command = |value: u32| unit.write(Register::GLOBAL_COMMAND.0.into(), Width::Bits32, value.into());
    unit.write(Register::ROOT_TABLE.0.into(), Width::Bits64, root_register);
    command(ROOT_TABLE);
    command(QUEUE);
    command(QUEUE | TRANSLATION);
}

#[cfg(test)]
mod tests;
