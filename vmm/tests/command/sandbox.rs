//! The fence around `afterimage boot`, seen from outside: what a running guest's process holds, and that nothing
//! which a guest needs is refused.
//!
//! Invariant: the default is the fence; a test that lowers it says so.

mod unprivileged;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use guest_images::bare::{BareImage, ElfWidth};
use guest_images::guest::GUESTS;
use vmm::sandbox;

use crate::terminal::terminal;
use crate::{afterimage, has_kvm, text};

/// How often a program is looked at that is not yet what it will be.
const LOOKS: usize = 400;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The guest that puts out what it is told, running.
struct Echo(Child);

impl Echo {
    /// Starts it, with a descriptor that it knows nothing of.
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new("sh")
            .args(["-c", "exec 7</dev/null; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_afterimage")])
            .args(["boot", "--timeout", "120", "--guest", "echo", "--stale-report", "off"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut echo = Self(child);
        echo.tell("a");
        let mut told = Vec::new();
        while !told.contains(&b'a') {
            let mut byte = [0];
            let output = echo.0.stdout.as_mut().expect("it is piped");
            output.read_exact(&mut byte).expect("the guest answers");
            told.extend(byte);
        }
        echo
    }

    fn tell(&mut self, what: &str) {
        let input = self.0.stdin.as_mut().expect("it is piped");
        input.write_all(what.as_bytes()).expect("the guest listens");
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from("/proc").join(self.0.id().to_string())
    }

    /// Lines of what the kernel says of each thread, by its name; none of a thread that has ended.
    fn threads(&self, line: &str) -> BTreeMap<String, String> {
        let tasks = fs::read_dir(self.folder().join("task")).expect("it runs").flatten();
        let of = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let value =
                |name: &str| Some(status.lines().find_map(|it| it.strip_prefix(name))?.trim().to_owned());
            Some((value("Name:")?, value(line)?))
        };
        tasks.filter_map(of).collect()
    }

    /// What its descriptors above standard error are.
    fn descriptors(&self) -> Vec<String> {
        let listed = fs::read_dir(self.folder().join("fd")).expect("it runs").flatten();
        let above = listed.filter(|entry| !matches!(entry.file_name().to_str(), Some("0" | "1" | "2")));
        above.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
    }

    /// Ends it. What it said on standard error, and its status.
    fn end(mut self) -> (String, Option<i32>) {
        self.tell(".");
        let output = self.0.wait_with_output().expect("it ends");
        (text(&output.stderr), output.status.code())
    }
}

const ENGINES: [&str; 8] =
    ["--cpus", "2", "--device", "dma-engine", "--device", "dma-engine", "--iommu", "vtd,answers=late"];

#[test]
fn every_thread_of_a_running_guest_is_fenced_in() {
    if !has_kvm() {
        return;
    }
    // A short path, for a socket's may not be long.
    let socket = std::env::temp_dir().join(format!("afterimage-fenced-{}", std::process::id()));
    let socket = socket.to_str().expect("a plain path");
    let debuggers = format!("{socket}-gdb,nowait");
    let files = ["--stale-report-file", "/dev/null", "--trace", "/dev/zero"];
    let more = [&files[..], &["--api-socket", socket, "--gdb", &debuggers]].concat();
    let echo = Echo::start(&[&ENGINES[..], &more].concat());
    // An engine's thread may not have come to its beginning.
    let fenced = |(line, value): (&str, &str)| echo.threads(line).values().all(|it| it == value);
    let none = "0".repeat(16);
    let lines = [("Seccomp:", "2"), ("NoNewPrivs:", "1"), ("CapEff:", &none), ("CapPrm:", &none)];
    for _ in 0..LOOKS {
        if lines.into_iter().all(fenced) {
            break;
        }
        sleep(BETWEEN_LOOKS);
    }
    for (line, value) in lines {
        let threads = echo.threads(line);
        assert!(threads.values().all(|it| it == value), "{line} {threads:?}");
        // The command's, two processors', two engines', that of late devices, and the writers'; names are cut.
        let machine = ["afterimage", "vCPU 0", "vCPU 1", "dma-engine 00:0", "late devices", "timer"];
        for name in machine.into_iter().chain(["output", "reports", "report file", "api", "gdb", "trace"]) {
            assert!(threads.contains_key(name), "{name}: {threads:?}");
        }
    }
    let (told, status) = echo.end();
    assert_eq!((told.as_str(), status), ("", Some(0)));
}

#[test]
fn a_timer_that_nobody_asks_sleeps() {
    if !has_kvm() {
        return;
    }
    let echo = Echo::start(&[]);
    let sleeps = || echo.threads("State:").get("timer").is_some_and(|state| state.starts_with('S'));
    // One that looks again and again never does.
    assert!((0..LOOKS).any(|_| sleeps() || {
        sleep(BETWEEN_LOOKS);
        false
    }));
    assert_eq!(echo.end().1, Some(0));
}

#[test]
fn a_guest_without_a_fence_has_none() {
    if !has_kvm() {
        return;
    }
    let echo = Echo::start(&[&ENGINES[..], &["--sandbox", "off"]].concat());
    let threads = echo.threads("Seccomp:");
    assert!(threads.values().all(|it| it == "0"), "{threads:?}");
    assert!(echo.descriptors().iter().any(|it| it == "/dev/null"), "{:?}", echo.descriptors());
    assert_eq!(echo.end().1, Some(0));
}

#[test]
fn a_running_guest_holds_no_descriptor_that_is_not_its_own() {
    if !has_kvm() {
        return;
    }
    let echo = Echo::start(&ENGINES);
    for descriptor in echo.descriptors() {
        // Standard input is held twice, once without a buffer.
        let own = ["/dev/kvm", "anon_inode:", "/memfd:afterimage-memory", "pipe:"];
        assert!(own.iter().any(|own| descriptor.starts_with(own)), "{descriptor}");
    }
    assert_eq!(echo.end().1, Some(0));
}

#[test]
fn no_guest_needs_what_is_refused() {
    if !has_kvm() {
        return;
    }
    for guest in GUESTS.iter().filter(|guest| guest.name != "echo") {
        for more in [&["--cpus", "2", "--log", "debug"][..], &["--stale-report", "json", "--stale-fatal"]] {
            let named = ["boot", "--timeout", "60", "--cmdline", "reads=100", "--guest", guest.name];
            let fenced = afterimage(&[&named, more].concat());
            let told = text(&fenced.stderr);
            // How it ends is for the other tests to say.
            let refused =
                told.contains("the sandbox") || fenced.status.code() == Some(sandbox::STATUS.into());
            assert!(fenced.status.code().is_some() && !refused, "{} {more:?}: {told}", guest.name);
        }
    }
}

#[test]
fn sixty_four_processors_allocate_as_two_do() {
    if !has_kvm() {
        return;
    }
    let output = afterimage(&["boot", "--timeout", "60", "--guest", "hello", "--cpus", "64"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("hello\n", Some(0)), "{output:?}");
}

#[test]
fn a_guest_that_breaks_down_is_reported_with_its_registers() {
    if !has_kvm() {
        return;
    }
    let image = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fenced-triple-fault");
    fs::write(&image, BareImage::TripleFault.elf(ElfWidth::Bits32))
        .expect("the target folder can be written");
    let output = afterimage(&["boot", "--timeout", "60", "--kernel", image.to_str().expect("a plain path")]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("  rax 0") && told.contains("code at rip: ["), "{told}");
}

#[test]
fn a_time_that_is_over_ends_a_guest_that_is_fenced_in() {
    if !has_kvm() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "0.2", "--guest", "echo", "--cpus", "2"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    // Input that is over would end it.
    let _input = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
}

#[test]
fn a_guest_on_a_terminal_is_fenced_in_and_passes_keys_on() {
    if !has_kvm() {
        return;
    }
    let (near, far) = terminal();
    let again = || far.try_clone().expect("the host has descriptors");
    let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--guest", "echo"])
        .stdin(again())
        .stdout(again())
        .stderr(again())
        .spawn();
    let mut child = child.expect("the command was built");
    File::from(near)
        .write_all(b"abc.")
        .map(|()| child.wait())
        .expect("the keys are pressed")
        .map_or_else(|error| panic!("it ends: {error}"), |status| assert_eq!(status.code(), Some(0)));
}

#[test]
fn a_mode_that_is_none_is_refused_with_those_that_are() {
    let output = afterimage(&["boot", "--guest", "hello", "--sandbox", "maybe"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("'maybe'") && told.contains("on, log, off"), "{told}");
}
