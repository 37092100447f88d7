//! The registers and rings of virtio devices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests_support::fuzz::{Census, Choices, VIRTIO};

fuzz_target!(|bytes: &[u8]| (VIRTIO.run)(&mut Choices::new(bytes), &mut Census::default()));
