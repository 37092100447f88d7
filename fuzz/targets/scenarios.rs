//! The text of scenarios.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, SCENARIOS};

fuzz_target!(|bytes: &[u8]| (SCENARIOS.run)(&mut Choices::new(bytes), &mut Census::default()));
