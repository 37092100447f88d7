//! Clients that do harm.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{QUIT, Running, STATE};
use crate::has_kvm;

/// Connections that the host may count.
const CLIENTS: usize = 8;

/// Sockets it has open, each once: the one it listens at, and its clients. Its other descriptors come while the machine is
/// built, and are not counted.
fn sockets(running: &Running) -> usize {
    let folder = format!("/proc/{}/fd", running.child.id());
    let files = fs::read_dir(folder).expect("it runs").filter_map(Result::ok);
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let sockets: BTreeSet<_> =
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).collect();
    sockets.len()
}

fn peak_kib(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_thousand_connections_leave_eight() {
    if !has_kvm() {
        return;
    }
    let running = Running::start("thousand", &["--guest", "echo"]);
    running.client().result(STATE);
    let clients: Vec<_> = (0..1000).filter_map(|_| UnixStream::connect(&running.path).ok()).collect();
    assert!(clients.len() > CLIENTS);
    // Behind all of them, so they were accepted.
    let mut client = running.client();
    assert_eq!(client.result(STATE)["state"], "running");
    assert_eq!(sockets(&running), 1 + CLIENTS);
    drop(clients);
    client.result(QUIT);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn who_says_no_end_or_garbage_or_does_not_read_holds_nobody_up() {
    if !has_kvm() {
        return;
    }
    let mut running = Running::start("harm", &["--guest", "echo"]);
    let mut client = running.client();
    // What the machine itself takes it has taken by then.
    running.echoes(b'a');
    let before = peak_kib(&running);
    let connect = || UnixStream::connect(&running.path).expect("it listens");
    // Without an end, for as long as it is taken.
    let mut endless = connect();
    let mut written = 0;
    while endless.write(&[b'x'; 4096]).is_ok() {
        written += 1;
        assert!(written < 10_000, "it is taken for ever");
    }
    // One that never reads its answers.
    let mut deaf = connect();
    deaf.set_nonblocking(true).expect("it is ours");
    let mut refused = 0;
    for _ in 0..100_000 {
        if deaf.write(b"{\"command\":\"iommu\",\"device\":\"00:00.0\"}\n").is_err() {
            refused += 1;
            client.result(STATE);
        }
        if refused > 1000 {
            break;
        }
    }
    assert!(refused > 1000, "it is listened to without end");
    for garbage in
        [&b"\n\n\n"[..], b"\0\xff\xfe\n", b"{\"command\":\"state\"", b"[[[[[[\n", b"{\"command\":{}}\n"]
    {
        let mut strange = connect();
        strange.write_all(garbage).expect("there is room");
        strange.shutdown(Shutdown::Write).expect("it is ours");
        let mut told = String::new();
        strange.read_to_string(&mut told).expect("it is answered and left");
        let answers = garbage.iter().filter(|byte| **byte == b'\n').count().max(1);
        assert_eq!(told.matches("\"error\"").count(), answers, "{garbage:?}: {told}");
        assert_eq!(client.result(STATE)["state"], "running");
    }
    assert!(peak_kib(&running) < before + (16 << 10), "{before} KiB and then {}", peak_kib(&running));
    client.result(QUIT);
    assert_eq!(running.end().0, Some(0));
}
