//! The I/O APIC, the remapping of its interrupts, and the serial port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, INTERRUPTS};

fuzz_target!(|bytes: &[u8]| (INTERRUPTS.run)(&mut Choices::new(bytes), &mut Census::default()));
