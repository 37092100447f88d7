//! A descriptor in words, as reports name it.
//!
//! Invariant: the words say what a descriptor is for and no bit of how it is encoded.

use std::fmt;

use mmu::address::VirtRange;

use super::{
    ContextScope, Descriptor, DevicePasid, DeviceSpan, EntryScope, Hint, IotlbScope, PageSpan, PasidScope,
};

/// A descriptor in words.
pub(crate) struct InWords<'a>(pub(crate) &'a Descriptor);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Descriptor::ContextCache(scope) => write_context(f, *scope),
            Descriptor::Iotlb { scope, .. } => write_iotlb(f, *scope),
            Descriptor::DeviceTlb(scope) => {
                write!(f, "device TLB of {}", scope.source)?;
                match scope.pasid {
                    DevicePasid::Without => {}
                    DevicePasid::One(pasid) => write!(f, ", {pasid}")?,
                    DevicePasid::Every => f.write_str(", every PASID")?,
                }
                match scope.span {
                    DeviceSpan::All => f.write_str(", all"),
                    DeviceSpan::Range(range) => {
                        f.write_str(", ")?;
                        write_pages(f, range)
                    }
                }
            }
            Descriptor::InterruptEntries(EntryScope::Global) => f.write_str("interrupt entries, all"),
            Descriptor::InterruptEntries(EntryScope::Index { index, log2_count }) => {
                write!(f, "interrupt entries, 2^{log2_count} around {index}")
            }
            Descriptor::Wait(_) => f.write_str("wait for what is queued"),
            Descriptor::PasidCache(scope) => match scope {
                PasidScope::Global => f.write_str("PASID cache, all"),
                PasidScope::Domain(domain) => write!(f, "PASID cache, {domain}"),
                PasidScope::Pasid(domain, pasid) => write!(f, "PASID cache, {domain}, {pasid}"),
            },
            Descriptor::PageGroupResponse(response) => write!(f, "response to group {}", response.group),
        }
    }
}

fn write_context(f: &mut fmt::Formatter<'_>, scope: ContextScope) -> fmt::Result {
    match scope {
        ContextScope::Global => f.write_str("context cache, all"),
        ContextScope::Domain(domain) => write!(f, "context cache, {domain}"),
        ContextScope::Device { source, .. } => write!(f, "context cache, {source}"),
    }
}

fn write_iotlb(f: &mut fmt::Formatter<'_>, scope: IotlbScope) -> fmt::Result {
    match scope {
        IotlbScope::Global => f.write_str("IOTLB, all"),
        IotlbScope::Domain(domain) => write!(f, "IOTLB, {domain}"),
        IotlbScope::Pages(domain, span) => {
            write!(f, "IOTLB, {domain}, ")?;
            write_span(f, span)
        }
        IotlbScope::Pasid(domain, pasid) => write!(f, "PASID IOTLB, {domain}, {pasid}"),
        IotlbScope::PasidPages(domain, pasid, span) => {
            write!(f, "PASID IOTLB, {domain}, {pasid}, ")?;
            write_span(f, span)
        }
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, span: PageSpan) -> fmt::Result {
    write_pages(f, span.range())?;
    f.write_str(match span.hint {
        Hint::EveryLevel => ", IH 0",
        Hint::LeavesOnly => ", IH 1",
    })
}

fn write_pages(f: &mut fmt::Formatter<'_>, range: VirtRange) -> fmt::Result {
    match range.page_count() {
        1 => write!(f, "page {}", range.start),
        count => write!(f, "{count} pages from {}", range.start),
    }
}
