//! Hostile input: whatever a guest writes, whatever an image or a scenario holds, is data.
//!
//! Invariant: a target is a function of bytes, and of nothing else. The bytes are decisions ([`Choices`]): which
//! register, which entry, which bit of it is wrong; so any bytes are an input, most inputs are nearly right, and the
//! same bytes do the same again. A target panics if something panics, hangs, or breaks one of the rules that it states.
//!
//! Read in this order: [`choices`], [`census`], `rig` and `layout` (a unit, and tables for it), then the targets:
//! `registers`, `tables` with its `reference`, `pci`, `interrupts`, `virtio`, `loaders`, `scenarios`.

pub mod census;
pub mod choices;

mod interrupts;
mod layout;
mod loaders;
mod pci;
mod registers;
mod rig;
mod scenarios;
mod tables;
mod virtio;

pub use census::Census;
pub use choices::Choices;

/// One part of the program that outsiders reach.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Does what the bytes say.
    pub run: fn(&mut Choices<'_>, &mut Census),
    /// What must have happened in the inputs that every run tries: otherwise they are too wild, or too tame.
    pub expects: &'static [&'static str],
}

/// The registers and the queue of the remapping unit.
pub const REGISTERS: Target = Target { name: "registers", run: registers::run, expects: registers::EXPECTED };
/// The tables in memory that the unit walks.
pub const TABLES: Target = Target { name: "tables", run: tables::run, expects: tables::EXPECTED };
/// Configuration space, BARs and the registers of devices.
pub const PCI: Target = Target { name: "pci", run: pci::run, expects: pci::EXPECTED };
/// The I/O APIC, the remapping of its interrupts, and the serial port.
pub const INTERRUPTS: Target =
    Target { name: "interrupts", run: interrupts::run, expects: interrupts::EXPECTED };
/// The registers and rings of virtio devices.
pub const VIRTIO: Target = Target { name: "virtio", run: virtio::run, expects: virtio::EXPECTED };
/// The loaders of images.
pub const LOADERS: Target = Target { name: "loaders", run: loaders::run, expects: loaders::EXPECTED };

/// The text of scenarios.
pub const SCENARIOS: Target = Target { name: "scenarios", run: scenarios::run, expects: scenarios::EXPECTED };

/// All of them.
pub const TARGETS: [Target; 7] = [REGISTERS, TABLES, PCI, INTERRUPTS, VIRTIO, LOADERS, SCENARIOS];
