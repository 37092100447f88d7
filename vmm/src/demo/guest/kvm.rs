//! vCPUs on KVM: each runs the coherence program natively on the shadow page table, whose entries its own CPL0 stub
//! writes.
//!
//! Invariant: an entry is handed to the stub under mmu_lock, and a zap is waited for under mmu_lock, so a vCPU that
//! was handed an entry that is zapped since applies the zap after it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use guest_images::layout::{AREA_PAGES, AREA_VA, coherence_stats};
use guest_images::program::Program;
use mmu::address::{Access, PhysAddr, VirtAddr, VirtRange};
use mmu::frame::{FrameRef, FrameState, Frames};
use mmu::shadow::{Retry, ShadowHardware, ShadowMmu, ShadowPage};
use mmu::table::Slot;
use mmu::trace::{Action, Agent, Event, Observer};
use parking_lot::Mutex;

use super::{GuestError, GuestParts};
use crate::demo::party::{UserError, page_address};
use crate::demo::tally::Counts;
use crate::kvm::{
    Exit, GuestSpace, Hypercall, Install, PageSet, System, Vcpu, VcpuHandle, VcpuId, Vm, ZapPort,
};

/// A guest on KVM.
pub struct KvmGuest {
    parts: GuestParts,
    space: GuestSpace,
    hardware: Arc<StubShadow>,
    vcpus: Vec<Vcpu>,
    handles: Vec<VcpuHandle>,
    threads: Vec<JoinHandle<()>>,
}

/// The entries that the stubs write.
struct StubShadow {
    frames: Arc<Frames>,
    zaps: ZapPort,
    /// The first thing that went wrong in any vCPU or zap; the run ends for it.
    failure: Mutex<Option<GuestError>>,
}

/// What the thread of one vCPU works with.
struct Service {
    vcpu: Vcpu,
    shadow: Arc<ShadowMmu>,
    hardware: Arc<StubShadow>,
    observer: Arc<dyn Observer>,
    stats: PhysAddr,
    agent: Agent,
    handle: VcpuHandle,
}

impl KvmGuest {
    pub(super) fn build(parts: &GuestParts) -> Result<Self, GuestError> {
        let frames = &parts.frames;
        let vm = Arc::new(Vm::new(&System::open()?, Arc::clone(frames.memory()))?);
        let mut missing = None;
        let mut allocate = || match frames.allocate(FrameState::Guest) {
            Ok(frame) => frame.leak(),
            Err(none) => {
                missing = Some(none);
                mmu::address::Pfn(0)
            }
        };
        let count = usize::from(parts.vcpus);
        let space = GuestSpace::build(frames.memory(), &mut allocate, Program::Coherence, count);
        if let Some(none) = missing {
            return Err(none.into());
        }
        let vcpus =
            VcpuId::first(count).map(|id| Vcpu::new(&vm, &space, id)).collect::<Result<Vec<_>, _>>()?;
        let handles: Vec<_> = vcpus.iter().map(Vcpu::handle).collect();
        let zaps = ZapPort::new(Arc::clone(&vm), &space, handles.clone());
        let failure = Mutex::new(None);
        let hardware = Arc::new(StubShadow { frames: Arc::clone(frames), zaps, failure });
        Ok(Self { parts: parts.clone(), space, hardware, vcpus, handles, threads: Vec::new() })
    }

    /// The frame belongs to the guest for good: it was leaked to it, so a second reference is to be had.
    pub(super) fn board_frame(&self) -> FrameRef {
        match self.parts.frames.try_reference(self.space.control().pfn()) {
            Some(held) => held,
            None => unreachable!("the guest itself holds its board"),
        }
    }

    pub(super) fn start(&mut self) -> Result<(), GuestError> {
        let window = VirtRange::pages(VirtAddr(AREA_VA), AREA_PAGES);
        let slot = |page: VirtAddr| Slot { address: self.space.leaf_table().offset(page.table_index(1) * 8) };
        let slots = window.iter_pages().map(slot).collect();
        let hardware = Arc::clone(&self.hardware) as Arc<dyn ShadowHardware>;
        let shadow = ShadowMmu::new(&self.parts.space, hardware, window, slots, Retry::BySequence);
        self.parts.space.notifiers().subscribe(Arc::clone(&shadow) as _);
        for (number, vcpu) in (0..).zip(self.vcpus.drain(..)) {
            let service = Service {
                shadow: Arc::clone(&shadow),
                hardware: Arc::clone(&self.hardware),
                observer: Arc::clone(&self.parts.observer),
                stats: self.space.stats(vcpu.id()),
                agent: Agent::Vcpu(number),
                handle: vcpu.handle(),
                vcpu,
            };
            let builder = thread::Builder::new().name(format!("vcpu-{number}"));
            self.threads.push(builder.spawn(move || service.run())?);
        }
        Ok(())
    }

    pub(super) fn counts(&self) -> Vec<Counts> {
        let count = |handle: &VcpuHandle| {
            let stats = self.space.stats(handle.id());
            let word = |offset| self.parts.frames.memory().load(stats.offset(offset));
            Counts {
                accesses: word(coherence_stats::ACCESSES).saturating_add(word(coherence_stats::WRITES)),
                stale: word(coherence_stats::STALE),
                freed: word(coherence_stats::FREED_USES),
            }
        };
        self.handles.iter().map(count).collect()
    }

    pub(super) fn activity(&self, vcpu: usize) -> String {
        self.handles.get(vcpu).map_or_else(String::new, |handle| handle.activity().to_string())
    }

    pub(super) fn take_failure(&self) -> Option<GuestError> {
        self.hardware.failure.lock().take()
    }

    pub(super) fn stop(&mut self) {
        self.handles.iter().for_each(VcpuHandle::request_stop);
        for thread in self.threads.drain(..) {
            // A panic has been printed by its own thread.
            let _ended = thread.join();
        }
    }
}

impl Drop for KvmGuest {
    fn drop(&mut self) {
        self.stop();
    }
}

impl StubShadow {
    fn fail(&self, error: GuestError) {
        self.failure.lock().get_or_insert(error);
    }
}

impl ShadowHardware for StubShadow {
    fn zap(&self, pages: &[ShadowPage]) {
        let mut set = PageSet::default();
        pages.iter().for_each(|page| set.insert(page.address));
        let waited = self.zaps.request(self.zaps.vcpus(), &set).and_then(|ticket| self.zaps.wait(&ticket));
        if let Err(error) = waited {
            self.fail(error.into());
        }
    }
}

impl Service {
    fn run(mut self) {
        loop {
            match self.vcpu.run() {
                Ok(Exit::PageFault { address, access }) => {
                    if let Err(error) = self.resolve(address, access) {
                        return self.hardware.fail(error);
                    }
                }
                Ok(Exit::Hypercall(Hypercall::FirstViolation { page })) => self.report(page),
                Ok(Exit::Hypercall(Hypercall::Yield)) => thread::yield_now(),
                Ok(Exit::Hypercall(Hypercall::Output(byte))) => log::info!("guest says {byte:#04x}"),
                Ok(Exit::Hypercall(Hypercall::Stopped) | Exit::Interrupted) => return,
                Err(error) => return self.hardware.fail(error.into()),
            }
        }
    }

    /// Answers a fault. One that must be tried again is tried again here, and through the guest if the run ends.
    fn resolve(&mut self, address: VirtAddr, access: Access) -> Result<(), GuestError> {
        loop {
            let pending = self.shadow.begin_fault(address, access).map_err(UserError::from)?;
            let (vcpu, hardware) = (&self.vcpu, &self.hardware);
            let installed = self.shadow.finish_fault(&pending, self.agent, |install| {
                hardware.zaps.cancel(vcpu.id(), install.page.address);
                vcpu.answer(Some(Install {
                    entry: install.page.slot.address,
                    value: install.pte.0,
                    address: install.page.address,
                }));
            });
            if installed {
                return Ok(());
            }
            if self.handle.is_stopping() {
                self.vcpu.answer(None);
                return Ok(());
            }
            drop(pending);
            thread::yield_now();
        }
    }

    /// The guest says which page: it may say anything.
    fn report(&self, page: u64) {
        if page >= AREA_PAGES {
            return log::warn!("{} reports a violation of page {page}, of {AREA_PAGES}", self.agent);
        }
        let word = |offset| self.shadow_word(offset);
        let action = match word(coherence_stats::FIRST_KIND) {
            coherence_stats::KIND_FREED => Action::FreedUse,
            _ => Action::StaleLoad {
                value: word(coherence_stats::FIRST_VALUE),
                published: word(coherence_stats::FIRST_PUBLISHED),
            },
        };
        self.observer.record(Event::now(self.agent, action, page_address(page), None));
    }

    fn shadow_word(&self, offset: u64) -> u64 {
        self.hardware.frames.memory().load(self.stats.offset(offset))
    }
}
