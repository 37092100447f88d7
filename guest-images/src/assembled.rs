//! Bytes between two symbols that the assembler laid down.
//!
//! Invariant: a pair of symbols given to [`image!`] delimits one image in read-only data, start before end.
#![expect(unsafe_code, reason = "reads what global_asm! placed between two symbols")]

use crate::layout::MAX_IMAGE_BYTES;

/// The image between two symbols of `global_asm!`, as a slice.
macro_rules! image {
    ($start:ident, $end:ident) => {{
        unsafe extern "C" {
            static $start: u8;
            static $end: u8;
        }
        $crate::assembled::between(&raw const $start, &raw const $end)
    }};
}
pub(crate) use image;

/// The bytes from `start` up to `end`, two symbols of one image.
pub(crate) fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    let len = end.addr() - start.addr();
    assert!(
        len <= MAX_IMAGE_BYTES,
        "an image of {len} bytes is longer than a frame ({MAX_IMAGE_BYTES} bytes)"
    );
    // SAFETY: only `image!` calls this, with the two ends of one run of initialized bytes in read-only data.
    unsafe { std::slice::from_raw_parts(start, len) }
}
