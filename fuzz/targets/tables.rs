//! The tables in memory, walked by the unit and by a second walker.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, TABLES};

fuzz_target!(|bytes: &[u8]| (TABLES.run)(&mut Choices::new(bytes), &mut Census::default()));
