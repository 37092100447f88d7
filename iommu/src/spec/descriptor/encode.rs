//! Descriptors as a driver writes them: the way back from [`Descriptor::decode`].
//!
//! Invariant: what is encoded is decoded to the same. Source: as in [`descriptor`](super).

use pcie::{Pasid, SourceId};

use super::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, EntryScope, IotlbScope, PageGroupResponse, PasidScope,
};
use super::{Wait, Words};
use crate::spec::id::DomainId;

/// DR and DW.
const DRAINS: u64 = 3 << 6;
/// LPIG of an answer: it is the group's.
const LAST: u64 = 1 << 2;

impl Descriptor {
    /// As it lies in the queue.
    #[must_use]
    pub fn encode(&self) -> Words {
        let [low, high] = match *self {
            Self::ContextCache(scope) => [1 | context(scope), 0],
            Self::Iotlb { scope, drains } => iotlb(scope, drains),
            Self::DeviceTlb(scope) => device_tlb(scope),
            Self::InterruptEntries(scope) => [4 | entries(scope), 0],
            Self::Wait(wait) => wait_words(wait),
            Self::PasidCache(scope) => [7 | pasids(scope), 0],
            Self::PageGroupResponse(response) => response_words(response),
        };
        [low, high, 0, 0]
    }
}

fn granularity(value: u64) -> u64 {
    value << 4
}

fn named(domain: DomainId) -> u64 {
    u64::from(domain.0) << 16
}

fn process(pasid: Pasid) -> u64 {
    u64::from(pasid.number()) << 32
}

fn at(source: SourceId, shift: u32) -> u64 {
    u64::from(source.0) << shift
}

fn context(scope: ContextScope) -> u64 {
    match scope {
        ContextScope::Global => granularity(1),
        ContextScope::Domain(domain) => granularity(2) | named(domain),
        ContextScope::Device { source, ignored_bits } => {
            granularity(3) | at(source, 32) | u64::from(ignored_bits) << 48
        }
    }
}

fn iotlb(scope: IotlbScope, drains: bool) -> [u64; 2] {
    let drains = if drains { DRAINS } else { 0 };
    match scope {
        IotlbScope::Global => [2 | granularity(1) | drains, 0],
        IotlbScope::Domain(domain) => [2 | granularity(2) | drains | named(domain), 0],
        IotlbScope::Pages(domain, span) => [2 | granularity(3) | drains | named(domain), span.encode()],
        IotlbScope::Pasid(domain, pasid) => [6 | granularity(2) | named(domain) | process(pasid), 0],
        IotlbScope::PasidPages(domain, pasid, span) => {
            [6 | granularity(3) | named(domain) | process(pasid), span.encode()]
        }
    }
}

fn device_tlb(scope: DeviceScope) -> [u64; 2] {
    let (address, sized) = scope.span.encode();
    let sized = u64::from(sized);
    let wide = |pasid| [8 | at(scope.source, 16) | pasid, address | sized << 11];
    match scope.pasid {
        DevicePasid::Without => [3 | at(scope.source, 32), address | sized],
        DevicePasid::One(pasid) => wide(process(pasid)),
        DevicePasid::Every => {
            let [low, high] = wide(0);
            [low, high | 1]
        }
    }
}

fn entries(scope: EntryScope) -> u64 {
    match scope {
        EntryScope::Global => 0,
        EntryScope::Index { index, log2_count } => {
            granularity(1) | u64::from(log2_count) << 27 | u64::from(index) << 32
        }
    }
}

fn pasids(scope: PasidScope) -> u64 {
    match scope {
        PasidScope::Global => granularity(3),
        PasidScope::Domain(domain) => named(domain),
        PasidScope::Pasid(domain, pasid) => granularity(1) | named(domain) | process(pasid),
    }
}

fn wait_words(wait: Wait) -> [u64; 2] {
    let (address, data) = wait.status.map_or((0, 0), |(address, data)| (address.0, data));
    let low = 5
        | u64::from(wait.interrupt) << 4
        | u64::from(wait.status.is_some()) << 5
        | u64::from(wait.fence) << 6
        | u64::from(wait.drains_requests) << 7
        | u64::from(data) << 32;
    [low, address]
}

fn response_words(response: PageGroupResponse) -> [u64; 2] {
    let pasid = response.pasid.map_or(0, |pasid| 1 << 4 | process(pasid));
    let low = 9 | pasid | response.code.encode() << 12 | at(response.source, 16);
    [low, LAST | u64::from(response.group) << 3]
}
