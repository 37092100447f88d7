//! The virtual machine monitor: KVM, the demonstration, and what the `afterimage` command is made of.
//!
//! Invariant: nothing below this crate speaks to KVM, and only this crate wires the parts to each other.
//!
//! Read in this order: [`kvm`] (machine, vCPUs, the zap protocol), [`demo`] (everybody on one address space), [`race`]
//! (scenarios whose vCPUs run on KVM), [`boot`] and [`machine`] (a guest that somebody else wrote), [`sandbox`] (the fence
//! around it), [`command`] (the command line), [`schema`] (the names of what it prints as JSON).

pub mod boot;
pub mod command;
pub mod demo;
pub mod kvm;
pub mod machine;
pub mod race;
pub mod sandbox;
pub mod schema;
pub mod spool;

mod remedy;
