//! What a fence keeps in, seen from processes of their own: what is given up does not come back.
//!
//! Invariant: each test starts itself again for every case, and only that process is fenced in.

mod given_up;
mod kernels;
mod raw;
mod refused;

use std::env;
use std::fs::File;
use std::io::{Read, stdout};
use std::process::{Command, Output, Stdio, exit};
use std::thread;

/// In the environment of such a process: its case.
const CASE: &str = "AFTERIMAGE_TEST_CASE";
/// The status of a process that came to its end.
const SURVIVED: i32 = 40;

/// What a process puts out in which `test`, the calling one, does `act` on a thread called "fenced" and nothing else.
/// None in such a process itself, where it is another case's turn.
fn alone(test: &str, case: &str, act: impl FnOnce() + Send) -> Option<Output> {
    alone_on(Stdio::null(), test, case, act)
}

/// The same with `input` as standard input.
fn alone_on(input: Stdio, test: &str, case: &str, act: impl FnOnce() + Send) -> Option<Output> {
    if let Ok(asked) = env::var(CASE) {
        if asked == case {
            survive(act);
        }
        return None;
    }
    let own = env::current_exe().expect("the test is a file");
    let output = Command::new(own)
        .args(["--exact", &format!("sandbox::tests::{test}"), "--nocapture", "--test-threads", "1"])
        .env(CASE, case)
        .env("RUST_BACKTRACE", "1")
        .stdin(input)
        .output()
        .expect("a test can be started again");
    Some(output)
}

fn survive(act: impl FnOnce() + Send) -> ! {
    let ended = thread::scope(|scope| {
        let thread = thread::Builder::new().name("fenced".to_owned());
        thread.spawn_scoped(scope, act).expect("the host has a thread").join()
    });
    exit(if ended.is_ok() { SURVIVED } else { 1 })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_survived(output: &Output, what: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(SURVIVED), "{what}: {told}{}", text(&output.stdout));
}

/// Opened before a path is forbidden, and read afterwards: what the kernel says of the calling thread.
struct Status(File);

impl Status {
    fn of_thread() -> Self {
        Self(File::open("/proc/thread-self/status").expect("a thread may look at itself"))
    }

    /// The values of lines.
    fn values<const LEN: usize>(mut self, lines: [&str; LEN]) -> [String; LEN] {
        let mut shown = String::new();
        self.0.read_to_string(&mut shown).expect("what is open can be read");
        lines.map(|name| {
            let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.expect("the kernel has the line").trim().to_owned()
        })
    }
}

fn say(what: &str) {
    use std::io::Write;
    writeln!(stdout(), "{what}").expect("a test can be read");
}
