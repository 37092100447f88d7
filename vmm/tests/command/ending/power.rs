//! SIGTERM as a press of the power button: only a guest that listens is asked, and nobody waits for it for ever.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use guest_images::bare::BareImage;

use super::{image, status, told};
use crate::has_kvm;

/// A guest that listens for the power button and has said so, and that it has heard `told`, a letter at most.
fn listening(name: &str, told: &str, arguments: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "600", "--kernel", &image(name, BareImage::Button)])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    child.stdin.as_mut().expect("it is piped").write_all(told.as_bytes()).expect("it is there");
    let mut said = vec![0; 1 + told.len()];
    let output = child.stdout.as_mut().expect("it is piped");
    output.read_exact(&mut said).expect("the guest says that it listens");
    assert_eq!(said, if told.is_empty() { &b"l"[..] } else { b"lh" });
    child
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status().expect("there is kill(1)");
    assert!(sent.success());
}

#[test]
fn a_guest_that_listens_is_asked_to_power_off_and_its_status_is_0() {
    if !has_kvm() {
        return;
    }
    let mut child = listening("button-obeys", "", &["--power-off-limit", "60"]);
    terminate(&child);
    assert_eq!(status(&mut child), Some(0));
    let told = told(&mut child);
    assert!(told.contains("the guest is asked to power off, and ended in 60 s"), "{told}");
}

#[test]
fn a_guest_that_does_not_power_off_ends_by_the_signal_when_its_time_is_over_or_it_comes_again() {
    if !has_kvm() {
        return;
    }
    let refusing = |limit: &str| listening(&format!("button-{limit}"), "x", &["--power-off-limit", limit]);
    let mut child = refusing("60");
    terminate(&child);
    let mut said = [0];
    child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("the guest refuses");
    assert_eq!(&said, b"n");
    terminate(&child);
    assert_eq!(status(&mut child), Some(143));
    // A guest that had no time to refuse ends alike; in one of these times it has.
    let has_refused = ["0.1", "1", "10"].into_iter().any(|limit| {
        let mut child = refusing(limit);
        terminate(&child);
        assert_eq!(status(&mut child), Some(143), "{limit}");
        let mut said = String::new();
        child.stdout.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
        said == "n"
    });
    assert!(has_refused, "it was never asked");
}

#[test]
fn a_guest_that_is_not_to_be_asked_ends_at_once() {
    if !has_kvm() {
        return;
    }
    let mut child = listening("button-unasked", "", &["--power-off-limit", "0"]);
    terminate(&child);
    assert_eq!(status(&mut child), Some(143));
    let told = told(&mut child);
    assert!(!told.contains("asked to power off"), "{told}");
}
