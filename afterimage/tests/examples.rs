//! The examples, run as they are typed: what each says is held here.
//!
//! Invariant: cargo builds the examples before this test, beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str, arguments: &[&str]) -> Output {
    let mut path: PathBuf = std::env::current_exe().expect("a test knows its file");
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let run = Command::new(&path).args(arguments).output();
    run.unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo test -p afterimage` without --test", path.display())
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stale_report_takes_40_lines() {
    assert!(include_str!("../examples/stale_report.rs").lines().count() <= 40);
    let output = example("stale_report", &[]);
    let text = said(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("the device has read 1"), "the old page: {text}");
    assert_eq!(text.matches("stale use: 00:03.0 read 0x200000").count(), 1, "{text}");
    assert!(text.contains("mistake: nothing was invalidated for the page"), "{text}");
}

#[test]
fn a_device_of_rust_vmm_answers_out_of_the_page_that_was_taken_away() {
    let output = example("virtio_queue", &[]);
    let text = said(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with("request 0 is answered 1\nrequest 1 is answered 1\n"), "the old page: {text}");
    assert_eq!(text.matches("stale use: ").count(), 1, "{text}");
    assert!(text.contains("stale use: 00:03.0 read 0x203000 through the IOTLB"), "{text}");
}

/// What docs/library.md says that an example prints, without times; nothing in a package, which has no such document.
fn documented(first: &str) -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join("ARCHITECTURE.md").exists() {
        return None;
    }
    let path = root.join("docs/library.md");
    let document = std::fs::read_to_string(&path).expect("the repository has this document");
    let mut blocks = document.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.starts_with(first)).expect("the document shows what it prints");
    Some(block.lines().map(timeless).collect())
}

/// A line without the milliseconds of this run.
fn timeless(line: &str) -> String {
    line.split(' ')
        .filter(|word| !word.starts_with('(') && !word.starts_with("ms)"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn what_the_document_shows_is_what_the_examples_print() {
    for (name, first) in [("stale_report", "the device has read"), ("virtio_queue", "request 0")] {
        let Some(shown) = documented(first) else { return };
        let printed: Vec<_> = said(&example(name, &[])).lines().map(timeless).collect();
        assert_eq!(printed, shown, "{name}");
    }
}

#[test]
fn a_scenario_in_rust_has_a_verdict_for_each_place() {
    let output = example("scenario", &[]);
    let text = said(&output);
    assert!(output.status.success(), "{output:?}");
    let verdict =
        |place: usize| text.lines().find(|line| line.starts_with(&format!("notify-before-{place} ")));
    for (place, word) in ["VIOLATED", "PROVED", "PROVED", "PROVED", "VIOLATED"].into_iter().enumerate() {
        assert!(verdict(place).is_some_and(|line| line.contains(word)), "{place}: {text}");
    }
}

#[test]
fn a_drivers_test_passes_the_driver_and_fails_the_one_that_forgets() {
    let right = example("driver_test", &[]);
    assert!(right.status.success(), "{right:?}");
    assert_eq!(said(&right), "0 stale uses\n");
    let wrong = example("driver_test", &["--forget"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(said(&wrong).ends_with("2 stale uses\n"), "{}", said(&wrong));
}
