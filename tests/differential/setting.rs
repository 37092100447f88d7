//! What there is on both sides: two pages, four frames, two CPUs, one vCPU, one device, and two threads of the kernel.
//!
//! Invariant: a thing has one name, which is what the scenario calls it and what a comparison prints.

use std::fmt;

/// A page, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Page(pub(super) usize);

/// A frame, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame(pub(super) usize);

/// A thread of the memory manager, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kernel(pub(super) usize);

/// Who uses pages through a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum User {
    /// A CPU, by its number.
    Cpu(usize),
    /// The vCPU.
    Vcpu,
    /// The device.
    Device,
}

pub(super) const PAGES: [Page; 2] = [Page(0), Page(1)];
pub(super) const FRAMES: [Frame; 4] = [Frame(0), Frame(1), Frame(2), Frame(3)];
pub(super) const KERNELS: [Kernel; 2] = [Kernel(0), Kernel(1)];
pub(super) const USERS: [User; 4] = [User::Cpu(0), User::Cpu(1), User::Vcpu, User::Device];
/// What is stored lies below; a frame's number is its content at the start.
pub(super) const VALUES: u64 = 4;
/// Nobody holds it at the start.
pub(super) const FREE_AT_FIRST: Frame = Frame(3);

/// An entry at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mapped {
    pub(super) frame: Frame,
    pub(super) permission: steps::one_page::Protection,
}

/// What the pages map at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Setting {
    pub(super) entries: [Option<Mapped>; 2],
}

impl Setting {
    /// The settings that programs start from: a page of its own, a shared one, one that nobody may write, an empty one.
    pub(super) fn all() -> Vec<Self> {
        use steps::one_page::Protection::{ReadOnly, ReadWrite};
        let map = |frame, permission| Some(Mapped { frame: Frame(frame), permission });
        vec![
            Self { entries: [map(0, ReadOnly), map(1, ReadWrite)] },
            Self { entries: [map(0, ReadOnly), map(0, ReadOnly)] },
            Self { entries: [map(0, ReadWrite), None] },
            Self { entries: [map(2, ReadWrite), map(2, ReadOnly)] },
        ]
    }

    /// How often a frame is mapped.
    pub(super) fn mappings(&self, frame: Frame) -> usize {
        self.entries.iter().flatten().filter(|mapped| mapped.frame == frame).count()
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["A", "B"][self.0])
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{}", self.0)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(number) => write!(f, "T{number}"),
            Self::Vcpu => f.write_str("V0"),
            Self::Device => f.write_str("D0"),
        }
    }
}
