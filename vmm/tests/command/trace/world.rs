//! What the world does to a trace: it has no room, no reader, and ends the program.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::{flows, place, sound};
use crate::{afterimage, has_kvm, text};

/// A driver with a mistake that does much.
const MUCH: [&str; 5] =
    ["boot", "--guest", "vtd-driver", "--cmdline", "run=workload bug=missing-flush rounds=2"];
const ONCE: &str = "run=workload rounds=1";
const DEMO: [&str; 7] = ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush"];

fn pipe(name: &str) -> std::path::PathBuf {
    let path = place(name);
    let made = Command::new("mkfifo").arg(&path).status().expect("there is mkfifo(1)");
    assert!(made.success());
    path
}

/// A pipe's reading end, without whoever writes being there.
fn reader(path: &Path) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("a pipe is opened by whoever may read and write it")
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_runs() {
    let alone = pipe("alone");
    let scenario = "../tests/scenarios/cow/notify-under-lock.scn";
    let mut commands = vec![DEMO.to_vec(), vec!["race", scenario], vec!["replay", scenario]];
    if has_kvm() {
        commands.push(vec!["boot", "--guest", "testdev"]);
    }
    for command in commands {
        for (wrong, remedy) in [
            ("/no/such/folder/file", "name another file for the trace"),
            ("/", "name another file for the trace"),
            (plain(&alone), "start its reader first"),
            ("run.scn", "that is a scenario file"),
            ("run.json,limit=1", "give a larger limit"),
        ] {
            let output = afterimage(&[&command[..], &["--trace", wrong]].concat());
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command:?} {wrong}: {told}");
            assert!(told.contains(remedy), "{command:?} {wrong}: {told}");
            assert!(output.stdout.is_empty(), "{command:?} {wrong} has run: {}", text(&output.stdout));
        }
    }
}

#[test]
fn reports_and_trace_cannot_stand_in_one_file() {
    let path = place("same");
    let output = afterimage(&[
        "boot",
        "--guest",
        "hello",
        "--trace",
        plain(&path),
        "--stale-report-file",
        plain(&path),
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("name two"), "{}", text(&output.stderr));
}

#[test]
fn the_limit_is_kept_what_is_left_out_is_told_and_what_matters_stays() {
    if !has_kvm() {
        return;
    }
    let path = place("limit");
    let limited = format!("{},limit=64K", plain(&path));
    let output = afterimage(&[&MUCH[..], &["--trace", &limited]].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("events are left out of the trace; more fit with a larger limit"), "{told}");
    let len = std::fs::metadata(&path).expect("it was written").len();
    assert!((32 << 10..=64 << 10).contains(&len), "{len} bytes");
    let read = sound(&path);
    assert!(read.is_closed && read.instants.iter().any(|name| name.ends_with(" events are left out")));
    let flows = flows(&read);
    assert!(flows.iter().any(|flow| flow[flow.len() - 1].category == "stale use"), "{flows:?}");
}

#[test]
fn a_disk_without_room_costs_the_trace_and_not_the_run() {
    if !has_kvm() {
        return;
    }
    let output = afterimage(&["boot", "--guest", "vtd-driver", "--cmdline", ONCE, "--trace", "/dev/full"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("/dev/full cannot be written") && told.contains("make room"), "{told}");
    assert!(told.contains("stale uses: none"), "the guest has come to its end: {told}");
    let output = afterimage(&[&DEMO[..], &["--trace", "/dev/full"]].concat());
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("VIOLATION"), "{}", text(&output.stdout));
}

#[test]
fn a_reader_that_goes_away_costs_the_trace_and_not_the_run() {
    if !has_kvm() {
        return;
    }
    let path = pipe("gone");
    let mut own = reader(&path);
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--guest", "vtd-driver", "--cmdline", ONCE, "--trace", plain(&path)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut some = [0; 64];
    own.read_exact(&mut some).expect("the trace begins");
    drop(own);
    let mut told = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut told).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(141), "{told}");
    assert!(told.contains("whoever read the trace has gone away"), "{told}");
    assert!(told.contains("stale uses: none"), "the guest has come to its end: {told}");
}

#[test]
fn a_reader_that_never_reads_holds_up_nobody() {
    if !has_kvm() {
        return;
    }
    let path = pipe("deaf");
    let own = reader(&path);
    let output = afterimage(&[&MUCH[..], &["--trace", plain(&path)]].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("of the trace are lost, because nobody read them in time"), "{told}");
    drop(own);
}

#[test]
fn a_run_that_is_killed_leaves_a_trace_that_opens() {
    if !has_kvm() {
        return;
    }
    let path = place("killed");
    let endless = "run=workload rounds=1000000000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--guest", "vtd-driver", "--cmdline", endless, "--trace", plain(&path)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command was built");
    let len = || std::fs::metadata(&path).map_or(0, |about| about.len());
    // It is written while the guest runs.
    while len() < 100_000 && child.try_wait().expect("it is ours").is_none() {
        sleep(Duration::from_millis(5));
    }
    child.kill().expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), None, "it was killed, and had not ended");
    let read = sound(&path);
    assert!(!read.is_closed && read.slices.len() > 100, "{} slices", read.slices.len());
}
