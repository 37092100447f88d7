//! The registers that software commands with: GCMD and GSTS, RTADDR, CCMD, IOTLB with IVA, IQA, IRTA, PQA.
//!
//! Invariant: a command bit and its status bit have the same number. Source: VT-d 11.4.4 (GCMD, GSTS), 11.4.5
//! (RTADDR), 11.4.6 (CCMD), 11.4.8 (IOTLB, IVA), 11.4.9 (IQA), 11.4.10 (PQA), 11.4.11 (IRTA).

use mmu::address::PhysAddr;
use pcie::SourceId;

use super::descriptor::{ContextScope, IotlbScope, PageSpan};
use super::id::DomainId;
use super::{bit, field, field16, field32};

/// GCMD.TE, GSTS.TES: DMA remapping is on.
pub const TRANSLATION: u32 = 1 << 31;
/// GCMD.SRTP, GSTS.RTPS: take over RTADDR.
pub const ROOT_TABLE: u32 = 1 << 30;
/// GCMD.WBF: flush the write buffer; the status bit stays 0.
pub const WRITE_BUFFER_FLUSH: u32 = 1 << 27;
/// GCMD.QIE, GSTS.QIES: the invalidation queue is on.
pub const QUEUE: u32 = 1 << 26;
/// GCMD.IRE, GSTS.IRES: interrupt remapping is on.
pub const INTERRUPTS: u32 = 1 << 25;
/// GCMD.SIRTP, GSTS.IRTPS: take over IRTA.
pub const INTERRUPT_TABLE: u32 = 1 << 24;
/// GCMD.CFI, GSTS.CFIS: interrupts in the compatibility format pass.
pub const COMPATIBILITY_FORMAT: u32 = 1 << 23;

/// The bits of GCMD that stay as they are written.
pub const LEVELS: u32 = TRANSLATION | QUEUE | INTERRUPTS | COMPATIBILITY_FORMAT;

/// CCMD.ICC and IOTLB.IVT: go; the unit clears it when it is done.
pub const GO: u64 = 1 << 63;
/// RTADDR bits 11:10: the mode.
pub const MODE_SHIFT: u32 = 10;

/// How the root table is read (RTADDR.TTM).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TableMode {
    /// 00: root entries lead to context entries of 16 bytes.
    Legacy,
    /// 01: to context entries of 32 bytes and from there to PASID tables.
    Scalable,
    /// 10, which is reserved, and 11, which a unit without ECAP.ADMS does not have: every request is a fault.
    Invalid,
}

/// RTADDR, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootTable {
    /// The table, 4 KiB.
    pub address: PhysAddr,
    /// Its format.
    pub mode: TableMode,
}

/// IQA, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueAddress {
    /// The first descriptor.
    pub base: PhysAddr,
    /// Bytes of the queue.
    pub len_bytes: u64,
    /// Bytes of a descriptor, 16 or 32.
    pub width_bytes: u64,
}

/// IRTA, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterruptTable {
    /// The first entry.
    pub base: PhysAddr,
    /// Its entries.
    pub count: u32,
    /// Whether destinations are 32-bit x2APIC ids.
    pub x2apic: bool,
}

/// PQA, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestQueue {
    /// The first descriptor.
    pub base: PhysAddr,
    /// Bytes of the ring.
    pub len_bytes: u64,
}

const fn page(word: u64) -> PhysAddr {
    PhysAddr(word & !0xfff)
}

impl RootTable {
    /// Of the register's value.
    #[must_use]
    pub const fn decode(word: u64) -> Self {
        let mode = match field(word, MODE_SHIFT, 2) {
            0 => TableMode::Legacy,
            1 => TableMode::Scalable,
            _ => TableMode::Invalid,
        };
        Self { address: page(word), mode }
    }
}

impl QueueAddress {
    /// Of the register's value.
    #[must_use]
    pub const fn decode(word: u64) -> Self {
        let width_bytes = if bit(word, 11) { 32 } else { 16 };
        Self { base: page(word), len_bytes: 0x1000 << field(word, 0, 3), width_bytes }
    }
}

impl InterruptTable {
    /// Of the register's value.
    #[must_use]
    pub const fn decode(word: u64) -> Self {
        Self { base: page(word), count: 2 << field(word, 0, 4), x2apic: bit(word, 11) }
    }
}

impl RequestQueue {
    /// Of the register's value.
    #[must_use]
    pub const fn decode(word: u64) -> Self {
        Self { base: page(word), len_bytes: 0x1000 << field(word, 0, 3) }
    }
}

/// The invalidation that a value of CCMD asks for; none for the reserved granularity.
#[must_use]
pub fn context_command(word: u64) -> Option<ContextScope> {
    ContextScope::decode(
        field32(word, 61, 2),
        DomainId(field16(word, 0)),
        SourceId(field16(word, 16)),
        field32(word, 32, 2),
    )
}

/// CCMD with its answer: done, at the granularity that was asked for.
#[must_use]
pub const fn context_command_done(word: u64) -> u64 {
    (word & !(GO | 3 << 59)) | field(word, 61, 2) << 59
}

/// The invalidation that a value of IOTLB asks for, with IVA's `address`; none for the reserved granularity.
#[must_use]
pub fn iotlb_command(word: u64, address: u64) -> Option<IotlbScope> {
    let domain = DomainId(field16(word, 32));
    IotlbScope::decode(field32(word, 60, 2), domain, PageSpan::decode(address))
}

/// IOTLB with its answer: done, at the granularity that was asked for.
#[must_use]
pub const fn iotlb_command_done(word: u64) -> u64 {
    (word & !(GO | 3 << 57)) | field(word, 60, 2) << 57
}

/// Whether a value of IOTLB asks for a drain of reads or writes.
#[must_use]
pub const fn iotlb_command_drains(word: u64) -> bool {
    field(word, 48, 2) != 0
}
