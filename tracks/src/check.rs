//! A trace as it is read: what is on which track, what leads where, and what is wrong with it.
//!
//! Invariant: what Perfetto refuses, drops or shows elsewhere than it was meant is a fault: slices of a track that overlap
//! without one lying in the other, an arrow that begins or ends nowhere, what has no name. A text that ends early is no fault: so does
//! the file of a program that was killed.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Deserializer, Value};

/// A trace that was read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Read {
    /// Its slices, in the order of the text.
    pub slices: Vec<Slice>,
    /// Its arrows: each the slices that it joins, by index.
    pub flows: Vec<Vec<usize>>,
    /// Names of instants.
    pub instants: Vec<String>,
    /// Names of counters, with the number of their values.
    pub counters: BTreeMap<String, usize>,
    /// Whether the text ends with its bracket.
    pub is_closed: bool,
}

/// A slice.
#[derive(Clone, PartialEq, Debug)]
pub struct Slice {
    /// The name of its process.
    pub process: String,
    /// The name of its track.
    pub track: String,
    /// Its kind.
    pub category: String,
    /// What it says.
    pub name: String,
    /// Microseconds.
    pub begin_us: f64,
    /// The same.
    pub end_us: f64,
    /// The rest.
    pub args: Value,
}

type Place = (u64, u64);

/// Reads a trace.
///
/// # Errors
/// All that is wrong with it, a line each.
pub fn read(text: &str) -> Result<Read, Vec<String>> {
    let (events, is_closed) = events(text).map_err(|fault| vec![fault])?;
    let mut reader = Reader::default();
    events.iter().enumerate().for_each(|(index, event)| reader.take(index, event));
    reader.finish(is_closed)
}

/// The objects of the array, and whether it ends. One that is cut off counts as not there.
fn events(text: &str) -> Result<(Vec<Value>, bool), String> {
    let mut rest = text.trim_start().strip_prefix('[').ok_or("no array begins")?;
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if rest.is_empty() {
            return Ok((found, false));
        }
        if rest.starts_with(']') {
            return Ok((found, true));
        }
        let mut parsed = Deserializer::from_str(rest).into_iter::<Value>();
        match parsed.next() {
            Some(Ok(event)) => {
                let end = parsed.byte_offset();
                rest = &rest[end..];
                found.push(event);
            }
            Some(Err(error)) if error.is_eof() => return Ok((found, false)),
            Some(Err(error)) => return Err(format!("event {}: {error}", found.len())),
            None => return Ok((found, false)),
        }
    }
}

#[derive(Default)]
struct Reader {
    faults: Vec<String>,
    processes: HashMap<u64, String>,
    tracks: HashMap<Place, String>,
    slices: Vec<(Place, Slice)>,
    /// By id: phase, place, time, index.
    flows: BTreeMap<u64, Vec<(String, Place, f64)>>,
    instants: Vec<String>,
    counters: BTreeMap<String, usize>,
    /// What has a place, and must have the names of it. Of a counter that is its process alone.
    used: Vec<(usize, u64, Option<Place>)>,
}

impl Reader {
    fn take(&mut self, index: usize, event: &Value) {
        if let Err(what) = self.try_take(index, event) {
            self.faults.push(format!("event {index}: {what}: {event}"));
        }
    }

    fn try_take(&mut self, index: usize, event: &Value) -> Result<(), &'static str> {
        let phase = event["ph"].as_str().ok_or("no phase")?;
        let process = event["pid"].as_u64().ok_or("no process")?;
        let name = event["name"].as_str().filter(|name| !name.is_empty()).ok_or("no name")?.to_owned();
        let at_us = event["ts"].as_f64().filter(|at| *at >= 0.0).ok_or("no time")?;
        let thread = event["tid"].as_u64();
        let place = (process, thread.unwrap_or_default());
        if phase != "C" && thread.is_none() {
            return Err("no track");
        }
        match phase {
            "M" => return self.take_name(event, place, &name),
            "X" => {
                let for_us = event["dur"].as_f64().filter(|for_us| *for_us > 0.0).ok_or("no duration")?;
                let category = event["cat"].as_str().ok_or("no category")?.to_owned();
                let (process, track) = (String::new(), String::new());
                let (end_us, args) = (at_us + for_us, event["args"].clone());
                let slice = Slice { process, track, category, name, begin_us: at_us, end_us, args };
                self.slices.push((place, slice));
            }
            "i" => self.instants.push(name),
            "C" => {
                let args = event["args"].as_object().ok_or("no value")?;
                for (what, value) in args {
                    value.as_f64().ok_or("no value")?;
                    *self.counters.entry(format!("{name} {what}")).or_default() += 1;
                }
            }
            "s" | "t" | "f" => {
                let id = event["id"].as_u64().ok_or("no id")?;
                self.flows.entry(id).or_default().push((phase.to_owned(), place, at_us));
            }
            _ => return Err("an unknown phase"),
        }
        self.used.push((index, process, thread.map(|_| place)));
        Ok(())
    }

    fn take_name(&mut self, event: &Value, place: Place, name: &str) -> Result<(), &'static str> {
        let named = || event["args"]["name"].as_str().map(str::to_owned).ok_or("no name is given");
        match name {
            "process_name" => {
                self.processes.insert(place.0, named()?);
            }
            "thread_name" => {
                self.tracks.insert(place, named()?);
            }
            "thread_sort_index" => {}
            _ => return Err("an unknown name of metadata"),
        }
        Ok(())
    }

    fn finish(mut self, is_closed: bool) -> Result<Read, Vec<String>> {
        self.name_all();
        self.check_nesting();
        let flows = self.join();
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let slices = self.slices.into_iter().map(|(_, slice)| slice).collect();
        Ok(Read { slices, flows, instants: self.instants, counters: self.counters, is_closed })
    }

    fn name_all(&mut self) {
        for (index, process, place) in &self.used {
            let is_named = place.is_none_or(|place| self.tracks.contains_key(&place));
            if !self.processes.contains_key(process) || !is_named {
                self.faults.push(format!("event {index}: {place:?} has no name"));
            }
        }
        for (place, slice) in &mut self.slices {
            slice.process = self.processes.get(&place.0).cloned().unwrap_or_default();
            slice.track = self.tracks.get(place).cloned().unwrap_or_default();
        }
    }

    fn check_nesting(&mut self) {
        let mut tracks: HashMap<Place, Vec<&Slice>> = HashMap::new();
        for (place, slice) in &self.slices {
            tracks.entry(*place).or_default().push(slice);
        }
        for slices in tracks.values_mut() {
            slices.sort_by(|a, b| a.begin_us.total_cmp(&b.begin_us).then(b.end_us.total_cmp(&a.end_us)));
            let mut open: Vec<&Slice> = Vec::new();
            for slice in slices {
                while open.last().is_some_and(|last| last.end_us <= slice.begin_us) {
                    open.pop();
                }
                if let Some(outer) = open.last().filter(|outer| outer.end_us < slice.end_us) {
                    self.faults
                        .push(format!("{}: \"{}\" ends inside \"{}\"", slice.track, outer.name, slice.name));
                }
                open.push(slice);
            }
        }
    }

    /// The arrows, by the slices that they join.
    fn join(&mut self) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        for (id, stops) in &self.flows {
            let phases: Vec<&str> = stops.iter().map(|(phase, ..)| phase.as_str()).collect();
            let is_whole = phases.first() == Some(&"s")
                && phases.last() == Some(&"f")
                && phases.len() >= 2
                && phases[1..phases.len() - 1].iter().all(|phase| *phase == "t");
            if !is_whole {
                self.faults.push(format!("flow {id}: {phases:?} is no arrow"));
            }
            if stops.windows(2).any(|two| two[0].2 > two[1].2) {
                self.faults.push(format!("flow {id} goes back in time"));
            }
            let joined: Vec<_> =
                stops.iter().filter_map(|(_, place, at)| self.slice_at(*place, *at)).collect();
            if joined.len() < stops.len() {
                self.faults.push(format!("flow {id} begins or ends where no slice is"));
            }
            found.push(joined);
        }
        found
    }

    /// The innermost slice there.
    fn slice_at(&self, place: Place, at_us: f64) -> Option<usize> {
        let holds = |slice: &Slice| slice.begin_us <= at_us && at_us < slice.end_us;
        let inside = self.slices.iter().enumerate().filter(|(_, (of, slice))| *of == place && holds(slice));
        inside.max_by(|(_, (_, a)), (_, (_, b))| a.begin_us.total_cmp(&b.begin_us)).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests;
