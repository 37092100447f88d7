//! Software vCPUs: threads on the shadow page table through the TLB model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use guest_images::layout::{AREA_VA, CONTROL_VA};
use mmu::address::{VirtAddr, VirtRange};
use mmu::frame::{FrameRef, FrameState};
use mmu::shadow::{Retry, ShadowMmu, SoftwareShadow, SoftwareVcpu};
use mmu::trace::Agent;
use parking_lot::Mutex;

use super::{GuestError, GuestParts};
use crate::demo::board::User;
use crate::demo::party::{Party, UserError};
use crate::demo::tally::{Counts, Tally};

/// A guest whose vCPUs are threads.
pub struct SoftwareGuest {
    parts: GuestParts,
    hardware: Arc<SoftwareShadow>,
    board: FrameRef,
    tallies: Vec<Arc<Tally>>,
    failure: Arc<Mutex<Option<GuestError>>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl SoftwareGuest {
    pub(super) fn build(parts: &GuestParts) -> Result<Self, GuestError> {
        Ok(Self {
            parts: parts.clone(),
            hardware: SoftwareShadow::new(Arc::clone(&parts.frames))?,
            board: parts.frames.allocate(FrameState::Shared)?,
            tallies: (0..parts.vcpus).map(|_| Arc::default()).collect(),
            failure: Arc::default(),
            stopped: Arc::default(),
            threads: Vec::new(),
        })
    }

    pub(super) fn board_frame(&self) -> FrameRef {
        match self.parts.frames.try_reference(self.board.pfn()) {
            Some(held) => held,
            None => unreachable!("the guest itself holds its board"),
        }
    }

    /// A software vCPU has no static mappings: its window reaches from the pages to the board.
    pub(super) fn start(&mut self) -> Result<(), GuestError> {
        let window = VirtRange { start: VirtAddr(AREA_VA), end: VirtRange::page(VirtAddr(CONTROL_VA)).end };
        let slots = self.hardware.slots(window)?;
        let hardware = Arc::clone(&self.hardware);
        let shadow = ShadowMmu::new(&self.parts.space, hardware, window, slots, Retry::BySequence);
        self.parts.space.notifiers().subscribe(Arc::clone(&shadow) as _);
        for number in 0..self.parts.vcpus {
            self.start_vcpu(number, &shadow)?;
        }
        Ok(())
    }

    fn start_vcpu(&mut self, number: u16, shadow: &Arc<ShadowMmu>) -> Result<(), GuestError> {
        let observer = Arc::clone(&self.parts.observer);
        let vcpu = self.hardware.vcpu(number, Arc::clone(shadow), Arc::clone(&observer))?;
        let user = User::of(Agent::Vcpu(number));
        let tally = Arc::clone(&self.tallies[usize::from(number)]);
        let party = Party::new(user, self.parts.pages, tally, observer);
        let (stopped, failure) = (Arc::clone(&self.stopped), Arc::clone(&self.failure));
        let run = move || {
            if let Err(error) = run(vcpu, party, &stopped) {
                failure.lock().get_or_insert(error.into());
            }
        };
        self.threads.push(thread::Builder::new().name(format!("vcpu-{number}")).spawn(run)?);
        Ok(())
    }

    pub(super) fn counts(&self) -> Vec<Counts> {
        self.tallies.iter().map(|tally| tally.counts()).collect()
    }

    pub(super) fn take_failure(&self) -> Option<GuestError> {
        self.failure.lock().take()
    }

    pub(super) fn stop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic has been printed by its own thread.
            let _ended = thread.join();
        }
    }
}

impl Drop for SoftwareGuest {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut vcpu: SoftwareVcpu, mut party: Party, stopped: &AtomicBool) -> Result<(), UserError> {
    let stopped = || stopped.load(Ordering::Acquire);
    while !stopped() {
        match party.play(&mut vcpu, &stopped) {
            Err(UserError::Stopped) => break,
            played => played?,
        }
        vcpu.pause();
        thread::yield_now();
    }
    Ok(())
}
