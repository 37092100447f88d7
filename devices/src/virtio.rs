//! virtio over PCI: devices that stock drivers know, behind whatever is upstream of the bus.
//!
//! Invariant: a ring, a descriptor and a buffer are reached through the function's own port, page by page, so each access
//! is translated, watched and drained like any other of a device. A ring that is none breaks its device, which then asks
//! to be reset, and nothing else. Source: Virtual I/O Device (VIRTIO) 1.2, sections 2, 3 and 4.1.
//!
//! Read in this order: [`view`] (memory as the device sees it), [`broken`], [`chain`] and [`ring`] (what a driver puts
//! there), `register` (negotiation), [`identity`] and [`model`] (what a device is and does), [`function`](mod@function) (the
//! transport), `core`, `thread` and `service` (its state and its threads), then the devices: [`rng`], [`blk`], [`console`],
//! [`net`], [`vsock`].

pub mod blk;
pub mod broken;
pub mod chain;
pub mod console;
pub mod function;
pub mod identity;
pub mod model;
pub mod net;
pub mod ring;
pub mod rng;
pub mod view;
pub mod vsock;

mod core;
mod register;
mod service;
mod thread;

#[cfg(test)]
mod driver;

pub use function::VirtioFunction;
pub use service::Queues;

/// A device's number as the specification's tables have it, in 16 bits.
const fn device(number: u32) -> u16 {
    assert!(number < 0x40, "PCI has room for 64 kinds of device");
    let [low, high, ..] = number.to_le_bytes();
    u16::from_le_bytes([low, high])
}
