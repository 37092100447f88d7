//! Scenarios on the live machine of `race`, with vCPUs on KVM: a guest executes their loads and stores.
//!
//! Invariant: what a vCPU reads was read by a guest at CPL3, through the shadow entries that the machine writes; a vCPU that
//! does not answer is an error that names it, never a hang. Read in this order: `exchange` (an access and its answer),
//! `players` (all vCPUs of a scenario).

mod exchange;
mod players;

use std::sync::Arc;

use guest_images::Program;
use guest_images::layout::{AREA_PAGES, MAX_VCPUS};
use mmu::address::{PAGE_SHIFT, PageSize, Pfn};
use mmu::memory::{MemoryError, PhysicalMemory};
use ordering::lowering::{Caches, Lowered, Scene, UserId};
use race::machine::{Machine, Stuck};
use race::vcpus::{Guest, bytes_needed, playable};
use thiserror::Error;

use self::players::Players;
use crate::kvm::{GuestSpace, System, SystemError, VcpuError, Vm, VmError};

/// Frames that are left to the guest for its tables, its program and its mailboxes: the first 2 MiB.
const GUEST_FRAMES: u64 = 512;
const _: () = assert!(GUEST_FRAMES << PAGE_SHIFT == PageSize::Size2M.bytes(), "2 MiB");

/// Who can play the vCPUs of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlayedBy {
    /// There are none.
    Nobody,
    /// KVM can.
    Kvm,
    /// Software only; the reason.
    Software(&'static str),
}

/// Why no guest plays a scenario.
#[derive(Debug, Error)]
pub enum PlayError {
    /// The scenario has no vCPU.
    #[error("the scenario has no vCPU")]
    NoVcpus,
    /// KVM cannot play its vCPUs.
    #[error("KVM cannot play the vCPUs of this scenario: {0}")]
    Unplayable(&'static str),
    /// KVM is not there.
    #[error(transparent)]
    System(#[from] SystemError),
    /// No machine.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A vCPU cannot be made.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// No room for its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The host has no thread left.
    #[error("cannot start a thread for a vCPU: {error}; {}", crate::remedy::remedy(.0, "end other programs"), error = .0)]
    Thread(#[from] std::io::Error),
    /// A vCPU does not answer.
    #[error(transparent)]
    Stuck(#[from] Stuck),
}

/// Who can play the vCPUs of `scene`.
#[must_use]
pub fn played_by(scene: &Scene) -> PlayedBy {
    let has_own_tlb = scene.users.iter().any(|user| user.caches == Caches::VcpuTlb);
    match playable(scene).count() {
        _ if has_own_tlb => {
            PlayedBy::Software("it flushes the vCPUs' own TLBs, and nobody sees what a real one holds")
        }
        0 => PlayedBy::Nobody,
        1..=MAX_VCPUS => PlayedBy::Kvm,
        _ => PlayedBy::Software("it has more vCPUs than a guest"),
    }
}

/// A machine like the scenario, whose vCPUs run on KVM.
///
/// # Errors
/// [`PlayError`], among others if [`played_by`] says that KVM cannot, or has nothing to do.
pub fn machine(lowered: &Lowered) -> Result<Machine, PlayError> {
    Ok(Machine::with_guest(lowered, guest(lowered)?)?)
}

/// A guest that plays the vCPUs of the scenario; they run until it is dropped.
///
/// # Errors
/// As [`machine`].
pub fn guest(lowered: &Lowered) -> Result<Guest, PlayError> {
    match played_by(&lowered.scene) {
        PlayedBy::Nobody => return Err(PlayError::NoVcpus),
        PlayedBy::Software(reason) => return Err(PlayError::Unplayable(reason)),
        PlayedBy::Kvm => {}
    }
    let free_from = Pfn(GUEST_FRAMES);
    let bytes = bytes_needed(lowered, free_from);
    let (memory, space, vcpus) = seated(playable(&lowered.scene).collect(), bytes)?;
    let (leaf_table, leaf_entries) = (space.leaf_table(), AREA_PAGES);
    Ok(Guest { memory, free_from, leaf_table, leaf_entries, vcpus: Arc::new(vcpus) })
}

/// vCPUs for `users` that wait to be asked, in a guest with that much memory.
fn seated(users: Vec<UserId>, bytes: u64) -> Result<(Arc<PhysicalMemory>, GuestSpace, Players), PlayError> {
    let system = System::open()?;
    let memory = Arc::new(PhysicalMemory::new(bytes)?);
    // Frame 0 stays free: a zero that is taken for a frame hits nobody.
    let mut frames = (1..GUEST_FRAMES).map(Pfn);
    let mut allocate = || match frames.next() {
        Some(frame) => frame,
        None => unreachable!("{GUEST_FRAMES} frames are enough for {MAX_VCPUS} vCPUs"),
    };
    let space = GuestSpace::build(&memory, &mut allocate, Program::Player, users.len());
    let vm = Arc::new(Vm::new(&system, Arc::clone(&memory))?);
    let vcpus = Players::start(&vm, &space, users)?;
    Ok((memory, space, vcpus))
}

#[cfg(test)]
mod tests;
