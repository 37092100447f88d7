//! Page requests as they lie in the queue.
//!
//! Invariant: none. Source: VT-d 7.4.1 (descriptor).

use mmu::address::VirtAddr;
pub use pcie::{PageRequest, ResponseCode, Wants};
use pcie::{Pasid, SourceId};

use super::{bit, field, field16, field32};

/// Bytes of a descriptor.
pub const REQUEST_BYTES: u64 = 32;

/// The descriptor of `request`.
#[must_use]
pub fn encode(request: &PageRequest) -> [u64; 4] {
    let Wants { read, write, execute, privileged } = request.wants;
    let pasid = request.pasid.map_or(0, |pasid| 1 << 8 | u64::from(pasid.number()) << 32);
    let low = 1
        | pasid
        | u64::from(request.private_data.is_some()) << 9
        | u64::from(request.source.0) << 16
        | u64::from(execute) << 52
        | u64::from(privileged) << 53;
    let high = u64::from(read)
        | u64::from(write) << 1
        | u64::from(request.last) << 2
        | field(u64::from(request.group), 0, 9) << 3
        | request.address.page().0;
    let [first, second] = request.private_data.unwrap_or_default();
    [low, high, first, second]
}

/// The request of a descriptor. A PASID that no unit of this program has counts as none.
#[must_use]
pub fn decode(words: [u64; 4]) -> PageRequest {
    let [low, high, first, second] = words;
    let pasid = Pasid::new(field32(low, 32, 20)).ok();
    PageRequest {
        source: SourceId(field16(low, 16)),
        pasid: pasid.filter(|_| bit(low, 8)),
        address: VirtAddr(high).page(),
        wants: Wants {
            read: bit(high, 0),
            write: bit(high, 1),
            execute: bit(low, 52),
            privileged: bit(low, 53),
        },
        group: field16(field(high, 3, 9), 0),
        last: bit(high, 2),
        private_data: bit(low, 9).then_some([first, second]),
    }
}
