//! The live machine before anything happens: an address space, its shadow, its IOMMU, and the frames of a setting.
//!
//! Invariant: every frame of memory but the setting's is taken, so that what is freed is what is allocated next. The two
//! pages are neighbours with their entries in two tables: the page-table locks of the scenario are two.

use std::sync::Arc;

use iommu::sva::port::DmaPort;
use iommu::sva::{SvaDevice, SvaDriver, SvaOptions};
use mmu::address::{PAGE_SIZE, Pfn, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::{FrameState, Frames};
use mmu::memory::MIN_MEMORY_BYTES;
use mmu::pte::Pte;
use mmu::shadow::{Retry, ShadowMmu, SoftwareShadow, SoftwareVcpu};
use mmu::table::Slot;
use mmu::trace::Unobserved;
use pcie::Pasid;
use steps::one_page::Protection;

use crate::differential::setting::{FRAMES, FREE_AT_FIRST, Frame, Mapped, PAGES, Page, Setting};

/// The last page of one table; the next is the first of another.
const FIRST_PAGE: VirtAddr = VirtAddr(0x401f_f000);

/// What stays while executions come and go.
pub(in crate::differential) struct Stage {
    pub(super) frames: Arc<Frames>,
    pub(super) space: Arc<AddressSpace>,
    pub(super) hardware: Arc<SoftwareShadow>,
    pub(super) shadow: Arc<ShadowMmu>,
    driver: Arc<SvaDriver>,
    device: SvaDevice,
    pub(super) slots: [Slot; 2],
    pfns: [Pfn; 4],
}

impl Stage {
    pub(in crate::differential) fn new(setting: &Setting) -> Self {
        let frames = Frames::new(MIN_MEMORY_BYTES).expect("the host has a MiB");
        let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), SpaceOptions::default());
        let space = space.expect("memory is empty");
        let window = VirtRange::pages(FIRST_PAGE, 2);
        space.map(window, Backing::PrivateAnonymous, Merging::Off).expect("the address space is empty");
        let hardware = SoftwareShadow::new(Arc::clone(&frames)).expect("memory has room");
        let shadowed = hardware.slots(window).expect("memory has room");
        let shadow = ShadowMmu::new(&space, Arc::clone(&hardware) as _, window, shadowed, Retry::BySequence);
        space.notifiers().subscribe(Arc::clone(&shadow) as _);
        let driver = SvaDriver::new(Arc::clone(&frames), SvaOptions::default()).expect("memory has room");
        driver.bind(pasid(), &space).expect("nothing is bound yet");
        // The model's device has one cache, the IOTLB.
        let device = driver.attach(0, 0).expect("memory has room");
        let slots = PAGES.map(|page| space.table().ensure_slot(address(page)).expect("memory has room"));
        let pfns = take_all(&frames, setting);
        let stage = Self { frames, space, hardware, shadow, driver, device, slots, pfns };
        stage.fill(setting);
        stage
    }

    /// The entries of the setting.
    fn fill(&self, setting: &Setting) {
        for (slot, mapped) in self.slots.iter().zip(&setting.entries) {
            if let Some(Mapped { frame, permission }) = *mapped {
                let bits = match permission {
                    Protection::ReadOnly => Pte::ACCESSED,
                    Protection::ReadWrite => Pte::ACCESSED | Pte::WRITE | Pte::DIRTY,
                };
                self.space.table().store(*slot, Pte::leaf(self.pfn(frame)).with(bits));
            }
        }
    }

    pub(super) fn cpu(&self, number: u16) -> Cpu {
        Cpu::new(number, Arc::clone(&self.space))
    }

    pub(super) fn vcpu(&self) -> SoftwareVcpu {
        self.hardware
            .vcpu(0, Arc::clone(&self.shadow), Arc::new(Unobserved))
            .expect("the host has room for a TLB")
    }

    pub(super) fn device(&self) -> DmaPort {
        DmaPort::new(&self.driver, self.device, pasid(), Arc::new(Unobserved))
    }

    pub(super) fn address(&self, page: Page) -> VirtAddr {
        address(page)
    }

    pub(super) fn pfn(&self, frame: Frame) -> Pfn {
        self.pfns[frame.0]
    }
}

impl Drop for Stage {
    /// Entries may map what nobody holds by now: they go before the address space gives its pages back.
    fn drop(&mut self) {
        for slot in self.slots {
            self.space.table().store(slot, Pte::NONE);
        }
    }
}

/// Takes every frame there is; returns those of the setting, with the references and map counts it says.
fn take_all(frames: &Arc<Frames>, setting: &Setting) -> [Pfn; 4] {
    let taken = FRAMES.map(|_| frames.allocate(FrameState::Anonymous).expect("memory has room"));
    while let Ok(other) = frames.allocate(FrameState::Anonymous) {
        let _pfn = other.leak();
    }
    let mut pfns = [Pfn(0); 4];
    for (frame, reference) in FRAMES.into_iter().zip(taken) {
        let pfn = reference.pfn();
        pfns[frame.0] = pfn;
        frames.memory().store(pfn.address(), frame.0 as u64);
        let more = setting.mappings(frame).saturating_sub(1);
        for _ in 0..more {
            let _pfn = frames.try_reference(pfn).expect("it is held").into_mapping();
        }
        match setting.mappings(frame) {
            0 if frame == FREE_AT_FIRST => drop(reference),
            0 => drop(reference.leak()),
            _ => drop(reference.into_mapping()),
        }
    }
    pfns
}

fn address(page: Page) -> VirtAddr {
    FIRST_PAGE.offset(page.0 as u64 * PAGE_SIZE)
}

fn pasid() -> Pasid {
    Pasid::new(1).expect("the unit has it")
}
