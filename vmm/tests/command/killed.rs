//! A disk whose program is killed while its guest writes: what the guest was told of lasts.
//!
//! Invariant: the page cache of a host outlives every program, so a kill alone shows what a program keeps to itself,
//! and not whether it flushes. `killed/forgetful_host.c` keeps what is not flushed inside of the program, where it
//! ends with it; and the same host that is deaf to flushes must be found to lose something, or nothing was shown.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::disk::{disk, plain, words};
use crate::has_kvm;

const PAGES: u64 = 64;
/// The latest line that a kill waits for: each page has been written twice by then.
const MOST_LINES: u64 = 128;

/// What the program's host does with what is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Host {
    /// It is this one.
    Own,
    /// It forgets what is not flushed.
    Forgetful,
    /// It forgets everything.
    Deaf,
}

/// Numbers without a pattern, the same for the same seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The library that makes a host forgetful.
fn library(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-host.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/killed/forgetful_host.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", plain(&path), source])
        .status()
        .expect("what links the program compiles C");
    assert!(built.success());
    path
}

/// Numbers of which the guest was told that they last and which the file does not have, after a kill behind line
/// `lines` and `delay`.
fn lost(
    path: &Path,
    arguments: &[&str],
    host: Option<(&Path, &str)>,
    lines: u64,
    delay: Duration,
) -> Vec<u64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.args(["boot", "--timeout", "120", "--guest", "virtio", "--disk", plain(path), "--cmdline"]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some((library, how)) = host {
        command.env("LD_PRELOAD", library).env("FORGETFUL_HOST", how);
    }
    let mut child = command.spawn().expect("the command was built");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut told = String::new();
    for _ in 0..lines {
        assert_ne!(output.read_line(&mut told).expect("it is text"), 0, "the guest ended: {told}");
    }
    sleep(delay);
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    output.read_to_string(&mut told).expect("it is text");
    // The last line may be cut off.
    let whole = told.rfind('\n').map_or("", |end| &told[..end]);
    let last = whole.lines().last().and_then(|line| line.strip_prefix("lasts ")?.parse::<u64>().ok());
    let last = last.unwrap_or_else(|| panic!("no number in {told}"));
    assert!(last >= lines, "{last} of {lines}");
    let file = File::open(path).expect("it is there");
    let is_lost = |number: &u64| {
        // A later number of the same page may be there, or half of it: the guest had gone on.
        let later = |word: u64| word > last && word % PAGES == number % PAGES;
        !words(&file, number % PAGES).iter().all(|word| word == number || later(*word))
    };
    (last.saturating_sub(PAGES - 1).max(1)..=last).filter(is_lost).collect()
}

/// How many of `kills` lost something, at places that nobody chose.
fn kills_that_lose(name: &str, cmdline: &str, host: Host, kills: u64) -> u64 {
    let library = (host != Host::Own).then(|| library(name));
    let how = if host == Host::Deaf { "deaf" } else { "hears" };
    let seed = u64::from(std::process::id()) << 20 | 1;
    let mut draws = Draws(seed);
    let mut losses = 0;
    for kill in 0..kills {
        let path = disk(name, PAGES);
        let (lines, delay) = (1 + draws.below(MOST_LINES), Duration::from_micros(draws.below(3000)));
        let library = library.as_deref().map(|library| (library, how));
        let lost = lost(&path, &[cmdline], library, lines, delay);
        assert!(
            lost.is_empty() || host == Host::Deaf,
            "kill {kill} of seed {seed}, behind line {lines} and {delay:?}: lost {lost:?}"
        );
        losses += u64::from(!lost.is_empty());
    }
    losses
}

#[test]
fn what_a_guest_was_told_to_last_is_in_the_file_when_the_program_is_killed() {
    if has_kvm() {
        assert_eq!(kills_that_lose("killed", "do=writes", Host::Own, 5), 0);
    }
}

#[test]
fn what_a_guest_was_told_to_last_was_flushed_before_it_was_told() {
    if has_kvm() {
        assert_eq!(kills_that_lose("forgetful", "do=writes", Host::Forgetful, 20), 0);
    }
}

#[test]
fn what_a_guest_that_never_flushes_was_told_is_written_was_flushed() {
    if has_kvm() {
        assert_eq!(kills_that_lose("through", "do=writes cache=through", Host::Forgetful, 5), 0);
    }
}

#[test]
fn a_host_that_is_deaf_to_flushes_is_found_to_lose_at_each_kill() {
    if has_kvm() {
        assert_eq!(kills_that_lose("deaf", "do=writes", Host::Deaf, 3), 3);
    }
}
