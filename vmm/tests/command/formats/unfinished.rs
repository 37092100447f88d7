//! What every format says of a run that did not come to its end: that there is more, and why it is not there.
//!
//! Invariant: of what was found before nothing is lost, and no format can be taken for one of a run that was finished.

use std::fs::{read_dir, read_link};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::super::limits::file;
use super::super::text;
use super::{FORMATS, REFUTED, folder, object, schema, schema_of};

/// Sees that the output says `why` there is not all, in the way of its format.
fn says(format: &str, command: &str, output: &Output, why: &str) {
    let shown = text(&output.stdout);
    let told = text(&output.stderr);
    assert!(told.lines().any(|line| line.starts_with("afterimage: ") && line.contains(why)), "{told}");
    let has = |part: &str| assert!(shown.contains(part), "{format}: no {part} in\n{shown}");
    match format {
        "text" | "markdown" => has("Not all "),
        "json" => {
            let object = object(output);
            let name = object["schema"].as_str().expect("its schema");
            assert_eq!(schema::faults(&schema_of(name), &object), [""; 0]);
            assert!(object["unfinished"].as_str().is_some_and(|said| said.contains(why)), "{shown}");
        }
        "github" => {
            let first = shown.lines().next().unwrap_or_default();
            let begin =
                format!("::error title=afterimage {command} was not finished::not all scenarios are here: ");
            assert!(first.starts_with(&begin) && first.contains(why), "{shown}");
        }
        "gitlab" => {
            let issues = object(output);
            let last = issues.as_array().and_then(|issues| issues.last()).expect("an issue");
            assert_eq!(
                (&last["check_name"], &last["severity"]),
                (&"unfinished".into(), &"blocker".into()),
                "{last}"
            );
            assert!(last["description"].as_str().is_some_and(|said| said.contains(why)), "{last}");
        }
        "junit" => {
            has(&format!("<testsuite name=\"afterimage {command}\" package=\"afterimage.{command}\""));
            has("tests=\"1\" failures=\"0\" errors=\"1\"");
            has("<error message=\"not all scenarios are here: ");
        }
        "sarif" => {
            let invocation = object(output)["runs"][0]["invocations"][0].clone();
            assert_eq!(invocation["executionSuccessful"], Value::Bool(false), "{invocation}");
            assert_eq!(invocation["exitCode"], Value::from(output.status.code()), "{invocation}");
            let note = &invocation["toolExecutionNotifications"][0];
            assert_eq!(note["level"], "error", "{invocation}");
            assert!(note["message"]["text"].as_str().is_some_and(|said| said.contains(why)), "{invocation}");
        }
        "tap" => {
            let last = shown.lines().last().unwrap_or_default();
            assert!(last.starts_with("Bail out! ") && last.contains(why), "{shown}");
        }
        other => panic!("this test does not know {other}; teach it"),
    }
}

/// `check` of a file that is soon done and one with a search that goes on for long, its states in `disk`.
fn long(folder: &Path, search: &Path, format: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.current_dir(folder).args(["check", "a.scn"]).arg(search);
    command.args(["--no-reduce", "--memory", "1M", "--disk", "disk", "--format", format]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn places(name: &str, [agents, steps]: [usize; 2]) -> (PathBuf, PathBuf) {
    (folder(name, &[("a.scn", REFUTED), ("disk/keep", "")]), file(name, agents, steps))
}

/// A search that outlasts its signal, and one that is more than a disk holds.
const ENDLESS: [usize; 2] = [7, 7];
const LARGE: [usize; 2] = [6, 5];

#[test]
fn a_host_that_refuses_is_an_ending_of_its_own_in_every_format() {
    let (folder, search) = places("unfinished-full", LARGE);
    for format in FORMATS {
        // A file of more than some blocks cannot be written, as on a disk that is full.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]).current_dir(&folder);
        let long = long(&folder, &search, format);
        let output = shell.arg(long.get_program()).args(long.get_args()).output().expect("there is a shell");
        assert_eq!(output.status.code(), Some(7), "{format}: {}", text(&output.stderr));
        says(format, "check", &output, "no room is left in disk");
        // What was found before is there.
        assert!(text(&output.stdout).contains("late"), "{format}: {}", text(&output.stdout));
    }
    std::fs::remove_file(search).expect("it was written");
}

/// Waits until the search of a child has files in the folder.
fn searches(child: &mut Child, disk: &Path) {
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let opens = || {
        let open = read_dir(&descriptors).expect("the child runs").flatten();
        open.filter_map(|one| read_link(one.path()).ok()).filter(|one| one.starts_with(disk)).count()
    };
    while opens() < 2 {
        assert!(child.try_wait().expect("the child is ours").is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_interrupts_a_search_reads_in_every_format_that_it_was() {
    let (folder, search) = places("unfinished-signal", ENDLESS);
    for (format, (signal, name, status)) in FORMATS
        .into_iter()
        .zip([(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143)].into_iter().cycle())
    {
        let mut child = long(&folder, &search, format).spawn().expect("the command was built");
        searches(&mut child, &folder.join("disk"));
        kill_process(Pid::from_child(&child), signal).expect("the child runs");
        let output = child.wait_with_output().expect("the child has ended");
        assert_eq!(output.status.code(), Some(status), "{format}: {}", text(&output.stderr));
        says(format, "check", &output, &format!("{name} ended it; run it again"));
        assert!(!text(&output.stdout).contains("BOUND HIT"), "what was ended has no verdict");
    }
    std::fs::remove_file(search).expect("it was written");
}

#[test]
fn a_second_signal_ends_a_search_at_once() {
    let (folder, search) = places("unfinished-twice", ENDLESS);
    let mut child = long(&folder, &search, "tap").spawn().expect("the command was built");
    searches(&mut child, &folder.join("disk"));
    let id = Pid::from_child(&child);
    kill_process(id, Signal::STOP).expect("the child runs");
    for signal in [Signal::TERM, Signal::INT, Signal::CONT] {
        kill_process(id, signal).expect("the child runs");
    }
    let output = child.wait_with_output().expect("the child has ended");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (None, ""), "{output:?}");
    std::fs::remove_file(search).expect("it was written");
}

/// Delays, after one of which a race is in its runs: a busy machine begins late.
const IN_TIME: [f64; 5] = [0.2, 1.0, 5.0, 20.0, 60.0];

#[test]
fn who_interrupts_a_race_reads_that_it_was_and_it_is_no_success() {
    let folder = folder("unfinished-race", &[("a.scn", REFUTED)]);
    for (format, mode) in FORMATS.into_iter().zip(["steered", "free"].into_iter().cycle()) {
        let raced = IN_TIME.into_iter().find_map(|delay| {
            let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
                .args(["race", "a.scn", "--cpu", "software", "--rounds", "1000000000000"])
                .args(["--mode", mode, "--format", format])
                .current_dir(&folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the command was built");
            std::thread::sleep(Duration::from_secs_f64(delay));
            kill_process(Pid::from_child(&child), Signal::INT).expect("the child runs");
            let output = child.wait_with_output().expect("the child has ended");
            // Ended by the signal: no run had begun.
            output.status.code().map(|_| output)
        });
        let output = raced.expect("it comes to its runs");
        assert_eq!(output.status.code(), Some(130), "{format}: {}", text(&output.stderr));
        says(format, "race", &output, "SIGINT ended it; run it again");
    }
}

#[test]
fn a_limit_of_time_is_a_fault_of_its_scenario_in_every_format_and_the_run_is_finished() {
    let (folder, search) = places("unfinished-time", ENDLESS);
    for format in FORMATS {
        let path = search.to_str().expect("the path is UTF-8");
        let arguments = ["check", path, "--no-reduce", "--time", "0.1", "--format", format];
        let output = super::run(&folder, &arguments, "");
        let shown = text(&output.stdout);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""), "{format}");
        assert!(shown.contains("BOUND HIT"), "{format}: {shown}");
        for part in ["Not all ", "unfinished\"", "Bail out!"] {
            assert!(!shown.contains(part) || format == "json", "{format}: {part} in {shown}");
        }
        match format {
            "json" => assert_eq!(object(&output)["unfinished"], Value::Null),
            "sarif" => {
                let run = &object(&output)["runs"][0];
                assert_eq!(run["invocations"][0]["executionSuccessful"], Value::Bool(true));
                assert_eq!(run["results"][0]["ruleId"], "undecided");
            }
            "text" | "github" | "gitlab" | "junit" | "tap" | "markdown" => {}
            other => panic!("this test does not know {other}; teach it"),
        }
    }
    std::fs::remove_file(search).expect("it was written");
}

#[test]
fn one_signal_ends_a_check_whose_output_nobody_reads() {
    let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    for arguments in [&["--traces"][..], &["--json"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        command.arg("check").arg(&catalogue).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // What it says is more than a pipe holds. Whether it waits for its reader by now or searches: it ends.
        std::thread::sleep(Duration::from_secs(4));
        assert!(child.try_wait().expect("it is our child").is_none(), "it has ended, and nobody has read");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM).expect("it is there");
        let ends = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            child.try_wait().expect("it is our child").is_some()
        });
        if !ends {
            child.kill().expect("it is there");
        }
        assert!(ends, "{arguments:?}: it waits for a reader");
    }
}
