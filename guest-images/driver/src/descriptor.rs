//! What a driver puts into the invalidation queue.
//!
//! Invariant: as for entries, the layouts are this driver's own. Source: VT-d 6.5.2.1 (context cache), 6.5.2.2 (PASID
//! cache), 6.5.2.3 (IOTLB), 6.5.2.4 (PASID-based IOTLB), 6.5.2.5 and 6.5.2.6 (device TLB), 6.5.2.7 (interrupt entries), 6.5.2.8
//! (wait).

use crate::id::{Domain, Index, Iova, Pasid, Source};

/// The four words of a descriptor; in legacy mode the last two do not exist.
pub type Words = [u64; 4];

/// Which levels of a table an invalidation of pages is about (IH).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Tables may have changed.
    EveryLevel,
    /// Only leaves have.
    LeavesOnly,
}

/// Pages: 2^`log2` of them, at a multiple of their length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pages {
    /// Any address in the first page.
    pub start: Iova,
    /// How many, as a power of two.
    pub log2: u32,
    /// Which levels may have changed.
    pub hint: Hint,
}

/// What is to be forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidation {
    /// All context entries.
    Contexts,
    /// Those of a domain.
    ContextsOf(Domain),
    /// That of a function, cached for a domain.
    Context(Domain, Source),
    /// All PASID entries.
    PasidEntries,
    /// Those of a domain.
    PasidEntriesOf(Domain),
    /// One.
    PasidEntry(Domain, Pasid),
    /// All translations.
    Iotlb,
    /// Those of a domain.
    IotlbOf(Domain),
    /// Those of pages in a domain: of the second stage, and all that have a first stage.
    IotlbPages(Domain, Pages),
    /// Those of a process in a domain.
    PasidIotlb(Domain, Pasid),
    /// Those of pages of a process.
    PasidIotlbPages(Domain, Pasid, Pages),
    /// All that a device keeps for requests without a process.
    DeviceTlb(Source),
    /// Those of one page.
    DeviceTlbPage(Source, Iova),
    /// All that a device keeps for a process.
    DeviceTlbOfPasid(Source, Pasid),
    /// Those of one page.
    DeviceTlbPageOfPasid(Source, Pasid, Iova),
    /// All interrupt entries.
    InterruptEntries,
    /// 2^`log2` of them, of which the first is a multiple of that.
    InterruptEntriesFrom {
        /// The first.
        first: Index,
        /// How many, as a power of two.
        log2: u32,
    },
}

/// What a wait does besides writing its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Also {
    /// Nothing.
    Nothing,
    /// It raises the completion event (IF).
    Interrupt,
    /// Page requests that are under way are written to their queue before (PD), and it fences (FN).
    DrainRequests,
}

/// In IOTLB descriptors of legacy kind: reads and writes that are under way are waited for.
const DRAIN: u64 = 3 << 6;
/// Fields that hold a granularity begin here.
const GRANULARITY: u32 = 4;
/// Every page there is: the address with S set, all bits of the size set but the last.
const EVERYTHING: u64 = 0x7fff_ffff_ffff_f000;
/// S, in device-TLB descriptors without and with PASID.
const SIZED: u64 = 1;
const PASID_SIZED: u64 = 1 << 11;

impl Pages {
    /// One page whose leaf changed.
    #[must_use]
    pub const fn leaf(start: Iova) -> Self {
        Self { start, log2: 0, hint: Hint::LeavesOnly }
    }

    /// One page, and the tables above it.
    #[must_use]
    pub const fn every_level(start: Iova) -> Self {
        Self { start, log2: 0, hint: Hint::EveryLevel }
    }

    const fn word(self) -> u64 {
        let hint = match self.hint {
            Hint::EveryLevel => 0,
            Hint::LeavesOnly => 1 << 6,
        };
        let len_bytes = 0x1000 << self.log2;
        self.start.0 & !(len_bytes - 1) | hint | self.log2 as u64
    }
}

impl Invalidation {
    /// The descriptor.
    #[must_use]
    pub const fn encode(self) -> Words {
        match self {
            Self::Contexts => narrow(1, 1, 0, 0),
            Self::ContextsOf(domain) => narrow(1, 2, did(domain), 0),
            Self::Context(domain, source) => narrow(1, 3, did(domain) | (source.0 as u64) << 32, 0),
            Self::PasidEntries => narrow(7, 3, 0, 0),
            Self::PasidEntriesOf(domain) => narrow(7, 0, did(domain), 0),
            Self::PasidEntry(domain, pasid) => narrow(7, 1, did(domain) | process(pasid), 0),
            Self::Iotlb => narrow(2, 1, DRAIN, 0),
            Self::IotlbOf(domain) => narrow(2, 2, DRAIN | did(domain), 0),
            Self::IotlbPages(domain, pages) => narrow(2, 3, DRAIN | did(domain), pages.word()),
            Self::PasidIotlb(domain, pasid) => narrow(6, 2, did(domain) | process(pasid), 0),
            Self::PasidIotlbPages(domain, pasid, pages) => {
                narrow(6, 3, did(domain) | process(pasid), pages.word())
            }
            Self::DeviceTlb(source) => narrow(3, 0, (source.0 as u64) << 32, EVERYTHING | SIZED),
            Self::DeviceTlbPage(source, page) => narrow(3, 0, (source.0 as u64) << 32, page.page()),
            Self::DeviceTlbOfPasid(source, pasid) => {
                narrow(8, 0, (source.0 as u64) << 16 | process(pasid), EVERYTHING | PASID_SIZED)
            }
            Self::DeviceTlbPageOfPasid(source, pasid, page) => {
                narrow(8, 0, (source.0 as u64) << 16 | process(pasid), page.page())
            }
            Self::InterruptEntries => narrow(4, 0, 0, 0),
            Self::InterruptEntriesFrom { first, log2 } => {
                narrow(4, 1, (first.0 as u64) << 32 | (log2 as u64) << 27, 0)
            }
        }
    }
}

/// A wait that writes `value` to `place` when everything before it is done.
#[must_use]
pub const fn wait(place: u64, value: u32, also: Also) -> Words {
    const STATUS: u64 = 1 << 5;
    let also = match also {
        Also::Nothing => 0,
        Also::Interrupt => 1 << 4,
        Also::DrainRequests => 1 << 6 | 1 << 7,
    };
    [5 | STATUS | also | (value as u64) << 32, place, 0, 0]
}

const fn narrow(kind: u64, granularity: u64, low: u64, high: u64) -> Words {
    [kind | granularity << GRANULARITY | low, high, 0, 0]
}

const fn did(domain: Domain) -> u64 {
    (domain.0 as u64) << 16
}

const fn process(pasid: Pasid) -> u64 {
    (pasid.0 as u64) << 32
}

#[cfg(test)]
mod tests;
