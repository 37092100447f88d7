//! The command line, as its users meet it. Without /dev/kvm, tests that need it say "skipped: ..." and pass.

mod action;
mod api;
mod boot;
mod demo;
mod disk;
mod editors;
mod ending;
mod fmt;
mod formats;
mod gdb;
mod generate;
mod guests;
mod hostile;
mod idle;
mod killed;
mod limits;
mod minimize;
mod net;
mod observe;
mod on_disk;
mod outcomes;
mod partition;
mod pictures;
mod race;
mod replay;
mod sandbox;
mod steps;
mod sweep;
mod terminal;
mod trace;
mod tutorials;
mod virtio;
mod vsock;
mod zoo;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use vmm::kvm::{System, SystemError};

fn afterimage(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn has_kvm() -> bool {
    let say =
        |error: &SystemError| writeln!(std::io::stdout(), "skipped: {error}").expect("a test can be read");
    System::open().inspect_err(say).is_ok()
}

#[test]
fn wrong_usage_says_what_was_given_and_what_is_accepted() {
    for (arguments, given, accepted) in [
        (["--devices", "0"], "'0'", "1..=16"),
        (["--vcpus", "65"], "'65'", "1..=64"),
        (["--seconds", "0"], "'0'", "seconds from 0.1"),
        (["--operation", "fork"], "'fork'", "cow, ksm, all"),
        (["--cpu", "tcg"], "'tcg'", "kvm, software"),
        (["--order", "flush-first"], "`flush-first`", "clear-flush-notify-set"),
        (["--window-us", "x"], "'x'", "invalid digit"),
    ] {
        let output = afterimage(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.contains(given) && message.contains(accepted), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_option_of_the_demonstration_before_another_command_is_not_lost_but_refused() {
    for (arguments, option) in [
        (&["--seconds", "1", "check", "store-buffering"][..], "'--seconds <SECONDS>' before 'check'"),
        (&["--json", "zoo"], "'--json' before 'zoo'"),
        (&["--color", "never", "--devices", "2", "demo"], "'--devices <DEVICES>' before 'demo'"),
    ] {
        let output = afterimage(arguments);
        let message = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {message}");
        assert!(message.contains(option) && message.contains("or leave it out"), "{arguments:?}: {message}");
    }
    assert_eq!(afterimage(&["--color", "never", "guests"]).status.code(), Some(0));
}

#[test]
fn a_demonstration_is_one_json_object_when_asked() {
    let output = afterimage(&[
        "demo",
        "--cpu",
        "software",
        "--operation",
        "cow",
        "--order",
        "no-flush",
        "--devices",
        "2",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["cpu"], "software");
    let run = &object["runs"][0];
    assert_eq!((&run["operation"], &run["order"]), (&"cow".into(), &"no-flush".into()));
    assert_eq!((&run["expected"], &run["verdict"]), (&"violated".into(), &"violated".into()));
    assert_eq!(run["stale"], run["stale_by"]["cpu"], "only the CPU's turn: {run}");
    for count in ["operations", "guest_accesses", "dma_accesses", "cpu_accesses", "stale"] {
        assert!(run[count].as_u64().unwrap() > 0, "{count}: {run}");
    }
    for count in ["lost_writes", "freed_uses"] {
        assert!(run[count].is_u64(), "{count}: {run}");
    }
}

#[test]
fn a_table_names_the_frames_of_the_first_violation() {
    let output = afterimage(&["--cpu", "software", "--operation", "cow", "--order", "no-clear"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in ["vCPUs in software", "violated", "new rw", "state change", "# row 1, line "] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    assert!(output.stderr.is_empty(), "no progress line without a terminal");
}

/// A scenario file of this test's own.
fn scenario(name: &str, text: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the target folder can be written");
    path
}

const RACE: &str = "scenario late-notification\npage A\nframe old = 0, new = 0\nmap A -> old ro\ncpu CPU\n\
    device IOMMU\n\nrace\nCPU | IOMMU\npte_clear A | repeat 0..2: dma_read A\nflush_tlb A |\n\
    set_pte A -> new rw |\nstore A = 1 |\nnotify A |\n\nnever IOMMU reads A == 0 after CPU store A\n";

#[test]
fn check_shows_the_shortest_counterexample_and_its_status_says_whether_it_was_expected() {
    let expected = scenario("expected.scn", &format!("{RACE}expect violation\n"));
    let output = afterimage(&["check", expected.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("VIOLATED in "));

    let unexpected = scenario("unexpected.scn", RACE);
    let output = afterimage(&["check", unexpected.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    for part in ["expected PROVED, found VIOLATED", "dma_read A = 0", "VIOLATION: never IOMMU reads A == 0"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn check_reports_every_error_of_a_file_and_what_to_do() {
    let wrong = scenario(
        "wrong.scn",
        "scenario wrong\npage A\nframe old = 0\nmap A -> old ro\ncpu CPU\n\nagent CPU\n  \
        pte_claer A\n  load B\n\nnever reads A == 9\n",
    );
    let output = afterimage(&["check", wrong.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("wrong.scn:8:") && message.contains("pte_clear"), "{message}");
    assert_eq!(afterimage(&["check", "no-such-file.scn"]).status.code(), Some(2));
    assert_eq!(afterimage(&["check"]).status.code(), Some(2));
    let endless = afterimage(&["check", "/dev/zero"]);
    assert_eq!(endless.status.code(), Some(2));
    assert!(text(&endless.stderr).contains("/dev/zero is no file"), "{}", text(&endless.stderr));
}

#[test]
fn the_object_of_a_check_has_the_trace_and_why_it_breaks() {
    let file = scenario("json.scn", &format!("{RACE}expect violation\n"));
    let output = afterimage(&["check", "--json", file.to_str().expect("a plain path")]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let found = &object["scenarios"][0];
    let rows = found["trace"].as_array().expect("a violation has a trace");
    assert_eq!(Some(rows.len() as u64), found["steps"].as_u64());
    let clear = rows.iter().find(|row| row["step"] == "pte_clear A").expect("the entry is cleared");
    assert_eq!((&clear["agent"], &clear["line"]), (&"CPU".into(), &10.into()));
    let change = serde_json::json!({"variable": "pte[A]", "old": "old ro", "new": "none"});
    assert_eq!(clear["changes"][0], change);
    let why = found["why"].to_string();
    assert!(why.contains("why: row ") && why.contains("`notify A` of CPU (line 14) comes too late"), "{why}");
}

/// Forty-five variables of eight values each, which all matter.
fn too_large() -> String {
    let declared: String = (0..45).map(|index| format!("var x{index} = 0..7\n")).collect();
    let row = |index: u32, value: u32| format!("  x{index} = {value}\n");
    let rows: String = (0..45).flat_map(|index| (1..8).map(move |value| row(index, value))).collect();
    let asked: String = (0..45).map(|index| format!("finally x{index} == 7\n")).collect();
    format!("scenario wide\n{declared}agent k\n{rows}\n{asked}")
}

#[test]
fn check_says_where_a_scenario_stands_that_is_too_large_and_checks_the_others() {
    let file = scenario("wide.scn", &format!("{}\n{RACE}expect violation\n", too_large()));
    let output = afterimage(&["check", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let message = text(&output.stderr);
    for part in ["wide.scn:1:10", "a state of `wide` needs", "127 can be packed", "leave out", "(3)"] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    let shown = text(&output.stdout);
    for part in ["late-notification", "VIOLATED in ", "1 of 1 files could not be checked"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn a_bound_that_was_hit_is_no_proof() {
    let bound = scenario("bound.scn", &format!("{RACE}expect violation\n"));
    let output = afterimage(&["check", "--max-states", "3", bound.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("BOUND HIT: --max-states"), "{}", text(&output.stdout));
}

#[test]
fn help_and_version_are_there() {
    let help = text(&afterimage(&["--help"]).stdout);
    assert!(help.contains("--window-us") && help.contains("demo"), "{help}");
    assert!(text(&afterimage(&["--version"]).stdout).starts_with("afterimage 0."));
}
