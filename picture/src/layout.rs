//! Where everything of a picture stands: columns for agents, then lanes, then what is to be said; time goes down.
//!
//! Invariant: all numbers are in the units of the view box, in which a letter of a row is [`ADVANCE`] tenths wide: the
//! picture tells the browser so, so that no font can make texts overlap.

use crate::escape::visible;
use crate::timeline::{Part, Row, Timeline};

/// Tenths of a unit that a letter takes.
pub(crate) const ADVANCE: usize = 72;
/// Tenths of a unit that a letter of a note takes.
pub(crate) const NOTE_ADVANCE: usize = 64;
/// From row to row.
pub(crate) const ROW: usize = 26;
/// From line to line of a note.
pub(crate) const NOTE_LINE: usize = 15;
/// The names above the columns.
pub(crate) const HEAD: usize = 66;
/// Letters of a step, of a name, of an entry at most; the rest is in its title.
pub(crate) const MOST_LETTERS: usize = 38;
/// Of a text that is too long so many letters of its end stay: what a step returns, and what it says no to.
const TAIL: usize = 8;
/// Letters in a line of a note.
pub(crate) const NOTE_LETTERS: usize = 44;

/// Room beside a column's steps for arcs within it, and for the heads of arrows alone.
pub(crate) const ARCS: usize = 30;
const HEADS: usize = 12;
/// Room for the marks beside a lane's entries.
pub(crate) const MARKS: usize = 20;

/// What stands above the columns, and above the lanes.
pub(crate) const WHO_DOES: &str = "who does what";
pub(crate) const WHO_HOLDS: &str = "who holds what";

const EDGE: usize = 12;
const NUMBERS: usize = 78;
const PADDING: usize = 8;
const GAP: usize = 10;
const LEAST: usize = 64;
/// Where the start is, above the first row.
const START: usize = 12;
/// What goes on for ever is announced on a line of its own.
const REMARK: usize = 22;

/// A column or a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) left: usize,
    pub(crate) width: usize,
}

impl Span {
    pub(crate) const fn right(self) -> usize {
        self.left + self.width
    }

    pub(crate) const fn middle(self) -> usize {
        self.left + self.width / 2
    }
}

/// The places of a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<Span>,
    /// By column, the left edge of its steps.
    steps: Vec<usize>,
    pub(crate) lanes: Vec<Span>,
    /// Where the lanes begin; the numbers of the rows stand before it.
    pub(crate) lanes_left: usize,
    pub(crate) notes: Vec<Note>,
    pub(crate) notes_left: usize,
    pub(crate) width: usize,
    /// Of what stands below the names.
    pub(crate) height: usize,
    /// The middle of each row, the start first.
    rows: Vec<usize>,
    /// Where the last row's time ends.
    pub(crate) end: usize,
}

/// Something that is to be said, in lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Note {
    pub(crate) class: &'static str,
    /// The row that it is about.
    pub(crate) row: usize,
    pub(crate) top: usize,
    pub(crate) lines: Vec<String>,
}

impl Layout {
    /// Of a picture that stands alone.
    pub(crate) fn new(timeline: &Timeline) -> Self {
        Self::with(timeline, |rows| notes(timeline, rows))
    }

    /// Of one below a text that says what notes would.
    pub(crate) fn below_text(timeline: &Timeline) -> Self {
        Self::with(timeline, |_| Vec::new())
    }

    fn with(timeline: &Timeline, notes: impl FnOnce(&[usize]) -> Vec<Note>) -> Self {
        let (columns, lanes_left) = columns(timeline);
        let indents = (0..).map(|column| indent(timeline, column));
        let steps = columns.iter().zip(indents).map(|(span, indent)| span.left + indent).collect();
        let (lanes, notes_left) = lanes(timeline, lanes_left);
        let rows = rows(timeline);
        let end = rows[rows.len() - 1] + ROW;
        let notes = notes(&rows);
        let last = notes.iter().map(|note| note.top + note.lines.len() * NOTE_LINE).max();
        let width = if notes.is_empty() {
            notes_left
        } else {
            notes_left + pixels(NOTE_LETTERS, NOTE_ADVANCE) + 2 * EDGE
        };
        let height = last.into_iter().chain([end]).fold(0, usize::max) + EDGE;
        Self { columns, steps, lanes, lanes_left, notes, notes_left, width, height, rows, end }
    }

    /// The middle of a row; 0 is the start.
    pub(crate) fn y(&self, row: usize) -> usize {
        self.rows[row]
    }

    /// Where a row's numbers stand.
    pub(crate) const fn numbers() -> usize {
        EDGE
    }

    /// Where what leaves a column, to the left or to the right, goes down.
    pub(crate) fn gutter(&self, column: usize, left: bool) -> usize {
        let span = self.columns[column];
        if left { span.left - GAP / 2 } else { span.right() + GAP / 2 }
    }

    /// The left edge of a column's steps.
    pub(crate) fn step(&self, column: usize) -> usize {
        self.steps[column]
    }
}

/// Units that letters take.
pub(crate) const fn pixels(letters: usize, advance: usize) -> usize {
    (letters * advance).div_ceil(10)
}

/// As much of a text as there is room for: its beginning and its end.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    let text = visible(text);
    let letters = text.chars().count();
    if letters <= most {
        return text.into_owned();
    }
    let tail = TAIL.min(most / 3);
    text.chars().take(most - tail - 1).chain(['…']).chain(text.chars().skip(letters - tail)).collect()
}

/// Units that a text takes in a column or a lane.
pub(crate) fn width(text: &str) -> usize {
    pixels(visible(text).chars().count().min(MOST_LETTERS), ADVANCE)
}

fn indent(timeline: &Timeline, column: usize) -> usize {
    let is_own = |row: usize| timeline.rows[row - 1].agent == column;
    let arcs = timeline.arrows.iter().any(|arrow| is_own(arrow.from) && is_own(arrow.to));
    if arcs { ARCS } else { HEADS }
}

fn columns(timeline: &Timeline) -> (Vec<Span>, usize) {
    let mut left = NUMBERS;
    let mut columns = Vec::new();
    for (index, agent) in timeline.agents.iter().enumerate() {
        let own = timeline.rows.iter().filter(|row| row.agent == index).map(|row| row.text.as_str());
        let on = agent.on.as_ref().map_or(0, |on| width(on) + pixels(3, ADVANCE));
        let texts = own.chain([agent.name.as_str()]).map(width);
        let widest = texts.chain([on, LEAST]).fold(0, usize::max);
        let span = Span { left, width: indent(timeline, index) + widest + 2 * PADDING };
        left = span.right() + GAP;
        columns.push(span);
    }
    (columns, left + GAP)
}

fn lanes(timeline: &Timeline, left: usize) -> (Vec<Span>, usize) {
    // The numbers of the rows stand once more before the lanes.
    let mut left = if timeline.lanes.is_empty() { left } else { left + pixels(3, ADVANCE) + GAP };
    let mut lanes = Vec::new();
    for lane in &timeline.lanes {
        let named = width(&lane.what).max(width(&lane.name));
        let held = lane.segments.iter().map(|segment| width(&held(segment.stale, &segment.holds)) + MARKS);
        let span = Span { left, width: held.chain([named]).fold(0, usize::max) + PADDING };
        left = span.right() + GAP;
        lanes.push(span);
    }
    // The title above the lanes must have room, too.
    let titled =
        lanes.first().map_or(left, |first: &Span| first.left + pixels(WHO_HOLDS.len(), ADVANCE) + GAP);
    (lanes, left.max(titled) + GAP)
}

/// What stands in a lane.
pub(crate) fn held(stale: bool, holds: &str) -> String {
    if stale { format!("stale: {holds}") } else { holds.to_owned() }
}

fn rows(timeline: &Timeline) -> Vec<usize> {
    let mut found = vec![START];
    let mut part = Part::Run;
    for row in &timeline.rows {
        let remark = if row.part == part { 0 } else { REMARK };
        part = row.part;
        found.push(found[found.len() - 1] + ROW + remark);
    }
    found
}

/// What stands above a row that begins another part of the run.
pub(crate) fn remark(rows: &[Row], index: usize) -> Option<&'static str> {
    let before = index.checked_sub(1).map_or(Part::Run, |before| rows[before].part);
    let part = rows[index].part;
    (part != before).then_some(match part {
        Part::Run => "",
        Part::Lead => "and for ever on:",
        Part::Cycle => "again and again:",
    })
}

/// What is said beside the last row that breaks: the property, why, what is missing. Whatever has no room there goes on
/// below.
fn notes(timeline: &Timeline, rows: &[usize]) -> Vec<Note> {
    let run = timeline.run();
    let property = timeline.broken.iter().map(|broken| ("note broken", format!("VIOLATION: {broken}")));
    let why = timeline.why.iter().map(|told| match told.starts_with("missing: ") {
        true => ("note missing", told.clone()),
        false => ("note why", told.clone()),
    });
    let said: Vec<(&str, Vec<String>)> =
        property.chain(why).map(|(class, told)| (class, wrapped(&told, NOTE_LETTERS))).collect();
    let lines: usize = said.iter().map(|(_, lines)| lines.len()).sum();
    let needed = lines * NOTE_LINE + said.len() * GAP;
    // It ends beside the row, if there is room above; else it begins at the top.
    let mut top = (rows[run] + ROW).saturating_sub(needed).max(START / 2);
    let note = |(class, lines): (&'static str, Vec<String>)| {
        let note = Note { class, row: run, top, lines };
        top += note.lines.len() * NOTE_LINE + GAP;
        note
    };
    said.into_iter().map(note).collect()
}

/// A text in lines, broken at blanks where there is one.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in visible(text).split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + rest.len() > most {
            lines.push(String::new());
        } else if last > 0
            && let Some(line) = lines.last_mut()
        {
            line.push(' ');
        }
        while rest.len() > most {
            let tail = rest.split_off(most);
            lines.extend([rest.iter().collect(), String::new()]);
            rest = tail;
        }
        if let Some(line) = lines.last_mut() {
            line.extend(rest);
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}
