//! What a trace promises: whole events, a limit, names, and slices that do not overlap.

use serde_json::{Value, json};

use super::{About, GRAIN_NS, LEAST_LIMIT, LeftOut, Sink, Span, Trace, Track, Weight};
use crate::check::{Read, read};

/// Takes everything, or nothing of what comes from some call on.
#[derive(Default)]
struct Text {
    text: String,
    calls: usize,
    deaf_from: Option<usize>,
}

impl Sink for Text {
    fn put(&mut self, text: &str) -> bool {
        self.calls += 1;
        if self.deaf_from.is_some_and(|from| self.calls > from) {
            return false;
        }
        self.text += text;
        true
    }
}

const TRACK: Track = Track { process: 1, thread: 2 };

fn about<'a>(name: &'a str, args: &'a Value) -> About<'a> {
    About { category: "test", name, args, weight: Weight::Usual }
}

fn kept(about: About<'_>) -> About<'_> {
    About { weight: Weight::Kept, ..about }
}

fn begun(limit: u64) -> Trace<Text> {
    let mut trace = Trace::new(Text::default(), limit);
    trace.name_process(1, "a machine");
    trace.name_track(TRACK, "a \"track\"\nof two lines");
    trace
}

fn closed(mut trace: Trace<Text>) -> (Read, LeftOut) {
    let left_out = trace.close();
    let text = &trace.sink().text;
    (read(text).unwrap_or_else(|faults| panic!("{}\n{text}", faults.join("\n"))), left_out)
}

#[test]
fn an_empty_trace_is_one() {
    let (read, left_out) = closed(begun(1 << 20));
    assert_eq!((read.slices.len(), read.is_closed, left_out), (0, true, LeftOut::default()));
}

#[test]
fn what_is_written_is_read_again() {
    let mut trace = begun(1 << 20);
    let args = json!({ "text": "\u{1}\"\\</script>" });
    let first = trace.slice(TRACK, Span { begin_ns: 1000, end_ns: 2000 }, about("one", &args));
    let second = trace.point(TRACK, 5000, about("two", &args));
    trace.counter(1, 5000, ("IOTLB", "entries"), 7);
    trace.instant(TRACK, 6000, "end", &args);
    trace.flow("leads to", &[second.expect("there is room"), first.expect("there is room")]);
    let (read, left_out) = closed(trace);
    assert_eq!(left_out, LeftOut::default());
    let names: Vec<_> = read.slices.iter().map(|slice| (slice.name.as_str(), slice.begin_us)).collect();
    assert_eq!(names, [("one", 1.0), ("two", 5.0)]);
    assert_eq!(read.slices[0].args, args);
    assert_eq!(
        (read.slices[0].process.as_str(), read.slices[0].track.as_str()),
        ("a machine", "a \"track\"\nof two lines")
    );
    assert_eq!(
        (read.flows, read.instants, read.counters["IOTLB entries"]),
        (vec![vec![0, 1]], vec!["end".into()], 1)
    );
}

#[test]
fn slices_of_a_track_never_overlap() {
    let mut trace = begun(1 << 20);
    let args = json!({});
    for at in [1000, 1000, 1001, 900, 5000] {
        trace.point(TRACK, at, about("point", &args));
    }
    trace.slice(TRACK, Span { begin_ns: 5010, end_ns: 9000 }, about("long", &args));
    trace.slice(TRACK, Span { begin_ns: 6000, end_ns: 7000 }, about("inside", &args));
    let (read, _) = closed(trace);
    let begins: Vec<_> = read.slices.iter().map(|slice| slice.begin_us * 1e3).collect();
    let grain = GRAIN_NS as f64;
    assert_eq!(begins[..4], [1000.0, 1000.0 + grain, 1000.0 + 2.0 * grain, 1000.0 + 3.0 * grain]);
    assert!(read.slices.windows(2).all(|two| two[0].end_us <= two[1].begin_us), "{begins:?}");
}

#[test]
fn the_limit_is_kept_and_what_is_left_out_is_counted() {
    for limit in [LEAST_LIMIT, 10_000, 123_457] {
        let mut trace = begun(limit);
        let args = json!({ "filling": "x".repeat(50) });
        let mut placed = 0;
        for at in 0..2000 {
            placed += u64::from(trace.point(TRACK, at * 1000, about("point", &args)).is_some());
        }
        let (early, late) =
            (trace.point(TRACK, 1, kept(about("a", &args))), trace.point(TRACK, 2, kept(about("b", &args))));
        trace.flow("kept", &[early.expect("there is room"), late.expect("there is room")]);
        let left_out = trace.left_out();
        assert_eq!(placed + left_out.behind_limit, 2000, "every event is there, or is counted");
        trace.close();
        let text = &trace.sink().text;
        assert!(text.len() as u64 <= limit, "{} of {limit}", text.len());
        assert!(text.len() as u64 > limit / 2, "the limit is made use of: {}", text.len());
        let read = read(text).expect("it is whole");
        assert_eq!(read.flows.len(), 1, "what matters most has room to the end");
        assert_eq!(read.instants, [format!("{} events are left out", left_out.behind_limit)]);
        let at: Vec<_> =
            read.slices.iter().filter(|slice| slice.name == "point").map(|it| it.begin_us).collect();
        assert!(at.iter().zip(0..).all(|(at, index)| *at == f64::from(index)), "without a gap");
    }
}

#[test]
fn what_matters_most_keeps_the_limit_as_well() {
    let mut trace = begun(LEAST_LIMIT);
    let args = json!({ "filling": "x".repeat(500) });
    for at in 0..100 {
        let placed = trace.point(TRACK, at * 1000, kept(about("point", &args)));
        let again = trace.point(TRACK, at * 1000, kept(about("again", &args)));
        trace.flow("arrow", &[placed, again].into_iter().flatten().collect::<Vec<_>>());
    }
    let left_out = trace.close();
    assert!(left_out.behind_limit > 100);
    assert!(trace.sink().text.len() as u64 <= LEAST_LIMIT);
    read(&trace.sink().text).expect("no arrow is cut off");
}

#[test]
fn what_nobody_takes_is_counted_and_leaves_no_half_event() {
    for deaf_from in 0..6 {
        let sink = Text { deaf_from: Some(deaf_from), ..Text::default() };
        let mut trace = Trace::new(sink, 1 << 20);
        trace.name_process(1, "a machine");
        trace.name_track(TRACK, "a track");
        let args = json!({});
        let placed = [0, 1, 2].map(|at| trace.point(TRACK, at * 1000, about("point", &args)));
        let there: Vec<_> = placed.into_iter().flatten().collect();
        trace.flow("arrow", &there);
        let left_out = trace.left_out().not_taken;
        let text = &trace.sink().text;
        assert_eq!(there.len(), deaf_from.min(3));
        assert!(left_out >= 3 - there.len() as u64, "{left_out} of {deaf_from}");
        if !text.is_empty() {
            read(text).expect("what there is is whole");
        }
    }
}

#[test]
fn a_trace_that_is_cut_off_anywhere_is_read() {
    let mut trace = begun(1 << 20);
    let args = json!({ "text": "of a slice" });
    for at in 0..5 {
        trace.point(TRACK, at * 1000, about("point", &args));
    }
    let text = trace.sink().text.clone();
    for end in 1..=text.len() {
        if text.is_char_boundary(end) {
            let read = read(&text[..end]).unwrap_or_else(|faults| panic!("{end}: {}", faults.join("\n")));
            assert!(!read.is_closed);
        }
    }
}
