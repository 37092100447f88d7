//! Finds stale translations, in other programs than the `afterimage` command.
//!
//! Invariant: what is here is a door to the crates behind it and has no behaviour of its own but defaults; where a report can
//! be asked for, watching is on.
//!
//! - [`mod@unit`]: a VT-d unit over anybody's guest memory, ports for devices, and the report of stale uses.
//! - [`scenario`]: scenarios from text or built in Rust, and every interleaving of them.
//!
//! # A device that reads an old page
//!
//! ```
//! use std::sync::Arc;
//!
//! use afterimage::unit::{SourceId, Unit};
//! use vm_memory::{GuestAddress, GuestMemoryMmap};
//!
//! let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)])?;
//! let unit = Unit::new(Arc::new(memory))?;
//! let mut port = unit.port(SourceId::new(0, 3, 0));
//! // No driver has switched translation on: addresses pass.
//! let mut bytes = [1; 4];
//! port.read(None, afterimage::unit::VirtAddr(0x1000), &mut bytes)?;
//! assert_eq!((bytes, unit.finish().len()), ([0; 4], 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/stale_report.rs` is the same with a driver that forgets an invalidation.

pub mod scenario;
pub mod unit;
