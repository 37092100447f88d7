//! One event of the format, as text.
//!
//! Invariant: an event is one line, whatever its name holds; times are exact however the reader rounds, for they are whole
//! multiples of [`GRAIN_NS`], and so are whole binary fractions of a microsecond.
//! Source: the Trace Event Format: phases X (complete), M (metadata), i (instant), C (counter), s, t, f (flow).

use serde_json::{Value, json};

use crate::trace::Track;

/// The shortest slice, and what times are rounded down to: an eighth of a microsecond.
pub const GRAIN_NS: u64 = 125;

/// The time of the format: microseconds.
fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// From when on, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Nanoseconds.
    pub begin_ns: u64,
    /// The same; behind the begin.
    pub end_ns: u64,
}

/// Which part of a flow an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    Begins,
    GoesOn,
    Ends,
}

pub(crate) fn process_name(process: u32, name: &str) -> Value {
    json!({ "ph": "M", "pid": process, "tid": 0, "ts": 0, "name": "process_name", "args": { "name": name } })
}

pub(crate) fn track_name(track: Track, name: &str) -> [Value; 2] {
    let Track { process, thread } = track;
    let about = |what: &str, args: Value| {
        json!({
            "ph": "M", "pid": process, "tid": thread, "ts": 0, "name": what, "args": args,
        })
    };
    [
        about("thread_name", json!({ "name": name })),
        about("thread_sort_index", json!({ "sort_index": thread })),
    ]
}

pub(crate) fn slice(track: Track, span: Span, category: &str, name: &str, args: &Value) -> Value {
    let Track { process, thread } = track;
    json!({
        "ph": "X", "pid": process, "tid": thread, "cat": category, "name": name,
        "ts": us(span.begin_ns), "dur": us(span.end_ns - span.begin_ns), "args": args,
    })
}

pub(crate) fn instant(track: Track, at_ns: u64, name: &str, args: &Value) -> Value {
    let Track { process, thread } = track;
    json!({ "ph": "i", "s": "t", "pid": process, "tid": thread, "name": name, "ts": us(at_ns), "args": args })
}

pub(crate) fn counter(process: u32, at_ns: u64, (name, what): (&str, &str), value: u64) -> Value {
    json!({ "ph": "C", "pid": process, "name": name, "ts": us(at_ns), "args": { what: value } })
}

pub(crate) fn flow(turn: Turn, id: u64, track: Track, at_ns: u64, name: &str) -> Value {
    let Track { process, thread } = track;
    let phase = match turn {
        Turn::Begins => "s",
        Turn::GoesOn => "t",
        Turn::Ends => "f",
    };
    // `bp`: it belongs to the slice that it stands in, not to the next one.
    json!({
        "ph": phase, "id": id, "pid": process, "tid": thread, "cat": "flow", "name": name, "ts": us(at_ns), "bp": "e",
    })
}
