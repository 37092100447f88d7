//! The loaders of images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, LOADERS};

fuzz_target!(|bytes: &[u8]| (LOADERS.run)(&mut Choices::new(bytes), &mut Census::default()));
