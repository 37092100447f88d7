//! Configuration space, BARs and the registers of devices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, PCI};

fuzz_target!(|bytes: &[u8]| (PCI.run)(&mut Choices::new(bytes), &mut Census::default()));
