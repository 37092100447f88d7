//! Stale uses, with an arrow from the change of the tables to the use, by way of what was invalidated.
//!
//! Invariant: when tables change nobody is told. The change lies between the reading of the entry and the use that saw it, and is drawn as
//! long as that; what was invalidated meanwhile is on the way of the arrow.

use iommu::stale::in_place::ChangedInPlace;
use iommu::stale::interrupt::StaleInterrupt;
use iommu::stale::{Missed, StaleUse};
use iommu::vtd::Moment;
use tracks::trace::{About, Placed, Span, Weight};
use tracks::{Value, json};

use super::book::{Book, ns};
use super::places::Lane;

/// A report, as it is drawn.
struct Drawn<'a> {
    change: String,
    /// Events before the entry was read.
    read_at: u64,
    used: Moment,
    received: &'a [Missed],
    /// The report in words, and as an object.
    text: String,
    json: String,
}

impl Book {
    /// A stale use was reported.
    pub(super) fn stale_use(&mut self, report: &StaleUse) {
        self.draw(&Drawn {
            change: report.change.to_string(),
            read_at: report.change.read_at,
            used: report.used,
            received: &report.received,
            text: report.to_string(),
            json: report.to_json(),
        });
    }

    /// The use of a stale interrupt entry was reported.
    pub(super) fn stale_interrupt(&mut self, report: &StaleInterrupt) {
        self.draw(&Drawn {
            change: format!("interrupt entry {} at {}", report.index, report.place),
            read_at: report.filled.event,
            used: report.used,
            received: &report.received,
            text: report.to_string(),
            json: report.to_json(),
        });
    }

    /// A change in place was reported.
    pub(super) fn changed_in_place(&mut self, report: &ChangedInPlace) {
        let text = report.to_string();
        let span = Span { begin_ns: ns(report.read.elapsed), end_ns: ns(report.seen.elapsed) };
        let args = json!({ "event": report.seen.event, "report": text });
        let about =
            About { category: "changed in place", name: headline(&text), args: &args, weight: Weight::Kept };
        let Self { trace, places, .. } = self;
        let track = places.lane(trace, Lane::Change, span.begin_ns);
        trace.slice(track, span, about);
    }

    fn draw(&mut self, drawn: &Drawn<'_>) {
        let Self { trace, places, remembered } = self;
        let used_ns = ns(drawn.used.elapsed);
        let read_ns = remembered.time(drawn.read_at).map_or(used_ns, |read| read.min(used_ns));
        let name = format!("changed: {}", drawn.change);
        let args = json!({ "seen_event": drawn.used.event, "after_event": drawn.read_at });
        let about = About { category: "change", name: &name, args: &args, weight: Weight::Kept };
        let track = places.lane(trace, Lane::Change, read_ns);
        let change = trace.slice(track, Span { begin_ns: read_ns, end_ns: used_ns }, about);
        let args = object(drawn);
        let about =
            About { category: "stale use", name: headline(&drawn.text), args: &args, weight: Weight::Kept };
        let track = places.lane(trace, Lane::Use, used_ns);
        let used = trace.point(track, used_ns, about);
        let (Some(change), Some(used)) = (change, used) else { return };
        let received = drawn.received.iter().filter(|missed| missed.at.elapsed <= drawn.used.elapsed);
        let between = received.filter_map(|missed| remembered.invalidation(missed.at.event));
        let stops: Vec<Placed> = [change, used].into_iter().chain(between).collect();
        trace.flow("stale", &stops);
    }
}

/// What a report's first line says.
fn headline(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

/// The report, without what would make it long.
fn object(drawn: &Drawn<'_>) -> Value {
    let report: Value = serde_json::from_str(&drawn.json).unwrap_or_else(|_| json!(drawn.text));
    let part = |name: &str| report.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "event": drawn.used.event,
        "filled": part("filled"), "used": part("used"), "ground": part("ground"), "mistake": part("mistake"),
        "remedy": part("remedy"), "uses": part("uses"),
    })
}
