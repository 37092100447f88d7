//! Invalidations: which caches are emptied, whose, of what, to which depth, and whether at once.
//!
//! Invariant: every invalidation is one step of this shape; which caches can be emptied of what, the types say. Source:
//! VT-d 4.1, 6.5.2 (descriptors); arch/x86/mm/tlb.c; drivers/iommu/arm/arm-smmu-v3 (TLBI, ATC_INV).

use super::{Directory, Pages};
use crate::names::Names;
use crate::table::Verb;

/// Kinds of caches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CacheKind {
    /// The CPUs' TLBs.
    Cpus,
    /// The vCPUs' TLBs.
    Vcpus,
    /// IOTLBs and the devices' own TLBs.
    Devices,
    /// IOTLBs only.
    Iotlbs,
    /// The devices' own TLBs only.
    DeviceTlbs,
    /// PASID caches and context caches.
    PasidCaches,
}

/// Whether what is kept of upper entries goes, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Depth {
    /// It goes.
    All,
    /// It stays: `leaf`, the invalidation hint.
    Leaf,
}

/// Whose caches of a kind are emptied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope<N: Names> {
    /// Everybody's.
    All,
    /// That of the CPU which takes the step: a local flush.
    Own,
    /// Those of all CPUs but that one.
    Others,
    /// One's.
    On(N::User),
}

/// A part of an address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Range<N: Names> {
    /// A page.
    Page(N::Page, Depth),
    /// Pages side by side, the first and the last.
    Pages(N::Page, N::Page, Depth),
    /// All that lies under an upper entry.
    Under(N::Pmd, Depth),
    /// All of it.
    Mm(N::Mm),
}

/// Caches, and of what they are emptied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Emptied<N: Names> {
    /// The CPUs' TLBs, of what they hold under the tag that they use.
    Cpus(Range<N>),
    /// The CPUs' TLBs, of what they hold of pages under that tag,
    CpusUnder(Pages<N>, Depth, N::Tag),
    /// or of all of it.
    CpusOf(N::Tag),
    /// The vCPUs' TLBs.
    Vcpus(Pages<N>),
    /// IOTLBs and the devices' own TLBs.
    Devices(Range<N>),
    /// IOTLBs of a page,
    Iotlbs(N::Page, Depth),
    /// or of all of a PASID.
    IotlbsOf(N::Pasid),
    /// The devices' own TLBs of a page,
    DeviceTlbs(N::Page),
    /// or of all of a PASID.
    DeviceTlbsOf(N::Pasid),
    /// The PASID caches of its devices, or the context cache of one.
    PasidCaches(Directory, N::Pasid),
}

/// An invalidation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalidation<N: Names> {
    /// What is emptied.
    pub emptied: Emptied<N>,
    /// Whose.
    pub scope: Scope<N>,
    /// Whether it is put into the queue: it is not done yet.
    pub posted: bool,
}

/// Of what caches are emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach<'s, N: Names> {
    /// A page.
    Page(&'s N::Page),
    /// Pages side by side, the first and the last.
    Pages(&'s N::Page, &'s N::Page),
    /// All that lies under an upper entry.
    Under(&'s N::Pmd),
    /// An address space.
    Mm(&'s N::Mm),
    /// A PASID, and of its devices alone.
    Pasid(&'s N::Pasid),
    /// Everything that is under that tag.
    Tag(&'s N::Tag),
}

impl<N: Names> Invalidation<N> {
    /// The word that it is written with.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match &self.emptied {
            Emptied::Cpus(Range::Page(..) | Range::Pages(..)) | Emptied::CpusUnder(..) => Verb::FlushTlb,
            Emptied::CpusOf(_) => Verb::FlushTag,
            Emptied::Cpus(Range::Under(..)) => Verb::FlushPmd,
            Emptied::Cpus(Range::Mm(_)) => Verb::FlushTlbMm,
            Emptied::Vcpus(_) => Verb::FlushVcpus,
            Emptied::Devices(Range::Page(..) | Range::Pages(..)) => Verb::Notify,
            Emptied::Devices(Range::Under(..)) => Verb::NotifyPmd,
            Emptied::Devices(Range::Mm(_)) => Verb::NotifyMm,
            Emptied::Iotlbs(..) => Verb::IotlbInv,
            Emptied::IotlbsOf(_) => Verb::IotlbInvPasid,
            Emptied::DeviceTlbs(_) => Verb::DevtlbInv,
            Emptied::DeviceTlbsOf(_) => Verb::DevtlbInvPasid,
            Emptied::PasidCaches(Directory::Pasids, _) => Verb::PasidInv,
            Emptied::PasidCaches(Directory::Contexts, _) => Verb::ContextInv,
        }
    }

    /// Which caches are emptied.
    #[must_use]
    pub const fn caches(&self) -> CacheKind {
        match &self.emptied {
            Emptied::Cpus(_) | Emptied::CpusUnder(..) | Emptied::CpusOf(_) => CacheKind::Cpus,
            Emptied::Vcpus(_) => CacheKind::Vcpus,
            Emptied::Devices(_) => CacheKind::Devices,
            Emptied::Iotlbs(..) | Emptied::IotlbsOf(_) => CacheKind::Iotlbs,
            Emptied::DeviceTlbs(_) | Emptied::DeviceTlbsOf(_) => CacheKind::DeviceTlbs,
            Emptied::PasidCaches(..) => CacheKind::PasidCaches,
        }
    }

    /// How deep.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        match &self.emptied {
            Emptied::Cpus(Range::Page(_, depth) | Range::Pages(_, _, depth) | Range::Under(_, depth))
            | Emptied::Devices(Range::Page(_, depth) | Range::Pages(_, _, depth) | Range::Under(_, depth))
            | Emptied::CpusUnder(_, depth, _)
            | Emptied::Iotlbs(_, depth) => *depth,
            Emptied::Cpus(Range::Mm(_))
            | Emptied::Devices(Range::Mm(_))
            | Emptied::CpusOf(_)
            | Emptied::Vcpus(_)
            | Emptied::IotlbsOf(_)
            | Emptied::DeviceTlbs(_)
            | Emptied::DeviceTlbsOf(_)
            | Emptied::PasidCaches(..) => Depth::All,
        }
    }

    /// Of what.
    #[must_use]
    pub const fn reach(&self) -> Reach<'_, N> {
        match &self.emptied {
            Emptied::Cpus(range) | Emptied::Devices(range) => match range {
                Range::Page(page, _) => Reach::Page(page),
                Range::Pages(first, last, _) => Reach::Pages(first, last),
                Range::Under(pmd, _) => Reach::Under(pmd),
                Range::Mm(mm) => Reach::Mm(mm),
            },
            Emptied::Vcpus(Pages::One(page))
            | Emptied::CpusUnder(Pages::One(page), ..)
            | Emptied::Iotlbs(page, _)
            | Emptied::DeviceTlbs(page) => Reach::Page(page),
            Emptied::CpusOf(tag) => Reach::Tag(tag),
            Emptied::Vcpus(Pages::To(first, last)) | Emptied::CpusUnder(Pages::To(first, last), ..) => {
                Reach::Pages(first, last)
            }
            Emptied::IotlbsOf(pasid) | Emptied::DeviceTlbsOf(pasid) | Emptied::PasidCaches(_, pasid) => {
                Reach::Pasid(pasid)
            }
        }
    }

    /// The tag under which CPUs forget; none: each the one that it uses.
    #[must_use]
    pub const fn tag(&self) -> Option<&N::Tag> {
        match &self.emptied {
            Emptied::CpusUnder(_, _, tag) | Emptied::CpusOf(tag) => Some(tag),
            Emptied::Cpus(_)
            | Emptied::Vcpus(_)
            | Emptied::Devices(_)
            | Emptied::Iotlbs(..)
            | Emptied::IotlbsOf(_)
            | Emptied::DeviceTlbs(_)
            | Emptied::DeviceTlbsOf(_)
            | Emptied::PasidCaches(..) => None,
        }
    }
}
