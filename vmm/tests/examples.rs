//! The example of a PCI device of one's own in a machine, run as it is typed. Without /dev/kvm it says "skipped: ...".
//!
//! Invariant: cargo builds the example before this test, beside it.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn a_device_of_ones_own_reaches_the_guests_memory_in_a_machine() {
    let mut path: PathBuf = std::env::current_exe().expect("a test knows its file");
    path.pop();
    path.pop();
    path.extend(["examples", "own_device"]);
    let output = Command::new(&path).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; build the examples", path.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    if said.starts_with("skipped: ") {
        write!(stdout(), "{said}").expect("a test can be read");
        return;
    }
    assert_eq!(said, "the guest has read 42; 0 stale uses\n");
}
