//! Steps, as text of the scenario language.
//!
//! Invariant: a step is written here as a scenario writes it, so that an event can name it by its text.
//! Source: docs/language.md, "Steps".

use std::fmt;

use super::entry::{Bit, Entry};

/// A page: A, B, …
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Page(pub(super) usize);

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["A", "B", "C"][self.0])
    }
}

/// An address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mm(pub(super) usize);

impl fmt::Display for Mm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["P", "Q"][self.0])
    }
}

/// What TLBs tell address spaces by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag(pub(super) usize);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{}", self.0)
    }
}

/// Which CPUs a flush reaches that does not reach all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    Own,
    Others,
    On(usize),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Others => f.write_str("others"),
            Self::On(cpu) => write!(f, "on C{cpu}"),
        }
    }
}

/// A lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lock {
    Ptl(Page),
    Named(usize),
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ptl(page) => write!(f, "ptl({page})"),
            Self::Named(number) => write!(f, "l{number}"),
        }
    }
}

/// What has references: a frame, a page-table page, or what a handle of the agent stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    Frame(usize),
    Table(usize),
    Handle(usize),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(number) => write!(f, "f{number}"),
            Self::Table(number) => write!(f, "T{number}"),
            Self::Handle(number) => write!(f, "h{number}"),
        }
    }
}

/// How a change of counts is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    Alloc,
    Get,
    Put,
    Pin,
    Unpin,
    Map,
    Unmap,
    Free,
}

impl Count {
    const fn word(self) -> &'static str {
        match self {
            Self::Alloc => "alloc",
            Self::Get => "get",
            Self::Put => "put",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Free => "free",
        }
    }
}

/// An invalidation, which may be posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invalidation {
    FlushTlb(Page),
    FlushScoped(Page, Scope),
    FlushUnder(Page, Tag),
    FlushTag(Tag),
    Notify(Page),
    IotlbInv(Page),
    DevtlbInv(Page),
    FlushTlbMm(Mm),
    NotifyMm(Mm),
    FlushPmd(usize),
    NotifyPmd(usize),
    PasidInv,
    IotlbInvPasid,
    DevtlbInvPasid,
    FlushVcpus(Page),
}

impl Invalidation {
    /// Whether it empties TLBs of CPUs.
    pub(super) const fn is_of_cpus(self) -> bool {
        match self {
            Self::FlushTlb(_)
            | Self::FlushScoped(..)
            | Self::FlushUnder(..)
            | Self::FlushTag(_)
            | Self::FlushTlbMm(_)
            | Self::FlushPmd(_) => true,
            Self::Notify(_)
            | Self::IotlbInv(_)
            | Self::DevtlbInv(_)
            | Self::NotifyMm(_)
            | Self::NotifyPmd(_)
            | Self::PasidInv
            | Self::IotlbInvPasid
            | Self::DevtlbInvPasid
            | Self::FlushVcpus(_) => false,
        }
    }

    /// The tag under which it empties them, if it names one.
    pub(super) const fn tag(self) -> Option<Tag> {
        if let Self::FlushUnder(_, tag) | Self::FlushTag(tag) = self { Some(tag) } else { None }
    }
}

impl fmt::Display for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlushTlb(page) => write!(f, "flush_tlb {page}"),
            Self::FlushScoped(page, scope) => write!(f, "flush_tlb {page} {scope}"),
            Self::FlushUnder(page, tag) => write!(f, "flush_tlb {page} tag {tag}"),
            Self::FlushTag(tag) => write!(f, "flush_tag {tag}"),
            Self::Notify(page) => write!(f, "notify {page}"),
            Self::IotlbInv(page) => write!(f, "iotlb_inv {page}"),
            Self::DevtlbInv(page) => write!(f, "devtlb_inv {page}"),
            Self::FlushTlbMm(mm) => write!(f, "flush_tlb_mm {mm}"),
            Self::NotifyMm(mm) => write!(f, "notify_mm {mm}"),
            Self::FlushPmd(pmd) => write!(f, "flush_pmd M{pmd}"),
            Self::NotifyPmd(pmd) => write!(f, "notify_pmd M{pmd}"),
            Self::PasidInv => f.write_str("pasid_inv X"),
            Self::IotlbInvPasid => f.write_str("iotlb_inv_pasid X"),
            Self::DevtlbInvPasid => f.write_str("devtlb_inv_pasid X"),
            Self::FlushVcpus(page) => write!(f, "flush_vcpus {page}"),
        }
    }
}

/// How memory is accessed through a translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Walk,
    Read,
    Write(u8),
}

/// A step of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Lock(Lock, bool),
    Unlock(Lock),
    Fence,
    IrqOff,
    IrqOn,
    IpiSync,
    RcuReadLock,
    RcuReadUnlock,
    SynchronizeRcu,
    PteRead(Page),
    PteClear(Page),
    SetPte(Page, Entry),
    PteModify(Page, Vec<(Bit, bool)>),
    PmdRead(usize),
    PmdClear(usize),
    SetPmd(usize, Entry),
    Invalidate {
        what: Invalidation,
        leaf: bool,
        post: bool,
    },
    /// With `flush` or without.
    Switch(Mm, Tag, bool),
    SetPasid(Option<Mm>),
    InvWait,
    PageRequest(Page),
    PageResponse(Page),
    DrainRequests,
    NotifyStart(Page),
    NotifyEnd(Page),
    ChangePte(Page),
    ZapSpte(Page),
    SetSpte(Page, Entry),
    /// By whoever runs on a device the same is spelt `dma_…`.
    Access {
        how: Access,
        page: Page,
        dma: bool,
    },
    GupFast {
        page: Page,
        write: bool,
        pin: bool,
        leaf: bool,
        handle: usize,
    },
    TryGet {
        page: Page,
        write: bool,
        pin: bool,
        handle: usize,
    },
    Write(Held, u8),
    Read(Held),
    Copy(usize, usize),
    Count(Count, Held),
    MarkStable(usize),
    ClearFlush(Page),
    ClearFlushNotify(Page),
}

fn bits(f: &mut fmt::Formatter<'_>, bits: &[(Bit, bool)]) -> fmt::Result {
    for (bit, set) in bits {
        match (bit, set) {
            (Bit::Rw, false) => f.write_str(" ro")?,
            (_, true) => write!(f, " {bit}")?,
            (_, false) => write!(f, " -{bit}")?,
        }
    }
    Ok(())
}

fn flag(set: bool, word: &'static str) -> &'static str {
    if set { word } else { "" }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(lock, shared) => write!(f, "lock {lock}{}", flag(*shared, " shared")),
            Self::Unlock(lock) => write!(f, "unlock {lock}"),
            Self::Fence => f.write_str("fence"),
            Self::IrqOff => f.write_str("irq_off"),
            Self::IrqOn => f.write_str("irq_on"),
            Self::IpiSync => f.write_str("ipi_sync"),
            Self::RcuReadLock => f.write_str("rcu_read_lock"),
            Self::RcuReadUnlock => f.write_str("rcu_read_unlock"),
            Self::SynchronizeRcu => f.write_str("synchronize_rcu"),
            Self::PteRead(page) => write!(f, "pte_read {page}"),
            Self::PteClear(page) => write!(f, "pte_clear {page}"),
            Self::SetPte(page, entry) => write!(f, "set_pte {page} -> {entry}"),
            Self::PteModify(page, change) => {
                write!(f, "pte_modify {page}")?;
                bits(f, change)
            }
            Self::PmdRead(pmd) => write!(f, "pmd_read M{pmd}"),
            Self::PmdClear(pmd) => write!(f, "pmd_clear M{pmd}"),
            Self::SetPmd(pmd, entry) => write!(f, "set_pmd M{pmd} -> {entry}"),
            Self::Invalidate { what, leaf, post } => {
                write!(f, "{what}{}{}", flag(*leaf, " leaf"), flag(*post, " post"))
            }
            Self::Switch(mm, tag, flush) => write!(f, "switch {mm} tag {tag}{}", flag(*flush, " flush")),
            Self::SetPasid(Some(mm)) => write!(f, "set_pasid X -> {mm}"),
            Self::SetPasid(None) => f.write_str("set_pasid X -> none"),
            Self::InvWait => f.write_str("inv_wait"),
            Self::PageRequest(page) => write!(f, "page_request {page}"),
            Self::PageResponse(page) => write!(f, "page_response {page}"),
            Self::DrainRequests => f.write_str("drain_requests"),
            Self::NotifyStart(page) => write!(f, "notify_start {page}"),
            Self::NotifyEnd(page) => write!(f, "notify_end {page}"),
            Self::ChangePte(page) => write!(f, "change_pte {page}"),
            Self::ZapSpte(page) => write!(f, "zap_spte {page}"),
            Self::SetSpte(page, entry) => write!(f, "set_spte {page} -> {entry}"),
            Self::Access { how, page, dma } => match (how, dma) {
                (Access::Walk, _) => write!(f, "walk {page}"),
                (Access::Read, true) => write!(f, "dma_read {page}"),
                (Access::Read, false) => write!(f, "load {page}"),
                (Access::Write(value), true) => write!(f, "dma_write {page} = {value}"),
                (Access::Write(value), false) => write!(f, "store {page} = {value}"),
            },
            Self::GupFast { page, write, pin, leaf, handle } => {
                let (write, pin) = (flag(*write, " write"), flag(*pin, " pin"));
                write!(f, "gup_fast {page}{write}{pin}{} => h{handle}", flag(*leaf, " leaf"))
            }
            Self::TryGet { page, write, pin, handle } => {
                write!(f, "try_get {page}{}{} => h{handle}", flag(*write, " write"), flag(*pin, " pin"))
            }
            Self::Write(held, value) => write!(f, "write {held} = {value}"),
            Self::Read(held) => write!(f, "read {held}"),
            Self::Copy(from, to) => write!(f, "copy f{from} -> f{to}"),
            Self::Count(count, held) => write!(f, "{} {held}", count.word()),
            Self::MarkStable(frame) => write!(f, "mark_stable f{frame}"),
            Self::ClearFlush(page) => write!(f, "ptep_clear_flush {page}"),
            Self::ClearFlushNotify(page) => write!(f, "ptep_clear_flush_notify {page}"),
        }
    }
}
