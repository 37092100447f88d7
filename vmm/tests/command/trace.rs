//! `--trace FILE`: what the files say, read back, and what a bad world does to whoever writes them.

mod perfetto;
mod world;

use std::path::{Path, PathBuf};

use tracks::check::{Read, Slice, read};

use super::{RACE, afterimage, has_kvm, scenario, text};

/// A file of this test's own, not there yet.
fn place(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{name}-{}.json", std::process::id()));
    let _was_there = std::fs::remove_file(&path);
    path
}

fn sound(path: &Path) -> Read {
    let text = std::fs::read_to_string(path).expect("the trace was written");
    read(&text).unwrap_or_else(|faults| panic!("{}\n{text}", faults.join("\n")))
}

/// The trace of a run with this status, and what the run said on standard error.
fn traced(name: &str, arguments: &[&str], status: i32) -> (Read, String) {
    let path = place(name);
    let output = afterimage(&[arguments, &["--trace", path.to_str().expect("a plain path")]].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
    let read = sound(&path);
    assert!(read.is_closed, "a run that ends by itself ends its trace");
    std::fs::remove_file(path).expect("it was written");
    (read, told)
}

/// What each arrow joins.
fn flows(read: &Read) -> Vec<Vec<&Slice>> {
    read.flows.iter().map(|flow| flow.iter().map(|index| &read.slices[*index]).collect()).collect()
}

/// The number behind `word` in a report.
fn number(told: &str, word: &str) -> u64 {
    let behind = told.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {told}"));
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number stands there")
}

#[test]
fn a_stale_use_of_a_guest_has_an_arrow_from_the_change_and_its_events_are_listed() {
    if !has_kvm() {
        return;
    }
    let (read, told) = traced("testdev", &["boot", "--guest", "testdev"], 4);
    let flows = flows(&read);
    assert_eq!(flows.len(), 1, "one stale use: {flows:?}");
    let [change, used] = flows[0][..] else { panic!("{flows:?}") };
    assert!(change.name.starts_with("changed: second-stage entry of level 1 at "), "{change:?}");
    assert!(used.name.starts_with("stale use: 00:01.0 wrote 0x0 through the IOTLB"), "{used:?}");
    assert_eq!((change.category.as_str(), used.category.as_str()), ("change", "stale use"));
    // What the report cites is what the file lists.
    let (filled, used_at) = (number(&told, "filled event "), number(&told, "used event "));
    assert_eq!(
        (used.args["event"].as_u64(), used.args["filled"]["event"].as_u64()),
        (Some(used_at), Some(filled))
    );
    let listed = |slice: &&Slice| slice.args["event"].as_u64() == Some(filled) && slice.category == "fill";
    let fill = read.slices.iter().find(listed).expect("the fill is listed");
    assert_eq!(fill.track, "IOTLB");
    assert!(fill.name.starts_with("filled: 0x0 -> 4K page "), "{fill:?}");
    assert!(fill.begin_us <= change.end_us && change.end_us <= used.end_us);
    // It is a write of the device, which lasts.
    let inside = |slice: &&Slice| {
        slice.category == "dma" && slice.begin_us <= used.begin_us && used.begin_us < slice.end_us
    };
    let write = read.slices.iter().find(inside).expect("a device was at work");
    assert_eq!((write.track.as_str(), write.name.as_str()), ("00:01.0", "write 0x0, 4 bytes"));
    for track in ["vCPU 0", "Invalidation queue", "Walks for 00:01.0", "Context cache"] {
        assert!(read.slices.iter().any(|slice| slice.track == track), "nothing on {track}");
    }
    assert!(read.counters.contains_key("IOTLB entries"), "{:?}", read.counters);
}

#[test]
fn an_arrow_passes_the_invalidation_that_did_not_help() {
    if !has_kvm() {
        return;
    }
    let (read, _) = traced("wrong-domain", &["boot", "--guest", "vtd-bug-wrong-domain"], 4);
    let flows = flows(&read);
    let passes = |flow: &&Vec<&Slice>| flow.iter().any(|slice| slice.name.starts_with("IOTLB, domain 17"));
    let flow = flows.iter().find(passes).unwrap_or_else(|| panic!("{flows:#?}"));
    let categories: Vec<_> = flow.iter().map(|slice| slice.category.as_str()).collect();
    assert_eq!((categories[0], categories[categories.len() - 1]), ("change", "stale use"), "{flow:#?}");
    assert!(categories[1..categories.len() - 1].iter().all(|it| *it == "invalidation"), "{flow:#?}");
    let events = read.slices.iter().filter_map(|slice| slice.args["event"].as_u64());
    assert!(events.count() > 100, "the driver has done something");
    for track in ["PASID cache", "Interrupt entry cache", "Interrupts", "Device TLB of 00:02.0"] {
        assert!(read.slices.iter().any(|slice| slice.track == track), "nothing on {track}");
    }
}

#[test]
fn what_is_traced_changes_nothing_of_what_is_found() {
    if !has_kvm() {
        return;
    }
    // Moments and frames differ from run to run.
    let found = |told: &str| -> Vec<String> {
        let kept = ["  mistake:", "stale uses:", "  counts because"];
        told.lines().filter(|line| kept.iter().any(|it| line.starts_with(it))).map(str::to_owned).collect()
    };
    for (guest, status) in [("testdev", 4), ("vtd-driver", 0)] {
        let arguments = ["boot", "--guest", guest, "--cmdline", "run=workload rounds=1"];
        let without = afterimage(&arguments);
        assert_eq!(without.status.code(), Some(status), "{guest}");
        let (_, told) = traced(guest, &arguments, status);
        assert_eq!(found(&told), found(&text(&without.stderr)), "{guest}");
        // A trace alone reports to nobody.
        let off = [&arguments[..], &["--stale-report", "off"]].concat();
        let (read, told) = traced(guest, &off, 0);
        assert_eq!((told.as_str(), read.flows.is_empty()), ("", status == 0), "{guest}");
    }
}

#[test]
fn a_machine_without_a_unit_has_a_trace_of_its_devices() {
    if !has_kvm() {
        return;
    }
    let arguments = ["boot", "--guest", "hello", "--iommu", "none", "--device", "edu"];
    let (read, told) = traced("none", &arguments, 0);
    assert_eq!((told.as_str(), read.flows.len()), ("", 0));
}

/// The arrow to the use that broke, one of those named, and what is stale then.
#[track_caller]
fn assert_run(read: &Read, change: &str, used: &[&str], stale: &str) {
    let flows = flows(read);
    let to_use =
        |flow: &&Vec<&Slice>| flow[0].name == change && used.contains(&flow[flow.len() - 1].name.as_str());
    let flow = flows.iter().find(to_use).unwrap_or_else(|| panic!("{flows:#?}"));
    let at = flow[flow.len() - 1].begin_us;
    let is_held = |slice: &&Slice| slice.category == "stale" && slice.begin_us <= at && at < slice.end_us;
    let held: Vec<_> = read.slices.iter().filter(is_held).map(|slice| slice.track.as_str()).collect();
    assert!(held.iter().any(|track| track.starts_with(stale)), "{held:?}");
    assert!(read.instants.iter().any(|name| name.starts_with("VIOLATION: never ")), "{:?}", read.instants);
}

#[test]
fn a_cow_break_live_has_an_arrow_from_the_change_to_the_use() {
    let arguments = ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush"];
    let (read, _) = traced("demo", &arguments, 0);
    // A load that comes late finds that the page is free by now.
    let loads = ["load A = 0", "load A in freed old"];
    assert_run(&read, "pte_clear A", &loads, "tlb[CPU1][A], TLB of CPU1");
    // At the times at which it was seen.
    let rows = read.slices.iter().filter(|slice| slice.category == "step");
    assert!(rows.clone().all(|row| row.args["known"].is_string()) && rows.count() > 5);
}

#[test]
fn a_counterexample_that_is_raced_or_replayed_is_traced_row_by_row() {
    let file = scenario("traced.scn", &format!("{RACE}expect violation\n"));
    let file = file.to_str().expect("a plain path");
    let (race, _) = traced("race", &["race", file, "--rounds", "1"], 0);
    assert_run(&race, "pte_clear A", &["dma_read A = 0"], "tlb[IOMMU][A], IOTLB of IOMMU");
    let first = race.slices.iter().find(|slice| slice.args["row"] == 1).expect("there is a first row");
    assert_eq!((first.begin_us, first.end_us), (1.0, 2.0), "a row is a microsecond");

    let shown = text(&afterimage(&["check", file, "--traces"]).stdout);
    let (_, rows) = shown.split_once("\ntrace\n").expect("a violation has a trace");
    let rows = rows.split("\n\n").next().expect("it has rows");
    let file = scenario("traced-again.scn", &format!("{RACE}\ntrace\n{rows}\n"));
    let (replay, _) = traced("replay", &["replay", file.to_str().expect("a plain path")], 0);
    assert_run(&replay, "pte_clear A", &["dma_read A = 0"], "tlb[IOMMU][A], IOTLB of IOMMU");
    assert_eq!(replay.flows.len(), race.flows.len(), "it is the same run");
}

#[test]
fn of_free_runs_there_are_no_rows() {
    let path = place("free");
    let scenario = "../tests/scenarios/litmus/store-buffers.scn";
    let output =
        afterimage(&["race", scenario, "--mode", "free", "--trace", path.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--mode steered") && !path.exists());
}
