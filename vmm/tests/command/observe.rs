//! `afterimage observe`, as its users meet it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};

use super::{afterimage, text};

/// A file that goes when it is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("afterimage-observe-{}-{name}", process::id()));
        fs::write(&path, bytes).expect("a file can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

const COW: &str = "../tests/traces/linux-6.1-cow-break.txt";

#[test]
fn an_order_is_told_with_the_kernels_functions_and_its_scenario() {
    let output = afterimage(&["observe", COW]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    for line in [
        "COW break, once, first in line 8 (labtest-128, \"== cow begin\")",
        "  flush_tlb A           | flush_tlb_mm_range, tlb_flush",
        "as cow-linux-6.1 (versions/copy-on-write.scn): PROVED",
        "not judged: the trace ends before what it has changed is flushed",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn a_wrong_order_ends_with_status_1_and_its_counterexample() {
    let trace = fs::read_to_string(COW).unwrap();
    let told = trace
        .lines()
        .filter(|line| !line.contains("notifier_invalidate_range <-") || line.contains("range_end"));
    let told: Vec<&str> = told.collect();
    let moved =
        trace.lines().find(|line| line.contains("__mmu_notifier_invalidate_range <-wp_page_copy")).unwrap();
    let at = told
        .iter()
        .position(|line| line.contains("__mmu_notifier_invalidate_range_end <-wp_page_copy"))
        .unwrap();
    // As recorded so: the line that was moved has the time of its new place.
    let time = |line: &str| line.split_once("us cpu").map(|(time, _)| time.to_owned()).unwrap();
    let moved = moved.replacen(&time(moved), &time(told[at]), 1);
    let edited = [&told[..at], &[moved.as_str()], &told[at..]].concat().join("\n");
    let file = Temporary::new("wrong", edited.as_bytes());
    let output = afterimage(&["observe", file.path()]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("as cow-linux-6.1-notified-at-end (versions/copy-on-write.scn): VIOLATED"),
        "{shown}"
    );
    assert!(shown.contains("# VIOLATION: never reads A == 0 after T2 store A"), "{shown}");
}

#[test]
fn one_json_object_has_the_same() {
    let output = afterimage(&["observe", "--json", COW]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["schema"], &json["kernel"]), (&1.into(), &"6.1".into()));
    let order = &json["orders"][0];
    assert_eq!((&order["ruling"], &order["scenario"]), (&"right".into(), &"cow-linux-6.1".into()));
    assert_eq!(order["rows"][1]["functions"][0], "ptep_clear_flush");
    assert!(order["steps"].as_array().unwrap().iter().any(|step| step["row"].is_null()), "unseen steps");
}

#[test]
fn what_tells_nothing_ends_with_status_3_and_says_so_in_both_forms() {
    let nothing = Temporary::new("nothing", b"# kernel: junk\n a-1 [000] . 1.5: f <-g\nwhat is this\n");
    let output = afterimage(&["observe", nothing.path()]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("no operation was found"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("`junk` is said to be the kernel"), "{}", text(&output.stdout));
    let output = afterimage(&["observe", "--json", nothing.path()]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!((&json["no_kernel"], &json["first_unreadable"]), (&"junk".into(), &3.into()));
    assert_eq!((&json["uncounted"], &json["record"]), (&0.into(), &serde_json::Value::Null));
    // Whether a page is freed before or behind the end of its range no line shows.
    let untold = afterimage(&["observe", "../tests/traces/linux-6.1-ksm-merge.txt"]);
    assert_eq!(untold.status.code(), Some(3));
    assert!(text(&untold.stderr).contains("no order was told from refuted ones"), "{}", text(&untold.stderr));
    let sum = "2 orders: 0 of proved scenarios, 0 new and proved, 2 not told from refuted ones, 0 wrong, 0 not judged.";
    assert!(text(&untold.stdout).contains(sum), "{}", text(&untold.stdout));
}

#[test]
fn the_running_kernel_is_recorded_with_its_own_rows() {
    let output = afterimage(&["observe", "--record", "cow", "--kernel", "6.1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot be used with"), "{}", text(&output.stderr));
}

#[test]
fn a_recording_says_in_json_what_it_says_in_words() {
    let output = afterimage(&["observe", "--json", "--record", "dontneed"]);
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        println!("skipped: nothing can be recorded here: {}", text(&output.stderr));
        return;
    };
    let record = &json["record"];
    assert_eq!((&record["operation"], &record["rounds"]), (&"dontneed".into(), &8.into()));
    assert!((1..=8).contains(&record["happened"].as_u64().unwrap()), "{record}");
    assert!(!record["recorded"].as_array().unwrap().is_empty(), "{record}");
    let number = |key: &str| record[key].as_array().unwrap().len();
    assert_eq!(number("seen") + number("unseen"), 7, "{record}");
    assert!(record["missing"].is_array());
}

#[test]
fn the_vocabulary_is_printed_and_added_to() {
    let output = afterimage(&["observe", "--vocabulary"]);
    assert!(text(&output.stdout).contains("ptep_clear_flush | | pte_clear A | some | address addr"));
    let added = Temporary::new("rows", b"my_tlb_flush | | flush_tlb A | every |\n");
    let lines = "# kernel: 6.1\n a-1 [000] ...1. 1.4: handle_mm_fault <-x\n a-1 [000] ...1. 1.5: ptep_clear_flush <-wp_page_copy\n a-1 [000] ...1. 1.6: my_tlb_flush <-x\n";
    let trace = Temporary::new("added", lines.as_bytes());
    let without = text(&afterimage(&["observe", trace.path()]).stdout);
    assert!(without.contains("not in the vocabulary: my_tlb_flush 1"), "{without}");
    assert!(without.contains("a row for one, in a file for --vocabulary: my_tlb_flush | |"), "{without}");
    let with = text(&afterimage(&["observe", trace.path(), "--vocabulary", added.path()]).stdout);
    assert!(with.contains("flush_tlb A") && !with.contains("not in the vocabulary"), "{with}");
}

#[test]
fn what_is_no_trace_is_refused_with_what_to_do() {
    let wrong = Temporary::new("bad-rows", b"f | | flush_everything | some |\n");
    for (bytes, arguments, message) in [
        (&b"\x17\x08\x44tracing6\0\0"[..], vec![], "print it as text: trace-cmd report -i FILE"),
        (b"PERFILE2\0\0\0\0", vec![], "perf script --header -i FILE"),
        (b"int main(void) { return 0; }\n", vec![], "no line of it is an event of a kernel trace"),
        (b"", vec![], "no line of it is an event of a kernel trace"),
        (
            b" a-1 [000] . 1.5: f <-g\n",
            vec!["--vocabulary", wrong.path()],
            "line 1: `flush_everything` is no step",
        ),
        (b" a-1 [000] . 1.5: f <-g\n", vec!["--kernel", "linux"], "`linux` is no version of a kernel"),
        (b" a-1 [000] . 1.5: f <-g\n", vec!["--kernel", "5.14"], "the vocabulary is of 5.15 to 7.x"),
        (b"# kernel: 9.9\n a-1 [000] . 1.5: f <-g\n", vec![], "what functions of kernel 9.9 do is not known"),
    ] {
        let file = Temporary::new("refused", bytes);
        let output = afterimage(&[&["observe", file.path()], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{message}");
        let told = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(message), "{message}: {told}");
        assert!(output.stdout.is_empty());
    }
    let output = afterimage(&["observe", "no-such-file"]);
    assert!(text(&output.stderr).contains("cannot read no-such-file"), "{}", text(&output.stderr));
    assert_eq!(afterimage(&["observe"]).status.code(), Some(2));
}

#[test]
fn traces_of_two_kernels_are_not_held_against_the_rows_of_one() {
    let both = ["observe", COW, "../tests/traces/linux-6.18-pte-writes.txt"];
    let output = afterimage(&both);
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("linux-6.18-pte-writes.txt is of kernel 6.18, and"), "{told}");
    let output = afterimage(&[&both[..], &["--kernel", "6.1"]].concat());
    assert_ne!(output.status.code(), Some(2), "whoever says which it is means it");
    let output = afterimage(&["observe", COW, COW]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// The most memory that a process has had, in KiB.
fn most_kib(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn a_hundred_megabytes_are_read_in_the_memory_of_a_few() {
    let mut observe = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["observe", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = observe.stdin.take().unwrap();
    let mut block = String::new();
    for number in 0..512 {
        let head = format!(
            " t-{number} [000] d..1. 12.5: kvm_unmap_hva_range: mmu notifier unmap range: {number:#x}000 -- 0x200000"
        );
        block.push_str(&format!("{head:2047}\n"));
    }
    assert_eq!(block.len(), 1 << 20);
    // What is not read yet is in the pipe, and that holds little.
    (0..2).for_each(|_| input.write_all(block.as_bytes()).unwrap());
    let before = most_kib(observe.id());
    (0..98).for_each(|_| input.write_all(block.as_bytes()).unwrap());
    let most = most_kib(observe.id());
    drop(input);
    let output = observe.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("51200 lines, 51200 events"), "{}", text(&output.stdout));
    assert!(most < before + (4 << 10), "{before} KiB of two megabytes, {most} KiB of nearly a hundred");
}
