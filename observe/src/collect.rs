//! Operations in a stream of lines: which steps belong together.
//!
//! Invariant: what is kept is bounded, however long the stream is: one operation a thread, with a bounded number of rows,
//! each order once, and a bounded number of names. What no longer fits is counted.

mod open;
mod span;
mod thread;

use std::collections::{BTreeMap, BTreeSet};

use ordering::glimpse::whatever_level;
use steps::table::Verb;

use crate::line::{Event, Line, is_unseen};
use crate::order::{Example, Order};
use crate::reader;
use crate::vocabulary::{Kernel, Meaning, Row, Shows, Vocabulary};

use thread::Thread;

/// Threads that are followed at once.
const MOST_THREADS: usize = 4096;
/// Orders that are told apart.
const MOST_ORDERS: usize = 4096;
/// Names that are counted one by one.
const MOST_NAMES: usize = 1024;
/// Bytes of a line that are looked at.
pub const LONGEST_LINE: usize = 8192;

/// How often something was seen, and where first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Count {
    /// How often.
    pub times: u64,
    /// Where first.
    pub example: Example,
}

impl Count {
    /// The same order, seen elsewhere, too.
    fn add(&mut self, other: &Self) {
        self.times += other.times;
        if other.example.line < self.example.line {
            self.example = other.example.clone();
        }
    }
}

/// What lines were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// All of them.
    pub lines: u64,
    /// Those that are events.
    pub events: u64,
    /// Those that could not be read, with the number of the first.
    pub unreadable: u64,
    /// The first of them.
    pub first_unreadable: Option<u64>,
    /// Events that were lost while it was recorded, as far as that is said.
    pub lost: u64,
    /// Times that go back within a thread: its lines are in no order, or of several recordings.
    pub backwards: u64,
    /// Ranges in which no change was seen.
    pub unchanged: u64,
    /// Steps outside of any operation.
    pub stray: u64,
    /// Orders that were no longer told apart.
    pub uncounted: u64,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// What lines were.
    pub totals: Totals,
    /// Each order.
    pub orders: BTreeMap<Order, Count>,
    /// Events that the vocabulary does not have, by name.
    pub unknown: BTreeMap<String, u64>,
    /// Steps that never happen unseen.
    pub shown: BTreeSet<Verb>,
    /// Steps that were seen.
    pub seen: BTreeSet<Verb>,
    /// A notification may hide inside the end of a range: no line shows whom that calls.
    pub ends_notify: bool,
    /// The kernel, if that is known.
    pub kernel: Option<Kernel>,
    /// What a line has said instead of a kernel's version, the first of them.
    pub no_kernel: Option<String>,
}

/// Reads lines.
#[derive(Debug)]
pub struct Collector<'v> {
    vocabulary: &'v Vocabulary,
    threads: BTreeMap<String, Thread>,
    label: Option<String>,
    watched: Option<u64>,
    /// Something was left out of the recording, or it has only begun: a thread may be in the midst of an operation.
    torn: bool,
    /// What never happens unseen in the recording that is read.
    shown: BTreeSet<Verb>,
    /// And in all that were read before, if there were any.
    shown_before: Option<BTreeSet<Verb>>,
    /// Somebody whom the end of a range notifies was seen to be called by it.
    ends_show_notify: bool,
    /// Somebody has said which kernel it is.
    is_told: bool,
    /// A kernel that lines name beside the one that is known.
    other_kernel: Option<Kernel>,
    found: Found,
}

impl<'v> Collector<'v> {
    /// One that has read nothing yet.
    #[must_use]
    pub fn new(vocabulary: &'v Vocabulary, kernel: Option<Kernel>) -> Self {
        let found = Found { kernel, ..Found::default() };
        Self {
            vocabulary,
            threads: BTreeMap::new(),
            label: None,
            watched: None,
            torn: true,
            shown: BTreeSet::new(),
            shown_before: None,
            ends_show_notify: false,
            is_told: kernel.is_some(),
            other_kernel: None,
            found,
        }
    }

    /// A kernel that was named behind another one; what is read of it is held against the first one's rows.
    #[must_use]
    pub fn other_kernel(&self) -> Option<Kernel> {
        self.other_kernel
    }

    /// Events that were read so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.found.totals.events
    }

    /// Reads the next line, without its end.
    pub fn line(&mut self, text: &str) {
        self.found.totals.lines += 1;
        match reader::read(text) {
            Line::Event(event) => {
                self.found.totals.events += 1;
                self.event(&event);
            }
            Line::Section(title) => {
                self.close_all();
                self.label = Some(shortened(title));
                self.torn = false;
            }
            Line::Cut => self.tear(),
            Line::Lost(number) => {
                self.found.totals.lost = self.found.totals.lost.saturating_add(number.unwrap_or(1));
                self.tear();
            }
            Line::Overwritten(number) => {
                self.found.totals.lost = self.found.totals.lost.saturating_add(number);
                self.torn |= number > 0;
            }
            Line::Watched(address) => self.watched = Some(address),
            Line::Kernel(version) => match version.parse() {
                Ok(kernel) => self.named(kernel),
                Err(_none) => {
                    self.found.no_kernel.get_or_insert_with(|| shortened(version));
                }
            },
            Line::Remark => {}
            Line::Unreadable => {
                let line = self.found.totals.lines;
                self.found.totals.unreadable += 1;
                self.found.totals.first_unreadable.get_or_insert(line);
            }
        }
    }

    /// Ends the reading of one file: what comes next is another recording.
    pub fn end_of_file(&mut self) {
        self.close_all();
        self.label = None;
        self.watched = None;
        self.torn = true;
        let shown = std::mem::take(&mut self.shown);
        // What one of several recordings does not show may have happened unseen.
        if !shown.is_empty() {
            let all = self.shown_before.take().map(|before| before.intersection(&shown).copied().collect());
            self.shown_before = Some(all.unwrap_or(shown));
        }
    }

    /// What somebody says outweighs what a file says of itself.
    fn named(&mut self, kernel: Kernel) {
        if self.is_told {
            return;
        }
        let known = *self.found.kernel.get_or_insert(kernel);
        if known != kernel {
            self.other_kernel = Some(kernel);
        }
    }

    /// Something is left out here: what is open is not whole, and what comes next may not be.
    fn tear(&mut self) {
        self.close_all();
        self.torn = true;
    }

    /// Whether the thread has done something later than this, as far as that can be read.
    fn goes_back(&mut self, event: &Event<'_>) -> bool {
        let Some(thread) = self.threads.get_mut(&*event.thread) else { return false };
        let Ok(time) = event.time.parse::<f64>() else { return false };
        thread.passes(time)
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Found {
        self.end_of_file();
        self.found.shown = self.shown_before.take().unwrap_or_default();
        let orders = std::mem::take(&mut self.found.orders);
        for (order, count) in orders {
            let open = order.open.known(&self.found.shown);
            let known = self.found.orders.entry(Order { open, ..order });
            known.and_modify(|known| known.add(&count)).or_insert(count);
        }
        let is_verb = |verb: Verb| self.found.seen.contains(&verb);
        self.found.ends_notify = is_verb(Verb::NotifyEnd) && !self.ends_show_notify && self.ends_notify();
        // What a kernel does not have it does not do unseen either.
        if let Some(kernel) = self.found.kernel {
            let all: BTreeSet<Verb> = verbs(self.vocabulary.rows().iter());
            let has: BTreeSet<Verb> = verbs(self.vocabulary.rows().iter().filter(|row| row.has(kernel)));
            self.found.shown.extend(all.difference(&has));
        }
        self.found
    }

    /// Whether the end of a range can notify, in the kernel at hand.
    fn ends_notify(&self) -> bool {
        let has = |row: &&Row| self.found.kernel.is_none_or(|kernel| row.has(kernel));
        let mut rows = self.vocabulary.rows().iter().filter(has);
        rows.any(|row| matches!(row.meaning, Meaning::Around(..)))
    }

    fn event(&mut self, event: &Event<'_>) {
        if self.goes_back(event) {
            self.found.totals.backwards += 1;
            self.tear();
        }
        let vocabulary = self.vocabulary;
        let caller = event.caller.and_then(|caller| vocabulary.operation_of(caller));
        let Some(index) = vocabulary.find(event, self.found.kernel) else {
            self.unknown(event);
            return;
        };
        let row = &vocabulary.rows()[index];
        if event.returns {
            // Its call was seen; what is new is who called.
            if let Some(thread) = self.threads.get_mut(&*event.thread) {
                thread.belongs(caller);
            }
            return;
        }
        self.note(row, event.caller);
        if row.steps().any(|step| step.verb == Verb::Walk) {
            self.walked(event, row);
            return;
        }
        let (line, watched) = (self.found.totals.lines, self.watched);
        let starts_shown = self.shown.contains(&Verb::NotifyStart);
        let label = self.label.clone();
        let thread = self.thread(&event.thread);
        let closed = match &row.meaning {
            Meaning::Fault => thread.enter(row.operation.as_deref(), vocabulary),
            Meaning::Mark => thread.enter(None, vocabulary),
            Meaning::Nothing => {
                thread.belongs(caller);
                thread.call(row, starts_shown, vocabulary)
            }
            Meaning::Steps(_) | Meaning::Around(..) => {
                let operation = row.operation.as_deref().or(caller);
                let step = thread::Taken { event, row, operation, line, watched, label };
                thread.take(&step, vocabulary)
            }
        };
        if row.meaning == Meaning::Mark {
            let ends = event.arguments.trim_end().ends_with(" end");
            self.label = (!ends).then(|| shortened(event.arguments));
        }
        self.keep(closed);
    }

    /// A vCPU maps a page again: that belongs to whoever has zapped it, to the last one of several.
    fn walked(&mut self, event: &Event<'_>, row: &Row) {
        let (gfn, watched) = (row.gfn(event), self.watched);
        let others = self.threads.iter_mut().filter(|(name, _)| **name != *event.thread);
        let met = others.filter_map(|(_, thread)| Some((thread.meets_walk(gfn, watched)?, thread)));
        match met.max_by_key(|(line, _)| *line) {
            Some((_, thread)) => thread.walked(&event.name),
            None => self.found.totals.stray += 1,
        }
    }

    /// Remembers which steps are seen, and which never go unseen.
    fn note(&mut self, row: &Row, caller: Option<&str>) {
        // What a step does before it ends is seen where that has a line of its own.
        let own = match &row.meaning {
            Meaning::Around(..) => 1,
            Meaning::Steps(_) | Meaning::Fault | Meaning::Mark | Meaning::Nothing => usize::MAX,
        };
        for step in row.steps().take(own) {
            let verb = whatever_level(step.verb);
            self.found.seen.insert(verb);
            let ends = caller.and_then(|caller| self.vocabulary.rows().iter().find(|row| row.name == caller));
            let inside = ends.is_some_and(|row| matches!(row.meaning, Meaning::Around(..)));
            self.ends_show_notify |= verb == Verb::Notify && inside;
            // A watchpoint shows the writes of one page.
            if row.shows == Shows::Every && !row.name.starts_with("pte@") {
                self.shown.insert(verb);
            }
        }
    }

    fn unknown(&mut self, event: &Event<'_>) {
        if event.name.starts_with("pte@")
            && let Some(thread) = self.threads.get_mut(&*event.thread)
        {
            thread.unsure();
        }
        let full = self.found.unknown.len() >= MOST_NAMES && !self.found.unknown.contains_key(&*event.name);
        let name = if full { "others".to_owned() } else { shortened(&event.name) };
        *self.found.unknown.entry(name).or_default() += 1;
    }

    fn thread(&mut self, name: &str) -> &mut Thread {
        if self.threads.len() >= MOST_THREADS && !self.threads.contains_key(name) {
            self.tear();
        }
        let torn = self.torn;
        self.threads.entry(name.to_owned()).or_insert_with(|| Thread::new(shortened(name), torn))
    }

    fn close_all(&mut self) {
        let vocabulary = self.vocabulary;
        let closed: Vec<_> = self.threads.values_mut().flat_map(|thread| thread.cut(vocabulary)).collect();
        self.threads.clear();
        for one in closed {
            self.keep(thread::Closed { ended: vec![one], stray: 0 });
        }
    }

    fn keep(&mut self, closed: thread::Closed) {
        self.found.totals.stray += closed.stray;
        for open in closed.ended {
            let Some((order, example)) = open.finish(self.vocabulary) else {
                self.found.totals.unchanged += 1;
                continue;
            };
            let full = self.found.orders.len() >= MOST_ORDERS && !self.found.orders.contains_key(&order);
            if full {
                self.found.totals.uncounted += 1;
                continue;
            }
            let count = self.found.orders.entry(order).or_insert(Count { times: 0, example });
            count.times += 1;
        }
    }
}

fn verbs<'r>(rows: impl Iterator<Item = &'r Row>) -> BTreeSet<Verb> {
    rows.flat_map(Row::steps).map(|step| whatever_level(step.verb)).collect()
}

/// What is kept of a text that somebody else has written.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !is_unseen(*character)).take(80).collect()
}

#[cfg(test)]
mod tests;
