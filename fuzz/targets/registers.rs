//! The unit's registers, its queue and its knobs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, REGISTERS};

fuzz_target!(|bytes: &[u8]| (REGISTERS.run)(&mut Choices::new(bytes), &mut Census::default()));
