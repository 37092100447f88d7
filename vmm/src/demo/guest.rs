//! The guest of a run: vCPUs on the shadow page table, on KVM or in software.
//!
//! Invariant: both kinds do the same with the same pages and count the same; who asks which it was gets it from
//! [`CpuKind`].

mod kvm;
mod software;

use std::sync::Arc;

use mmu::address_space::AddressSpace;
use mmu::frame::{FrameRef, Frames};
use mmu::trace::Observer;
use serde::Serialize;
use thiserror::Error;

use self::kvm::KvmGuest;
use self::software::SoftwareGuest;
use super::board::Board;
use super::party::UserError;
use super::tally::Counts;
use crate::kvm::{SystemError, VcpuError, VmError, ZapError};

/// What the vCPUs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuKind {
    /// Real ones.
    Kvm,
    /// Threads with a TLB model.
    Software,
}

/// Why a guest cannot start or go on.
#[derive(Debug, Error)]
pub enum GuestError {
    /// KVM is not there.
    #[error(transparent)]
    System(#[from] SystemError),
    /// No machine.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A vCPU broke down.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// A vCPU could not be made to drop a translation.
    #[error(transparent)]
    Zap(#[from] ZapError),
    /// A vCPU's fault was refused.
    #[error(transparent)]
    User(#[from] UserError),
    /// No frames for its tables.
    #[error(transparent)]
    OutOfFrames(#[from] mmu::frame::OutOfFrames),
    /// No room for a TLB.
    #[error(transparent)]
    Cache(#[from] mmu::cache::CacheError),
    /// The host has no thread left.
    #[error("cannot start a thread for a vCPU: {error}; {}", crate::remedy::remedy(.0, "end other programs"), error = .0)]
    Thread(#[from] std::io::Error),
}

/// What a guest runs on and in.
#[derive(Clone)]
pub struct GuestParts {
    /// The frames.
    pub frames: Arc<Frames>,
    /// The address space that is shadowed.
    pub space: Arc<AddressSpace>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Pages under test.
    pub pages: u64,
    /// vCPUs.
    pub vcpus: u16,
}

/// A guest that was built, and runs once it was started.
pub enum Guest {
    /// On KVM.
    Kvm(KvmGuest),
    /// In software.
    Software(SoftwareGuest),
}

impl Guest {
    /// Builds a guest of the kind asked for; nothing runs yet.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn build(kind: CpuKind, parts: &GuestParts) -> Result<Self, GuestError> {
        Ok(match kind {
            CpuKind::Kvm => Self::Kvm(KvmGuest::build(parts)?),
            CpuKind::Software => Self::Software(SoftwareGuest::build(parts)?),
        })
    }

    /// The frame of its board, held.
    #[must_use]
    pub fn board_frame(&self) -> FrameRef {
        match self {
            Self::Kvm(guest) => guest.board_frame(),
            Self::Software(guest) => guest.board_frame(),
        }
    }

    /// Subscribes the shadow page table and starts the vCPUs.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn start(&mut self) -> Result<(), GuestError> {
        match self {
            Self::Kvm(guest) => guest.start(),
            Self::Software(guest) => guest.start(),
        }
    }

    /// What each vCPU did so far, in their order.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        match self {
            Self::Kvm(guest) => guest.counts(),
            Self::Software(guest) => guest.counts(),
        }
    }

    /// What a vCPU is doing, for who waits for it in vain.
    #[must_use]
    pub fn activity(&self, vcpu: usize) -> String {
        match self {
            Self::Kvm(guest) => guest.activity(vcpu),
            Self::Software(_) => "a software vCPU".to_owned(),
        }
    }

    /// The first failure of a vCPU, if there was one. It is handed out once.
    #[must_use]
    pub fn take_failure(&self) -> Option<GuestError> {
        match self {
            Self::Kvm(guest) => guest.take_failure(),
            Self::Software(guest) => guest.take_failure(),
        }
    }

    /// Stops and joins the vCPUs.
    pub fn stop(&mut self, board: &Board) {
        board.stop();
        match self {
            Self::Kvm(guest) => guest.stop(),
            Self::Software(guest) => guest.stop(),
        }
    }
}
