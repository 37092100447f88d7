//! PCI: functions on bus 0 and behind its root ports, their configuration space, and how software and devices reach each other.
//!
//! Invariant: what configuration software can change about a function is its configuration space and nothing else;
//! whoever needs to know (a request, an interrupt, the address decoder) reads it there at that moment. Sources: PCI
//! Local Bus 3.0; PCI Express Base 4.0.
//!
//! Read in this order: [`config`] (the bytes), [`capability`] (pieces of them), [`bar`], [`endpoint`] (what a device
//! model holds), [`bus`] (who is where), [`root_port`], [`host_bridge`] (how software gets there).

pub mod bar;
pub mod bus;
pub mod capability;
pub mod config;
pub mod endpoint;
pub mod host_bridge;
pub mod root_port;

pub use bus::{Function, PciBus};
pub use config::ConfigSpace;
pub use endpoint::Endpoint;
