//! What a guest that does nothing takes of the host beside its own memory.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::has_kvm;

/// What a guest may take beside its memory, in KiB.
const MOST_KIB: usize = 8 << 10;
/// The name of the guest's memory in the list of what is mapped.
const GUEST_MEMORY: &str = "/memfd:afterimage-memory";

/// Pages that the process has written, in KiB: of the guest's memory, and all others. Those of the program's file are
/// everybody's who runs it.
fn written_kib(process: u32) -> (usize, usize) {
    let shown = std::fs::read_to_string(format!("/proc/{process}/smaps")).expect("the process is ours");
    let (mut is_guest, mut guest, mut rest) = (false, 0, 0);
    for line in shown.lines() {
        if let Some(kib) = line.strip_prefix("Private_Dirty:") {
            let kib: usize = kib.trim().trim_end_matches(" kB").parse().expect("a size is in kB");
            *if is_guest { &mut guest } else { &mut rest } += kib;
        } else if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            is_guest = line.contains(GUEST_MEMORY);
        }
    }
    (guest, rest)
}

#[test]
fn an_idle_guest_takes_little_beside_its_memory() {
    if !has_kvm() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--guest", "echo", "--memory", "128M", "--timeout", "600"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command was built");
    let mut said = [0];
    let (mut told, mut heard) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    told.write_all(b"a").expect("the guest reads");
    heard.read_exact(&mut said).expect("the guest says what it is told");
    let (guest, rest) = written_kib(child.id());
    told.write_all(b".").expect("the guest reads");
    assert!(child.wait().expect("the child is ours").success());
    assert!(guest > 0, "the guest's memory has pages");
    assert!(rest > 0 && rest <= MOST_KIB, "{rest} KiB, beside {guest} KiB of the guest's memory");
}
