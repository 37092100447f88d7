//! What is remembered for arrows is bounded, and lanes keep what is at one time apart.

use std::sync::Arc;

use parking_lot::Mutex;
use tracks::check::read;
use tracks::json;
use tracks::trace::{About, Sink, Span, Trace, Weight};

use super::Text;
use super::places::{Lane, Places};
use super::remembered::{MOST_EVENTS, Remembered};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<String>>);

impl Sink for Shared {
    fn put(&mut self, text: &str) -> bool {
        *self.0.lock() += text;
        true
    }
}

#[test]
fn changes_at_one_time_lie_on_lanes_of_their_own_and_no_more_than_there_are() {
    let shared = Shared::default();
    let text: Text = Box::new(shared.clone());
    let mut trace = Trace::new(text, 1 << 20);
    let mut places = Places::new(&mut trace);
    let args = json!({});
    for index in 0..40 {
        let about = About { category: "change", name: "changed", args: &args, weight: Weight::Kept };
        let span = Span { begin_ns: 1_000 + index * 10, end_ns: 1_000_000 };
        let track = places.lane(&mut trace, Lane::Change, span.begin_ns);
        trace.slice(track, span, about);
    }
    trace.close();
    let read = read(&shared.0.lock()).expect("nothing overlaps");
    let tracks: std::collections::BTreeSet<_> =
        read.slices.iter().map(|slice| slice.track.as_str()).collect();
    assert_eq!((read.slices.len(), tracks.len()), (40, 16));
}

#[test]
fn the_newest_events_are_remembered_and_no_more() {
    let mut remembered = Remembered::default();
    let all = MOST_EVENTS as u64 + 100;
    (0..all).for_each(|event| remembered.event(event, event * 7, None));
    assert_eq!(
        (remembered.at(99), remembered.at(100), remembered.at(all - 1)),
        (None, Some(700), Some((all - 1) * 7))
    );
    assert_eq!(remembered.time(100), None, "what was before is forgotten");
    assert_eq!(remembered.time(102), Some(707), "so many had been");
}
