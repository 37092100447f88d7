//! The check fails on what Perfetto would refuse, drop or show elsewhere.

use super::read;

const NAMES: &str = r#"[
{"ph":"M","pid":1,"tid":0,"ts":0,"name":"process_name","args":{"name":"p"}},
{"ph":"M","pid":1,"tid":2,"ts":0,"name":"thread_name","args":{"name":"t"}}"#;

fn with(events: &[&str]) -> Result<super::Read, Vec<String>> {
    let events: String = events.iter().map(|event| format!(",\n{event}")).collect();
    read(&format!("{NAMES}{events}\n]\n"))
}

fn slice(begin: u32, duration: u32) -> String {
    format!(r#"{{"ph":"X","pid":1,"tid":2,"cat":"c","name":"s","ts":{begin},"dur":{duration},"args":{{}}}}"#)
}

fn flow(phase: &str, id: u32, at: u32) -> String {
    format!(r#"{{"ph":"{phase}","id":{id},"pid":1,"tid":2,"name":"f","ts":{at}}}"#)
}

/// The events have this fault, and without the last of them none.
#[track_caller]
fn assert_fault(events: &[&str], fault: &str) {
    with(&events[..events.len() - 1]).expect("nothing is wrong before");
    let faults = with(events).expect_err("something is wrong");
    assert!(faults.iter().any(|found| found.contains(fault)), "{faults:?}");
}

#[test]
fn slices_that_cross_are_a_fault_and_those_that_nest_are_not() {
    with(&[&slice(0, 10), &slice(2, 3), &slice(5, 5), &slice(10, 1)]).expect("they nest");
    assert_fault(&[&slice(0, 10), &slice(5, 6)], "ends inside");
}

#[test]
fn an_arrow_needs_both_ends_and_a_slice_at_each() {
    let (one, other) = (slice(0, 2), slice(5, 2));
    let read = with(&[&one, &other, &flow("s", 7, 0), &flow("t", 7, 1), &flow("f", 7, 5)]).expect("an arrow");
    assert_eq!(read.flows, [[0, 0, 1]]);
    assert_fault(&[&one, &other, &flow("s", 7, 0)], "is no arrow");
    assert_fault(&[&one, &other, &flow("f", 7, 0)], "is no arrow");
    for (events, fault) in [
        ([flow("s", 7, 0), flow("f", 8, 5)], "is no arrow"),
        ([flow("s", 7, 0), flow("f", 7, 3)], "where no slice is"),
        ([flow("s", 7, 5), flow("f", 7, 0)], "back in time"),
    ] {
        let faults = with(&[&one, &other, &events[0], &events[1]]).expect_err("something is wrong");
        assert!(faults.iter().any(|found| found.contains(fault)), "{faults:?}");
    }
}

#[test]
fn what_has_no_name_is_a_fault() {
    assert_fault(&[r#"{"ph":"X","pid":1,"tid":3,"cat":"c","name":"s","ts":0,"dur":1}"#], "has no name");
    assert_fault(&[r#"{"ph":"i","pid":2,"tid":2,"name":"s","ts":0}"#], "has no name");
    assert_fault(&[r#"{"ph":"X","pid":1,"tid":2,"cat":"c","ts":0,"dur":1}"#], "no name");
}

#[test]
fn what_is_no_event_of_the_format_is_a_fault() {
    assert_fault(&[r#"{"ph":"Q","pid":1,"tid":2,"name":"s","ts":0}"#], "unknown phase");
    assert_fault(&[r#"{"ph":"X","pid":1,"tid":2,"cat":"c","name":"s","ts":0}"#], "no duration");
    assert_fault(&[r#"{"ph":"i","pid":1,"tid":2,"name":"s"}"#], "no time");
    assert!(read("{").is_err() && read("[ {\"a\": nonsense } ]").is_err());
}
