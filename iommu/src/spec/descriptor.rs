//! Invalidation descriptors: what software puts into the invalidation queue.
//!
//! Invariant: decoding reads every bit: a descriptor with a reserved bit set, or with a number that the unit does not
//! have, is a [`QueueError`]. Source: VT-d 6.5.2.1 (context cache), 6.5.2.2 (PASID cache), 6.5.2.3 (IOTLB), 6.5.2.4
//! (PASID-based IOTLB), 6.5.2.5 and 6.5.2.6 (device TLB), 6.5.2.7 (interrupt entries), 6.5.2.8 (wait), 7.7 (page
//! group response).

mod encode;
mod span;
pub(crate) mod words;

use std::ops::RangeInclusive;

use mmu::address::PhysAddr;
use pcie::{Pasid, ResponseCode, SourceId};

use super::id::DomainId;
use super::status::QueueError;
use super::{bit, field, field16, field32};

pub use pcie::PageGroupResponse;

pub use self::span::{DeviceSpan, Hint, MAX_ADDRESS_MASK, PageSpan};

/// A descriptor, understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptor {
    /// Type 1.
    ContextCache(ContextScope),
    /// Type 2 and type 6.
    Iotlb {
        /// Which translations.
        scope: IotlbScope,
        /// Whether accesses in flight must be drained (DR, DW; always for type 6).
        drains: bool,
    },
    /// Type 3 and type 8.
    DeviceTlb(DeviceScope),
    /// Type 4.
    InterruptEntries(EntryScope),
    /// Type 5.
    Wait(Wait),
    /// Type 7.
    PasidCache(PasidScope),
    /// Type 9.
    PageGroupResponse(PageGroupResponse),
}

/// Which context entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ContextScope {
    /// All.
    Global,
    /// Those of a domain; in scalable mode, where context entries name none, all.
    Domain(DomainId),
    /// Those of a function, of the three bits of whose number the highest `ignored_bits` do not count.
    Device {
        /// The function.
        source: SourceId,
        /// FM: 0 to 3.
        ignored_bits: u32,
    },
}

/// Which translations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IotlbScope {
    /// Type 2: all.
    Global,
    /// Type 2: those of a domain.
    Domain(DomainId),
    /// Type 2: those of the second stage of a domain in a span, and all of its other stages.
    Pages(DomainId, PageSpan),
    /// Type 6: those of a PASID in a domain.
    Pasid(DomainId, Pasid),
    /// Type 6: the same in a span.
    PasidPages(DomainId, Pasid, PageSpan),
}

/// Which entries of the PASID cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PasidScope {
    /// All.
    Global,
    /// Those of a domain.
    Domain(DomainId),
    /// That of a PASID in a domain.
    Pasid(DomainId, Pasid),
}

/// Which entries of a device TLB.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeviceScope {
    /// Whose.
    pub source: SourceId,
    /// In whose name.
    pub pasid: DevicePasid,
    /// Which addresses.
    pub span: DeviceSpan,
}

/// In whose name a device has asked for what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DevicePasid {
    /// Type 3: in nobody's.
    Without,
    /// Type 8: in that of a PASID.
    One(Pasid),
    /// Type 8 with G: in that of any PASID.
    Every,
}

/// Which interrupt remapping entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryScope {
    /// All.
    Global,
    /// 2^`log2_count` entries, the one of this index among them.
    Index {
        /// One of them.
        index: u16,
        /// IM.
        log2_count: u32,
    },
}

/// What to do when everything ahead is complete.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Wait {
    /// SW: the word to write, and where.
    pub status: Option<(PhysAddr, u32)>,
    /// IF: raise the invalidation event.
    pub interrupt: bool,
    /// FN: start nothing behind before.
    pub fence: bool,
    /// PD: deliver every page request that was received.
    pub drains_requests: bool,
}

/// The words of a descriptor; the upper two are 0 in a queue of 128-bit ones.
pub type Words = [u64; 4];

/// Bits of the lower two words that each type (from 1 on) uses.
const USED: [[u64; 2]; 9] = [
    [0x0003_ffff_ffff_003f, 0],
    [0x0000_0000_ffff_00ff, 0xffff_ffff_ffff_f07f],
    [0xfff0_ffff_001f_f00f, 0xffff_ffff_ffff_f001],
    [0x0000_ffff_f800_001f, 0],
    [0xffff_ffff_0000_00ff, 0xffff_ffff_ffff_fffc],
    [0x000f_ffff_ffff_003f, 0xffff_ffff_ffff_f07f],
    [0x000f_ffff_ffff_003f, 0],
    [0xffff_ffff_ffff_f1ff, 0xffff_ffff_ffff_f801],
    [0x000f_ffff_ffff_f03f, 0x0000_0000_0000_0ffc],
];
/// Types from this one on exist in queues of 256-bit descriptors only.
const FIRST_WIDE_TYPE: u64 = 6;
const PAGE_GROUP_RESPONSE: u64 = 9;

impl Descriptor {
    /// Of a descriptor of `width_bytes`, as it lies in the queue.
    ///
    /// # Errors
    /// [`QueueError::Type`] or [`QueueError::Reserved`].
    pub fn decode(words: Words, width_bytes: u64) -> Result<Self, QueueError> {
        let kind = field(words[0], 0, 4);
        let known = 1..=if width_bytes == 16 { FIRST_WIDE_TYPE - 1 } else { PAGE_GROUP_RESPONSE };
        if !known.contains(&kind) {
            return Err(QueueError::Type);
        }
        let [low, high] = USED[usize::try_from(kind - 1).unwrap_or_default()];
        let private = kind == PAGE_GROUP_RESPONSE;
        let unused = words[0] & !low | words[1] & !high | if private { 0 } else { words[2] | words[3] };
        if unused != 0 {
            return Err(QueueError::Reserved);
        }
        Self::of_type(kind, [words[0], words[1]]).ok_or(QueueError::Reserved)
    }

    fn of_type(kind: u64, words: [u64; 2]) -> Option<Self> {
        match kind {
            1 => context_cache(words[0]),
            2 => iotlb(words),
            3 => Some(Self::DeviceTlb(DeviceScope {
                source: SourceId(field16(words[0], 32)),
                pasid: DevicePasid::Without,
                span: DeviceSpan::decode(words[1], bit(words[1], 0)),
            })),
            4 => Some(Self::InterruptEntries(EntryScope::decode(words[0]))),
            5 => Some(Self::Wait(Wait::decode(words))),
            6 => pasid_iotlb(words),
            7 => pasid_cache(words[0]),
            8 => pasid_device_tlb(words),
            _ => page_group_response(words),
        }
    }

    /// Whether the descriptor invalidates something.
    #[must_use]
    pub const fn invalidates(&self) -> bool {
        !matches!(self, Self::Wait(_) | Self::PageGroupResponse(_))
    }
}

fn pasid(word: u64) -> Option<Pasid> {
    Pasid::new(field32(word, 32, 20)).ok()
}

fn context_cache(word: u64) -> Option<Descriptor> {
    let domain = DomainId(field16(word, 16));
    let source = SourceId(field16(word, 32));
    ContextScope::decode(field32(word, 4, 2), domain, source, field32(word, 48, 2))
        .map(Descriptor::ContextCache)
}

fn iotlb(words: [u64; 2]) -> Option<Descriptor> {
    let domain = DomainId(field16(words[0], 16));
    let scope = IotlbScope::decode(field32(words[0], 4, 2), domain, PageSpan::decode(words[1]))?;
    Some(Descriptor::Iotlb { scope, drains: field(words[0], 6, 2) != 0 })
}

fn pasid_iotlb(words: [u64; 2]) -> Option<Descriptor> {
    let domain = DomainId(field16(words[0], 16));
    let pasid = pasid(words[0])?;
    let scope = match field(words[0], 4, 2) {
        2 => IotlbScope::Pasid(domain, pasid),
        // CAP.MAMV does not count here (VT-d 11.4.2): any mask is legal.
        3 => IotlbScope::PasidPages(domain, pasid, PageSpan::decode(words[1])),
        _ => return None,
    };
    Some(Descriptor::Iotlb { scope, drains: true })
}

fn pasid_cache(word: u64) -> Option<Descriptor> {
    let domain = DomainId(field16(word, 16));
    Some(Descriptor::PasidCache(match field(word, 4, 2) {
        0 => PasidScope::Domain(domain),
        1 => PasidScope::Pasid(domain, pasid(word)?),
        3 => PasidScope::Global,
        _ => return None,
    }))
}

fn pasid_device_tlb(words: [u64; 2]) -> Option<Descriptor> {
    let source = SourceId(field16(words[0], 16));
    let span = DeviceSpan::decode(words[1], bit(words[1], 11));
    let pasid = if bit(words[1], 0) { DevicePasid::Every } else { DevicePasid::One(pasid(words[0])?) };
    Some(Descriptor::DeviceTlb(DeviceScope { source, pasid, span }))
}

fn page_group_response(words: [u64; 2]) -> Option<Descriptor> {
    let pasid = if bit(words[0], 4) { Some(pasid(words[0])?) } else { None };
    Some(Descriptor::PageGroupResponse(PageGroupResponse {
        source: SourceId(field16(words[0], 16)),
        pasid,
        group: field16(field(words[1], 3, 9), 0),
        code: ResponseCode::decode(field(words[0], 12, 4)),
    }))
}

impl DevicePasid {
    /// Whether entries that were asked for with `pasid` are among them.
    #[must_use]
    pub fn covers(self, pasid: Option<Pasid>) -> bool {
        match self {
            Self::Without => pasid.is_none(),
            Self::One(one) => pasid == Some(one),
            Self::Every => pasid.is_some(),
        }
    }
}

impl From<Option<Pasid>> for DevicePasid {
    fn from(pasid: Option<Pasid>) -> Self {
        pasid.map_or(Self::Without, Self::One)
    }
}

impl ContextScope {
    /// Whether a device-selective invalidation of `named` is one of `source`: FM leaves bit 2 of the function's number
    /// out, or bits 2 and 1, or all three (VT-d 6.5.2.1).
    #[must_use]
    pub const fn concerns(named: SourceId, ignored_bits: u32, source: SourceId) -> bool {
        let ignored = 0b111 & !(0b111 >> ignored_bits);
        (named.0 ^ source.0) & !ignored == 0
    }

    /// Of a granularity G or CIRG and the fields beside it.
    pub(super) const fn decode(
        granularity: u32,
        domain: DomainId,
        source: SourceId,
        ignored_bits: u32,
    ) -> Option<Self> {
        match granularity {
            1 => Some(Self::Global),
            2 => Some(Self::Domain(domain)),
            3 => Some(Self::Device { source, ignored_bits }),
            _ => None,
        }
    }
}

impl IotlbScope {
    /// Of a granularity G or IIRG and the fields beside it.
    pub(super) fn decode(granularity: u32, domain: DomainId, span: PageSpan) -> Option<Self> {
        match granularity {
            1 => Some(Self::Global),
            2 => Some(Self::Domain(domain)),
            3 => Some(Self::Pages(domain, span.checked()?)),
            _ => None,
        }
    }
}

impl EntryScope {
    /// Whether it names the entry of this index.
    #[must_use]
    pub fn covers(self, entry: u16) -> bool {
        self.indices().contains(&entry)
    }

    /// Whether it names entries right beside the entry of this index: another, or too few.
    #[must_use]
    pub fn is_beside(self, entry: u16) -> bool {
        let (start, end) = self.indices().into_inner();
        let count = (end - start).saturating_add(1);
        !self.covers(entry) && (start.saturating_sub(count)..=end.saturating_add(count)).contains(&entry)
    }

    /// The entries that it names.
    #[must_use]
    pub fn indices(self) -> RangeInclusive<u16> {
        match self {
            Self::Global => 0..=u16::MAX,
            Self::Index { index, log2_count } => {
                let ignored = u16::MAX.checked_shl(log2_count).map_or(u16::MAX, |kept| !kept);
                index & !ignored..=index | ignored
            }
        }
    }

    const fn decode(word: u64) -> Self {
        if bit(word, 4) {
            Self::Index { index: field16(word, 32), log2_count: field32(word, 27, 5) }
        } else {
            Self::Global
        }
    }
}

impl Wait {
    const fn decode(words: [u64; 2]) -> Self {
        let status = (PhysAddr(words[1]), field32(words[0], 32, 32));
        Self {
            interrupt: bit(words[0], 4),
            status: if bit(words[0], 5) { Some(status) } else { None },
            fence: bit(words[0], 6),
            drains_requests: bit(words[0], 7),
        }
    }
}
