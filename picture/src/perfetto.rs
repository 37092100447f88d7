//! A run as tracks for Perfetto: who takes which row, which cache holds what from when to when, and what leads where.
//!
//! Invariant: what is drawn is the [`Timeline`], as pictures show it: nothing is computed a second time. Rows keep their
//! order; where nobody knows when a row happened, its number is its time.

use ordering::counterexample::Seen;
use tracks::trace::{About, GRAIN_NS, Placed, Sink, Span, Trace, Track, Weight};
use tracks::{Value, json};

use crate::timeline::{Arrow, End, Kind, Lane, Part, Row, Segment, Timeline};

/// How long a row is that has no time, and the longest that one with a time is.
pub const ROW_NS: u64 = 1000;

/// When rows happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times<'a> {
    /// Row 7 happens in the seventh microsecond.
    Logical,
    /// As they were seen, row by row. Those at one time come one after the other.
    Seen(&'a [Seen]),
}

/// Draws `run` as the process `process`, which is called `title`.
pub fn draw<S: Sink>(trace: &mut Trace<S>, process: u32, title: &str, run: &Timeline, times: Times<'_>) {
    Drawing { spans: spans(run.rows.len(), times), trace, process, run, times }.draw(title);
}

struct Drawing<'a, S> {
    trace: &'a mut Trace<S>,
    process: u32,
    run: &'a Timeline,
    times: Times<'a>,
    /// By row, from the first on.
    spans: Vec<Span>,
}

/// Row by row, none of which begins before the one above it has been to be seen.
fn spans(rows: usize, times: Times<'_>) -> Vec<Span> {
    let mut begins: Vec<u64> = Vec::new();
    for row in 0..rows {
        let after = begins.last().copied();
        begins.push(match (times, after) {
            (Times::Logical, None) => ROW_NS,
            (Times::Logical, Some(before)) => before + ROW_NS,
            (Times::Seen(seen), before) => {
                let earliest = before.map_or(ROW_NS, |before| before + 2 * GRAIN_NS);
                let at = seen.get(row).and_then(time).map_or(earliest, |at| at / GRAIN_NS * GRAIN_NS);
                at.max(earliest)
            }
        });
    }
    let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
    let span = |(begin_ns, next): (&u64, Option<u64>)| {
        let longest = begin_ns + ROW_NS;
        Span { begin_ns: *begin_ns, end_ns: next.map_or(longest, |next| next.min(longest)) }
    };
    begins.iter().zip(ends).map(span).collect()
}

const fn time(seen: &Seen) -> Option<u64> {
    match seen {
        Seen::At(at_ns) => Some(*at_ns),
        Seen::FilledIn => None,
    }
}

impl<S: Sink> Drawing<'_, S> {
    fn draw(mut self, title: &str) {
        self.trace.name_process(self.process, title);
        let rows = self.rows();
        self.lanes();
        self.arrows(&rows);
        self.violation();
    }

    /// The track of an agent, and that of a lane behind all agents.
    fn agent(&self, index: usize) -> Track {
        self.track(index)
    }

    fn lane(&self, index: usize) -> Track {
        self.track(self.run.agents.len() + index)
    }

    fn track(&self, index: usize) -> Track {
        let thread = u32::try_from(index + 1).expect("a run has fewer tracks than a u32 counts");
        Track { process: self.process, thread }
    }

    /// What agents do; where each row was drawn.
    fn rows(&mut self) -> Vec<Option<Placed>> {
        let run = self.run;
        for (index, agent) in run.agents.iter().enumerate() {
            let on = agent.on.as_ref().map(|on| format!(" on {on}")).unwrap_or_default();
            self.trace.name_track(self.agent(index), format!("{}{on}", agent.name));
        }
        let mut placed = Vec::new();
        for (index, row) in run.rows.iter().enumerate() {
            let args = self.about_row(index, row);
            let category = match row.part {
                Part::Run => "step",
                Part::Lead => "step on the way to a round",
                Part::Cycle => "step of a round without end",
            };
            let about = About { category, name: &row.text, args: &args, weight: Weight::Usual };
            placed.push(self.trace.slice(self.agent(row.agent), self.spans[index], about));
        }
        placed
    }

    fn about_row(&self, index: usize, row: &Row) -> Value {
        let seen = match self.times {
            Times::Logical => None,
            Times::Seen(seen) => seen.get(index),
        };
        let known = seen.map(|seen| match seen {
            Seen::At(at_ns) => format!("seen at {}.{:03} µs", at_ns / 1000, at_ns % 1000),
            Seen::FilledIn => "filled in: nobody saw it".to_owned(),
        });
        let mut about = json!({ "row": index + 1, "changes": row.changes });
        if let Some(line) = row.line {
            about["line"] = line.into();
        }
        if let Some(known) = known {
            about["known"] = known.into();
        }
        about
    }

    /// What tables and caches hold.
    fn lanes(&mut self) {
        let run = self.run;
        for (index, lane) in run.lanes.iter().enumerate() {
            let track = self.lane(index);
            self.trace.name_track(track, format!("{}, {}", lane.name, lane.what));
            for segment in &lane.segments {
                self.segment(track, lane, segment);
            }
        }
    }

    fn segment(&mut self, track: Track, lane: &Lane, segment: &Segment) {
        let span = Span { begin_ns: self.behind(segment.from), end_ns: self.until(segment.to) };
        let stale = if segment.stale { "STALE: " } else { "" };
        let name = format!("{stale}{}", segment.holds);
        let category = match (segment.stale, lane.kind) {
            (true, Kind::Table | Kind::Cache | Kind::OnTheWay) => "stale",
            (false, Kind::Table) => "table",
            (false, Kind::Cache) => "cached",
            (false, Kind::OnTheWay) => "on the way",
        };
        let args = json!({ "from_row": segment.from, "to_row": segment.to });
        self.trace.slice(track, span, About { category, name: &name, args: &args, weight: Weight::Usual });
    }

    /// When what a row does is done: in its middle. Row 0 is the start.
    fn behind(&self, row: usize) -> u64 {
        match (row.checked_sub(1).and_then(|index| self.spans.get(index)), self.spans.first()) {
            (Some(Span { begin_ns, end_ns }), _) => begin_ns + (end_ns - begin_ns) / 2,
            (None, Some(first)) => first.begin_ns - ROW_NS,
            (None, None) => 0,
        }
    }

    fn until(&self, row: Option<usize>) -> u64 {
        let end = || self.spans.last().map_or(ROW_NS, |last| last.end_ns + ROW_NS);
        row.map_or_else(end, |row| self.behind(row))
    }

    /// From a change to those who were told of it, and on to the use that broke.
    fn arrows(&mut self, rows: &[Option<Placed>]) {
        let at = |row: usize| rows.get(row.wrapping_sub(1)).copied().flatten();
        let run = self.run;
        let used = run.arrows.iter().find(|arrow| arrow.end == End::Used);
        let leads_on = |told: &Arrow| used.is_some_and(|used| used.from == told.from && told.to < used.to);
        if let Some(used) = used {
            let between = run.arrows.iter().filter(|arrow| arrow.end == End::Told && leads_on(arrow));
            let stops = [used.from, used.to].into_iter().chain(between.map(|told| told.to));
            let stops: Vec<Placed> = stops.filter_map(at).collect();
            let names: Vec<&str> = used.lanes.iter().map(|lane| run.lanes[*lane].name.as_str()).collect();
            self.trace.flow(&format!("stale: {}", names.join(", ")), &stops);
        }
        for told in run.arrows.iter().filter(|arrow| arrow.end == End::Told && !leads_on(arrow)) {
            let names: Vec<&str> = told.lanes.iter().map(|lane| run.lanes[*lane].name.as_str()).collect();
            let stops: Vec<Placed> = [told.from, told.to].into_iter().filter_map(at).collect();
            self.trace.flow(&format!("emptied: {}", names.join(", ")), &stops);
        }
    }

    /// What breaks, where it does.
    fn violation(&mut self) {
        let (Some(broken), Some(row)) = (&self.run.broken, self.run.breaks()) else { return };
        let agent = row.checked_sub(1).and_then(|index| self.run.rows.get(index)).map_or(0, |row| row.agent);
        let (track, at) = (self.agent(agent), self.behind(row));
        let why = json!({ "why": self.run.why });
        self.trace.instant(track, at, &format!("VIOLATION: {broken}"), &why);
    }
}

#[cfg(test)]
mod tests;
