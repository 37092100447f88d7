//! A trace while it is written.
//!
//! Invariant: every event is handed over whole or is counted as left out. Slices of a track do not overlap: one that would
//! is moved behind the one before. A track has its name before its first slice; an arrow joins slices that are there. The
//! text is never longer than the limit, and what it says is all that happened until it says that something is left out.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::event::{self, Turn};
pub use crate::event::{GRAIN_NS, Span};

/// Bytes that are kept for the last words.
const LAST_WORDS: u64 = 640;
/// Of the limit, the part that is kept for what matters most: an eighth.
const KEPT_SHARE: u64 = 8;
/// The smallest limit.
pub const LEAST_LIMIT: u64 = 4096;

/// Whoever takes the text.
pub trait Sink {
    /// Takes the text whole or not at all; whether it did. Waits for nobody.
    fn put(&mut self, text: &str) -> bool;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn put(&mut self, text: &str) -> bool {
        (**self).put(text)
    }
}

/// Where slices lie: a thread of a process, in the words of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Track {
    /// What tracks are grouped by.
    pub process: u32,
    /// Tracks of a group are shown in this order.
    pub thread: u32,
}

/// Whether there is room for an event when the limit comes near.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// Not in the last part of the limit.
    Usual,
    /// To the end: what everything else is looked at for.
    Kept,
}

/// A slice that was written: an arrow can lead from it or to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Placed {
    begin_ns: u64,
    track: Track,
}

/// What a slice says.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its kind, by which it can be looked for.
    pub category: &'a str,
    /// In words.
    pub name: &'a str,
    /// The rest, as an object.
    pub args: &'a Value,
    /// Whether it is kept when the limit comes near.
    pub weight: Weight,
}

/// What was left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeftOut {
    /// Events behind the limit.
    pub behind_limit: u64,
    /// Events that the sink did not take.
    pub not_taken: u64,
}

/// A trace, its text going to `S`.
#[derive(Debug)]
pub struct Trace<S> {
    sink: S,
    limit_bytes: u64,
    written_bytes: u64,
    left_out: LeftOut,
    /// Nothing more is written of that weight.
    is_full: [bool; 2],
    /// Names that no event needed so far.
    unsaid_processes: HashMap<u32, String>,
    unsaid_tracks: BTreeMap<Track, String>,
    /// Where the last slice of a track ends.
    ends_ns: HashMap<Track, u64>,
    last_ns: u64,
    flows: u64,
}

impl<S: Sink> Trace<S> {
    /// An empty one, that hands no more than `limit_bytes` to `sink`, and no less than [`LEAST_LIMIT`].
    #[must_use]
    pub fn new(sink: S, limit_bytes: u64) -> Self {
        Self {
            sink,
            limit_bytes: limit_bytes.max(LEAST_LIMIT),
            written_bytes: 0,
            left_out: LeftOut::default(),
            is_full: [false; 2],
            unsaid_processes: HashMap::new(),
            unsaid_tracks: BTreeMap::new(),
            ends_ns: HashMap::new(),
            last_ns: 0,
            flows: 0,
        }
    }

    /// Whoever takes its text.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// What a process is called. To be said before its first event.
    pub fn name_process(&mut self, process: u32, name: impl Into<String>) {
        self.unsaid_processes.insert(process, name.into());
    }

    /// What a track is called. To be said before its first event.
    pub fn name_track(&mut self, track: Track, name: impl Into<String>) {
        self.unsaid_tracks.insert(track, name.into());
    }

    /// A slice of a track. None if it is left out.
    pub fn slice(&mut self, track: Track, span: Span, about: About<'_>) -> Option<Placed> {
        let begin_ns = rounded(span.begin_ns).max(self.end_of(track));
        let end_ns = rounded(span.end_ns).max(begin_ns + GRAIN_NS);
        let span = Span { begin_ns, end_ns };
        let slice = event::slice(track, span, about.category, about.name, about.args);
        let is_written = self.write(Some(track), about.weight, vec![slice]);
        if !is_written {
            return None;
        }
        self.ends_ns.insert(track, end_ns);
        self.last_ns = self.last_ns.max(end_ns);
        Some(Placed { begin_ns, track })
    }

    /// The shortest slice there is, for what has no duration and can be the end of an arrow all the same.
    pub fn point(&mut self, track: Track, at_ns: u64, about: About<'_>) -> Option<Placed> {
        self.slice(track, Span { begin_ns: at_ns, end_ns: at_ns }, about)
    }

    /// A moment of a track that is no slice.
    pub fn instant(&mut self, track: Track, at_ns: u64, name: &str, args: &Value) {
        let instant = event::instant(track, rounded(at_ns), name, args);
        self.write(Some(track), Weight::Kept, vec![instant]);
    }

    /// The value of a counter from now on; it is called by both words, one behind the other.
    pub fn counter(&mut self, process: u32, at_ns: u64, name: (&str, &str), value: u64) {
        let counter = event::counter(process, rounded(at_ns), name, value);
        let track = Track { process, thread: 0 };
        self.write(Some(track), Weight::Usual, vec![counter]);
    }

    /// An arrow from slice to slice, in the order of time. Fewer than two are none.
    pub fn flow(&mut self, name: &str, stops: &[Placed]) {
        let mut stops = stops.to_vec();
        stops.sort_unstable();
        stops.dedup();
        if stops.len() < 2 {
            return;
        }
        let id = self.flows;
        self.flows += 1;
        let last = stops.len() - 1;
        let turn = |index| match index {
            0 => Turn::Begins,
            index if index == last => Turn::Ends,
            _ => Turn::GoesOn,
        };
        let stop =
            |(index, stop): (usize, &Placed)| event::flow(turn(index), id, stop.track, stop.begin_ns, name);
        let events = stops.iter().enumerate().map(stop).collect();
        // Both ends or none: half an arrow is wrong.
        self.write(None, Weight::Kept, events);
    }

    /// Where a slice of that track can begin, at the earliest.
    #[must_use]
    pub fn end_of(&self, track: Track) -> u64 {
        self.ends_ns.get(&track).copied().unwrap_or_default()
    }

    /// What was left out so far.
    #[must_use]
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Says what is left out, if anything is, and closes the text. Nothing can be written behind that.
    pub fn close(&mut self) -> LeftOut {
        let LeftOut { behind_limit, not_taken } = self.left_out;
        let mut text = if self.written_bytes == 0 { "[".to_owned() } else { String::new() };
        if behind_limit + not_taken > 0 {
            let about = json!({
                "behind_limit": behind_limit, "not_taken": not_taken, "limit_bytes": self.limit_bytes,
            });
            let name = format!("{} events are left out", behind_limit + not_taken);
            let track = Track { process: 0, thread: 0 };
            let mut events = vec![event::process_name(0, "This trace")];
            events.extend(event::track_name(track, "What is left out"));
            events.push(event::instant(track, self.last_ns, &name, &about));
            text += &lines(&events, self.written_bytes == 0);
        }
        text += "\n]\n";
        self.hand_over(&text);
        self.is_full = [true; 2];
        self.left_out
    }

    /// Writes all of it, with the names that it needs, or counts it.
    fn write(&mut self, track: Option<Track>, weight: Weight, events: Vec<Value>) -> bool {
        let count = events.len() as u64;
        let mut all = track.map_or_else(Vec::new, |track| self.unsaid(track));
        all.extend(events);
        let is_first = self.written_bytes == 0;
        let text = format!("{}{}", if is_first { "[" } else { "" }, lines(&all, is_first));
        if !self.has_room(weight, text.len() as u64) {
            self.left_out.behind_limit += count;
            return false;
        }
        if !self.hand_over(&text) {
            self.left_out.not_taken += count;
            return false;
        }
        if let Some(track) = track {
            self.unsaid_processes.remove(&track.process);
            self.unsaid_tracks.remove(&track);
        }
        true
    }

    fn hand_over(&mut self, text: &str) -> bool {
        let is_taken = self.sink.put(text);
        self.written_bytes += if is_taken { text.len() as u64 } else { 0 };
        is_taken
    }

    /// Whether an event of `len` bytes may be written. The first that may not is the last of its weight.
    fn has_room(&mut self, weight: Weight, len: u64) -> bool {
        let most = match weight {
            Weight::Usual => self.limit_bytes - LAST_WORDS - self.limit_bytes / KEPT_SHARE,
            Weight::Kept => self.limit_bytes - LAST_WORDS,
        };
        let is_full = &mut self.is_full[weight as usize];
        *is_full |= self.written_bytes + len > most;
        !*is_full
    }

    /// The names that were not written yet.
    fn unsaid(&self, track: Track) -> Vec<Value> {
        let process = self.unsaid_processes.get(&track.process);
        let mut said: Vec<_> =
            process.map(|name| event::process_name(track.process, name)).into_iter().collect();
        let name = self.unsaid_tracks.get(&track);
        said.extend(name.into_iter().flat_map(|name| event::track_name(track, name)));
        said
    }
}

/// Down to the grain.
const fn rounded(ns: u64) -> u64 {
    ns / GRAIN_NS * GRAIN_NS
}

/// A line each, behind what was there before.
fn lines(events: &[Value], is_first: bool) -> String {
    let mut text = String::new();
    for (index, event) in events.iter().enumerate() {
        text += if is_first && index == 0 { "\n" } else { ",\n" };
        text += &event.to_string();
    }
    text
}

#[cfg(test)]
mod tests;
