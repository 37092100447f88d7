//! Command lines, and the guard before memory.

use super::CommandLine;

#[test]
fn a_command_line_is_words_and_numbers() {
    let line = CommandLine::new("vtd-test  run=vtd iotlb=0 iotlb=64 paging=many");
    assert_eq!(line.words().count(), 5);
    assert_eq!((line.value("run"), line.number("iotlb")), (Some("vtd"), Some(64)));
    assert_eq!(
        (line.value("paging"), line.number("paging"), line.value("context")),
        (Some("many"), None, None)
    );
}

#[test]
fn on_a_host_no_memory_is_accessed() {
    assert!(std::panic::catch_unwind(|| crate::hardware::load64(0x1000)).is_err());
    assert!(std::panic::catch_unwind(|| crate::hardware::load32(0xfed9_0000)).is_err());
}
