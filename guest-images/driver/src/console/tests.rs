//! Lines and their limits.

use core::fmt::Write;

use super::{Line, MOST_BYTES};

#[test]
fn a_line_that_is_too_long_is_cut() {
    let mut line = Line::new();
    write!(line, "{:#x}", 0xfed9_0000_u64).expect("a line takes everything");
    assert_eq!(line.bytes(), b"0xfed90000");
    (0..MOST_BYTES).for_each(|_| line.write_str("xy").expect("a line takes everything"));
    assert_eq!(line.bytes().len(), MOST_BYTES - 1);
}
