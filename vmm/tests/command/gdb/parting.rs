//! Debuggers that come and go.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use super::client::Running;
use super::{image, letter};
use crate::has_kvm;
use guest_images::bare::BareImage;
use vmm::kvm::System;

/// Its number in the description.
const CS: usize = 18;
const ECHO: [&str; 2] = ["--guest", "echo"];

#[test]
fn the_user_stops_the_guest_and_lets_it_go_on() {
    if !has_kvm() {
        return;
    }
    let mut running = Running::start_with("interrupt", ",nowait", &["--guest", "echo", "--cpus", "2"]);
    running.echoes(b'a');
    let mut debugger = running.debugger();
    for _ in 0..20 {
        debugger.send(&super::client::packet("vCont;c"));
        running.echoes(b'b');
        debugger.send(&[3]);
        let stop = debugger.hear().expect("it stops");
        assert!(stop.starts_with("T02thread:"), "{stop}");
        // It stands still: what it is told it says only afterwards.
        let before = debugger.ask("g");
        running.tell(b'c');
        assert_eq!(debugger.ask("g"), before);
        debugger.send(&super::client::packet("vCont;c"));
        assert_eq!(running.says(), b'c');
        debugger.send(&[3]);
        assert!(debugger.hear().expect("it stops").starts_with("T02"));
    }
    assert_eq!(debugger.ask("D"), "OK");
    running.echoes(b'.');
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_step_at_cpl3_is_made_or_is_told_to_be_none() {
    if !has_kvm() {
        return;
    }
    let running =
        Running::start_with("cpl3", ",nowait", &["--guest", "vtd-race", "--cmdline", "reads=1000000000"]);
    let mut debugger = running.debugger();
    while debugger.register(CS) & 3 != 3 {
        debugger.send(&super::client::packet("vCont;c"));
        std::thread::sleep(std::time::Duration::from_millis(10));
        debugger.send(&[3]);
        assert!(debugger.hear().expect("it stops").starts_with('T'));
    }
    let before = debugger.ask("g");
    let stop = debugger.go("vCont;s:1");
    if System::shadows_guest_tables() {
        // There a step would be an exception of the guest's own.
        assert!(stop.starts_with("T04thread:01"), "{stop}");
        assert_eq!(debugger.ask("g"), before);
    } else {
        assert!(stop.starts_with("T05"), "{stop}");
        assert_ne!(debugger.ask("g"), before);
    }
    debugger.send(&super::client::packet("k"));
    assert!(debugger.is_left());
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn whoever_goes_leaves_a_guest_that_runs_without_breakpoints() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "goes");
    let at = letter(&code);
    for detaches in [true, false] {
        let running = Running::start("goes", &["--kernel", &path]);
        let mut debugger = running.debugger();
        for address in [0, 1, 2, at, at + 1] {
            assert_eq!(debugger.ask(&format!("Z0,{address:x},1")), "OK");
        }
        assert!(debugger.go("vCont;c").contains("swbreak"));
        if detaches {
            assert_eq!(debugger.ask("D"), "OK");
            assert!(debugger.is_left());
        }
        drop(debugger);
        let (status, said, told) = running.end();
        assert_eq!((status, said.as_str()), (Some(0), "hello\n"), "{told}");
    }
}

#[test]
fn whoever_goes_while_the_guest_runs_leaves_it_so() {
    if !has_kvm() {
        return;
    }
    let mut running = Running::start("runs", &ECHO);
    for said in b"abc" {
        let mut debugger = running.debugger();
        assert_eq!(debugger.ask("Z0,9,1"), "OK");
        debugger.send(&super::client::packet("vCont;c"));
        running.echoes(*said);
        drop(debugger);
        running.echoes(said.to_ascii_uppercase());
    }
    running.echoes(b'.');
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_kill_ends_the_guest_as_its_user_does() {
    if !has_kvm() {
        return;
    }
    let running = Running::start("kill", &ECHO);
    let mut debugger = running.debugger();
    debugger.send(&super::client::packet("k"));
    assert!(debugger.is_left());
    let (status, said, told) = running.end();
    assert_eq!((status, said.as_str()), (Some(0), ""), "{told}");
}

#[test]
fn a_second_debugger_is_refused_and_the_first_stays() {
    if !has_kvm() {
        return;
    }
    let running = Running::start("second", &ECHO);
    let mut debugger = running.debugger();
    for _ in 0..20 {
        let mut second = BufReader::new(running.connect());
        let mut heard = String::new();
        // Closed at once, with or without a reset.
        assert_eq!(second.read_line(&mut heard).unwrap_or(0), 0, "{heard}");
        assert_eq!(debugger.ask("qfThreadInfo"), "m01");
    }
    assert_eq!(debugger.ask("D"), "OK");
    drop(debugger);
    assert_eq!(running.end().0, Some(0), "echo ends when nobody says anything more");
}

#[test]
fn a_clients_pause_and_a_debuggers_do_not_undo_each_other() {
    if !has_kvm() {
        return;
    }
    let api = std::env::temp_dir().join(format!("afterimage-gdb-{}-api", std::process::id()));
    let api_text = api.to_str().expect("a plain path");
    let mut running = Running::start("both", &["--guest", "echo", "--api-socket", api_text]);
    let mut debugger = running.debugger();
    let mut client = BufReader::new(UnixStream::connect(&api).expect("it listens"));
    let mut state = |command: &str| {
        let request = format!("{{\"command\":\"{command}\"}}\n");
        client.get_mut().write_all(request.as_bytes()).expect("there is room");
        let mut answer = String::new();
        client.read_line(&mut answer).expect("an answer comes");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("it is JSON");
        let result = &answer["result"];
        (result["state"].as_str().unwrap_or("an error").to_owned(), result["at_rest"].as_u64())
    };
    let paused = ("paused".to_owned(), Some(1));
    assert_eq!(state("resume"), paused, "the debugger holds it");
    assert_eq!(state("pause"), paused);
    assert_eq!(debugger.ask("D"), "OK");
    assert!(debugger.is_left());
    for _ in 0..20 {
        assert_eq!(state("state"), paused, "the client holds it");
    }
    assert_eq!(state("resume").0, "running");
    running.echoes(b'.');
    assert_eq!(running.end().0, Some(0));
}
