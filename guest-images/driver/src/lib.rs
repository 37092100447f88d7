//! A VT-d driver that runs as a guest, without an operating system: it programs a remapping unit as a kernel does, lets a
//! DMA engine use what it mapped, and checks what the device reaches.
//!
//! Invariant: what a unit understands is written down here a second time, from the specification, and never taken from
//! the emulated unit: that is how an error in it is found. The program runs at CPL3 with all of memory mapped as it lies;
//! one thread, one processor. On a host the crate is a library whose tables and descriptors have tests.
//!
//! Read in this order: [`memory`] and `hardware` (what it stands on), [`entry`] and [`descriptor`] (what a unit
//! reads), [`interrupt_entry`], [`interrupt_table`] and [`apic`] (interrupts on their way), [`mod@unit`], [`queue`], [`tables`], [`space`], [`policy`] (what is flushed after a change), [`engine`], [`driver`],
//! then [`checks`], and [`mod@bug`] before [`workload`] and [`detach`]; [`virtio`] drives other devices; [`hostile`] is no driver at all.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(guest, no_main)]

pub mod acpi;
pub mod apic;
pub mod bug;
pub mod caches;
pub mod checks;
pub mod console;
pub mod descriptor;
pub mod detach;
pub mod driver;
pub mod ending;
pub mod engine;
pub mod entry;
pub mod hostile;
pub mod id;
pub mod interrupt_entry;
pub mod interrupt_table;
pub mod interrupts;
pub mod memory;
pub mod page_request;
pub mod pci;
pub mod policy;
pub mod queue;
pub mod space;
pub mod tables;
pub mod unit;
pub mod virtio;
pub mod workload;

mod hardware;
mod patience;
#[cfg(guest)]
mod start;

use console::say;
use memory::{CommandLine, Memory};

/// Runs what the command line names by `run=`.
pub fn run(memory: Memory, line: &CommandLine) -> ! {
    match line.value("run") {
        Some("vtd-test") => checks::run(memory, line),
        Some("vtd-race") => checks::run_race(memory, line),
        Some("workload") => workload::run(memory, line),
        Some("detach") => detach::run(memory, line),
        Some("virtio") => virtio::run(memory, line),
        Some("hostile") => hostile::run(memory, line),
        Some("breakdown") => hardware::break_down(),
        other => {
            say!(
                "FAILED no program `{}`; there is vtd-test, vtd-race, workload, detach, virtio",
                other.unwrap_or_default()
            );
            ending::failed()
        }
    }
}
