//! What an operation is made of.
//!
//! Invariant: names of steps are words without blanks, each of them once in an operation.

use std::fmt;

/// Who uses the page while its mapping changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum User {
    /// A CPU, through its TLB.
    Cpu,
    /// A vCPU, under the shadow page table.
    Vcpu,
    /// A device behind the IOMMU, through its IOTLB.
    Device,
    /// A device with a TLB of its own (ATS), apart from the IOTLB: two invalidations stand where one was.
    Ats,
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Where it is told.
    pub source: &'static str,
    /// Pages, frames and what is mapped.
    pub(crate) world: &'static str,
    /// The program in the kernel's order.
    pub(crate) program: &'static str,
    /// All rows of it, in its order.
    pub(crate) pieces: &'static [Piece],
    /// Steps that stand before others in every order, as one uses what the other leaves.
    pub(crate) before: &'static [(&'static str, &'static str)],
    /// Steps without which others make no sense.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Agents that are there whoever uses the page.
    pub(crate) others: &'static str,
    /// Properties whoever uses it.
    pub(crate) never: &'static [&'static str],
    /// The users.
    pub(crate) parties: &'static [Party],
}

/// Some rows of the program.
#[derive(Debug)]
pub(crate) enum Piece {
    /// One that moves.
    Step {
        /// What it is called in an order.
        name: &'static str,
        /// The row.
        row: &'static str,
        /// Whether it may be left out: without it the operation still does its job where nobody else is.
        optional: bool,
    },
    /// So many that stand where others do.
    Frame(Place, usize),
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Before everything.
    Front,
    /// Right before the first of these steps.
    Before(&'static [&'static str]),
    /// Right behind the last of these steps.
    Behind(&'static [&'static str]),
    /// Behind everything.
    Back,
}

/// A user with what it does and what must not happen to it.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) user: User,
    /// The line that declares it.
    pub(crate) declares: &'static str,
    /// Its program.
    pub(crate) program: &'static str,
    /// Properties.
    pub(crate) never: &'static [&'static str],
    /// What must happen in some order, or else the proof says nothing about it: broken if it does.
    pub(crate) reaches: &'static str,
}

impl User {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Vcpu, Self::Device, Self::Ats];

    /// Its word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vcpu => "vcpu",
            Self::Device => "device",
            Self::Ats => "ats",
        }
    }

    /// Who that is.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Cpu => "a CPU, through its TLB",
            Self::Vcpu => "a vCPU, under the shadow page table",
            Self::Device => "a device behind the IOMMU, through its IOTLB",
            Self::Ats => "a device with a TLB of its own, apart from the IOTLB",
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Operation {
    pub(crate) fn party(&self, user: User) -> &'static Party {
        let found = self.parties.iter().find(|party| party.user == user);
        found.expect("every operation has every user")
    }
}
