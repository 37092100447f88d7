//! `afterimage check` within limits of memory, time and states.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{afterimage, text};

/// Agents that each add to one number, and note how large it was: nearly all of their orders differ.
pub(super) fn file(name: &str, agents: usize, steps: usize) -> PathBuf {
    let list = |one: fn(usize) -> String| (0..agents).map(one).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "scenario {name}\nvar n = 0..250, {}\n",
        list(|agent| format!("x{agent} = 0..{}", agent + 1))
    );
    for agent in 0..agents {
        writeln!(text, "agent T{agent}").expect("a text takes what is written");
        for step in 0..steps {
            let largest = agent + step;
            writeln!(text, "  if n > {largest}: x{agent} = {}\n  n += 1", 1 + step % (agent + 1))
                .expect("a text takes what is written");
        }
    }
    text += "\nalways n < 250\nexpect proved\n";
    let path = std::env::temp_dir().join(format!("afterimage-{name}-{}.scn", std::process::id()));
    std::fs::write(&path, text).expect("a temporary file can be written");
    path
}

/// What a search may take beside its memory.
pub(super) const SLACK_MIB: usize = 2;

/// The most memory that the command had at one time, in KiB, and what it printed.
pub(super) fn peak(arguments: &[&str]) -> (usize, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("the child is ours").is_none() {
        let shown = std::fs::read_to_string(&status).unwrap_or_default();
        let line = shown.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(peak));
        std::thread::sleep(Duration::from_millis(1));
    }
    (peak, text(&child.wait_with_output().expect("the child has ended").stdout))
}

#[test]
fn a_search_stays_within_its_memory_reduced_or_not_on_one_thread_or_two() {
    let file = file("memory", 7, 5);
    let path = file.to_str().expect("the path is UTF-8");
    // What the program takes itself, most of it what is mapped of its file.
    let base = peak(&["check", path, "--memory", "64K"]).0;
    for mib in [1, 8, 30, 48] {
        for more in [["--threads", "1"].as_slice(), &["--threads", "2"], &["--no-reduce"]] {
            let memory = format!("{mib}M");
            let (kib, shown) = peak(&[&["check", path, "--memory", &memory], more].concat());
            assert!(shown.contains("BOUND HIT: --memory "), "{memory} {more:?}: {shown}");
            assert!(
                kib > 0 && kib < base + ((mib + SLACK_MIB) << 10),
                "{memory} {more:?}: {kib} KiB, {base} alone"
            );
        }
    }
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn counting_the_orders_of_a_proof_stays_within_the_memory_and_leaves_the_proof() {
    let file = file("counting", 5, 4);
    let path = file.to_str().expect("the path is UTF-8");
    let base = peak(&["check", path, "--memory", "64K"]).0;
    let mut counted = Vec::new();
    for mib in [4, 12, 20, 28, 40, 200] {
        let (kib, shown) = peak(&["check", path, "--memory", &format!("{mib}M")]);
        let line = shown
            .lines()
            .find(|line| line.starts_with("counting "))
            .expect("a scenario has a line")
            .to_owned();
        assert!(kib > 0 && kib < base + ((mib + SLACK_MIB) << 10), "{mib} MiB: {kib} KiB, {base} alone");
        counted.push((line.contains(" PROVED "), line.contains(" - orders")));
    }
    assert!(counted.contains(&(true, true)), "some memory is enough for the proof alone: {counted:?}");
    assert_eq!(counted.last(), Some(&(true, false)), "with enough of it the orders are counted: {counted:?}");
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn a_search_ends_when_its_time_is_over_and_that_is_no_proof() {
    let file = file("time", 9, 6);
    let path = file.to_str().expect("the path is UTF-8");
    for threads in ["1", "2"] {
        let output = afterimage(&["check", path, "--time", "0.3", "--threads", threads]);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stdout);
        assert!(
            shown.contains("BOUND HIT: --time ") && shown.contains("expected PROVED, found BOUND HIT"),
            "{shown}"
        );
    }
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn a_limit_that_was_hit_is_shown_with_one_number_of_states_and_how_they_grow() {
    let file = file("states", 6, 4);
    let path = file.to_str().expect("the path is UTF-8");
    let output = afterimage(&["check", path, "--max-states", "2000"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("BOUND HIT: --max-states "), "{shown}");
    let numbers = shown.lines().filter(|line| !line.contains(".scn")).collect::<Vec<_>>().join("\n");
    assert_eq!(numbers.matches("states ").count(), 4, "name, option, number and growth: {shown}");
    assert!(!numbers.contains("2000"), "the limit is no number of states that were found: {shown}");
    assert!(shown.contains(" steps deep, ") && shown.contains("(still growing); of at most 2^"), "{shown}");
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn a_time_that_cannot_be_is_refused() {
    for time in ["0", "-1", "x", "1e99"] {
        let output = afterimage(&["check", "nowhere.scn", &format!("--time={time}")]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("give seconds, such as 60 or 0.5"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_host_without_a_thread_for_the_time_is_one_line_with_what_to_do_and_status_7() {
    let check = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args([&["check", "../tests/scenarios/litmus/store-buffers.scn"], more].concat())
            // A thread whose stack is larger than all that a process can address.
            .env("RUST_MIN_STACK", (1_u64 << 48).to_string())
            .stdin(Stdio::null())
            .output()
            .expect("the command was built")
    };
    let output = check(&["--time", "60"]);
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(7), 1), "{told}");
    assert!(
        told.starts_with("afterimage: the host refuses a thread for --time: ")
            && told.contains("raise `ulimit -u`"),
        "{told}"
    );
    assert_eq!(check(&[]).status.code(), Some(0), "which needs none");
}

#[test]
fn a_host_without_a_second_thread_searches_with_one() {
    let file = file("threads", 6, 4);
    let check = |stack: Option<u64>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        let path = file.to_str().expect("the path is UTF-8");
        command.args(["check", path, "--threads", "2", "--no-reduce", "--max-states", "400000", "--json"]);
        stack.map(|stack| command.env("RUST_MIN_STACK", stack.to_string()));
        let output = command.stdin(Stdio::null()).output().expect("the command was built");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let found = &report["scenarios"][0];
        (output.status.code(), found["verdict"].clone(), found["states"].clone(), text(&output.stderr))
    };
    let (with, without) = (check(None), check(Some(1 << 48)));
    assert_eq!((&with.0, &with.1, &with.2), (&without.0, &without.1, &without.2), "{}", without.3);
    assert!(with.2.as_u64().is_some_and(|states| states > 100_000), "{with:?}");
    std::fs::remove_file(file).expect("it was written");
}
