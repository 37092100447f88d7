//! The weakest order as it is shown: the program row by row, then what happens without each need.
//!
//! Invariant: rows are counted from 1, as the program stands with its operations written out. What stands below the first
//! table can be put below the scenarios of the file: sentences are remarks, and each counterexample is a variant of the
//! scenario with its trace.

use std::fmt;

use ordering::minimize::{Bond, Mobility, Need, PartialOrder, Shape, Standing, Weakest};
use serde::Serialize;

use super::conclusion::count;
use super::refusal::Without;

/// Everything that is shown.
#[derive(Serialize)]
pub(super) struct Report {
    scenario: String,
    agent: String,
    rows: Vec<Row>,
    /// Whether the proved orders are exactly those that keep the needs, or of no single set, or were not all judged.
    pub(super) shape: Which,
    /// Orders of the rows that are left; none if they are too many to count.
    pub(super) all_orders: Option<u128>,
    /// How many of them are proved; none if that was not decided or counted.
    pub(super) proved_orders: Option<u128>,
    /// How many of the proved ones keep one of the sets that are shown.
    pub(super) covered_orders: Option<u128>,
    /// What every proved order keeps, where more than one set is needed to say which they are.
    pub(super) common: Vec<Pair>,
    needs: Vec<Reason>,
    /// Orders that keep the needs; none if they are too many to count.
    pub(super) orders: Option<u128>,
    /// How many of them were explored by themselves too, if not all.
    explored_orders: Option<usize>,
    /// Other sets of needs, where one says not all.
    pub(super) others: Vec<Set>,
    explorations: usize,
}

/// What the proved orders are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Which {
    /// Those that keep the needs.
    One,
    /// Those of no single set of needs.
    Several,
    /// They were not all judged.
    Unknown,
}

#[derive(Serialize)]
struct Row {
    row: usize,
    text: String,
    stays: bool,
    /// The rows with which it can be left out, itself included.
    dropped_with: Vec<usize>,
    after: Vec<usize>,
    before: Vec<usize>,
}

/// Another set of needs.
#[derive(Serialize)]
pub(super) struct Set {
    needs: Vec<Reason>,
    orders: Option<u128>,
}

/// One row before another.
#[derive(Serialize)]
pub(super) struct Pair {
    pub(super) first: usize,
    pub(super) then: usize,
}

#[derive(Serialize)]
struct Reason {
    first: usize,
    then: usize,
    /// Whether no proved order has it the other way round.
    needed: bool,
    /// None if it could not be decided whether the other needs are enough.
    #[serde(flatten)]
    without: Option<Without>,
}

impl Report {
    /// The report of what was found.
    pub(super) fn new(scenario: &str, agent: &str, weakest: &Weakest) -> Self {
        let (first, others) =
            weakest.sets.split_first().expect("there is the set of the program's own order");
        let pair = |need: &Need| Pair { first: need.first + 1, then: need.then + 1 };
        let (shape, proved, covered, common) = match &weakest.shape {
            Shape::One => (Which::One, first.orders, first.orders, Vec::new()),
            Shape::Several { proved, covered, common } => {
                (Which::Several, *proved, *covered, common.iter().map(pair).collect())
            }
            Shape::Unknown => (Which::Unknown, None, None, Vec::new()),
        };
        let is_all = first.orders == u128::try_from(first.explored).ok();
        Self {
            scenario: scenario.to_owned(),
            agent: agent.to_owned(),
            rows: rows(weakest, first),
            shape,
            all_orders: weakest.total,
            proved_orders: proved,
            covered_orders: covered,
            common,
            needs: first.needs.iter().map(reason).collect(),
            orders: first.orders,
            explored_orders: (!is_all).then_some(first.explored),
            others: others.iter().map(set).collect(),
            explorations: weakest.explored,
        }
    }

    pub(super) fn named(&self, row: usize) -> String {
        const WIDEST: usize = 44;
        let text = &self.rows[row - 1].text;
        match text.char_indices().nth(WIDEST) {
            Some((at, _)) => format!("{row} `{}…`", &text[..at]),
            None => format!("{row} `{text}`"),
        }
    }

    fn places(&self, row: &Row) -> String {
        let list = |rows: &[usize]| rows.iter().map(|row| self.named(*row)).collect::<Vec<_>>().join(", ");
        if !row.dropped_with.is_empty() {
            let others: Vec<usize> =
                row.dropped_with.iter().copied().filter(|other| *other != row.row).collect();
            let with =
                if others.is_empty() { String::new() } else { format!(", together with {}", list(&others)) };
            return format!("not needed{with}");
        }
        let after = (!row.after.is_empty()).then(|| format!("after {}", list(&row.after)));
        let before = (!row.before.is_empty()).then(|| format!("before {}", list(&row.before)));
        let bounds: Vec<String> = after.into_iter().chain(before).collect();
        match (row.stays, bounds.is_empty()) {
            (true, true) => "stays".to_owned(),
            (true, false) => format!("stays; {}", bounds.join("; ")),
            (false, true) => "anywhere".to_owned(),
            (false, false) => bounds.join("; "),
        }
    }

    /// What it says without the counterexamples: each row with its places, and the conclusion.
    pub(super) fn sentences(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|row| format!("{} `{}`: {}", row.row, row.text, self.places(row)));
        rows.chain([self.conclusion()]).collect()
    }

    /// The needs of one set, each with what happens without it.
    fn reasons(&self, f: &mut fmt::Formatter<'_>, reasons: &[Reason]) -> fmt::Result {
        for reason in reasons {
            let (first, then) = (self.named(reason.first), self.named(reason.then));
            let word = if reason.needed { "needed" } else { "kept" };
            write!(f, "\n# {word}: {first} before {then}; ")?;
            match &reason.without {
                Some(without) => without.write(f)?,
                None => writeln!(f, "whether the rest is enough was not decided")?,
            }
        }
        Ok(())
    }
}

fn rows(weakest: &Weakest, set: &PartialOrder) -> Vec<Row> {
    let needs: Vec<Need> = set.needs.iter().map(|bond| bond.need).collect();
    let row = |(index, row): (usize, &ordering::minimize::Row)| {
        let group = weakest.dropped.iter().find(|group| group.contains(&index));
        Row {
            row: index + 1,
            text: row.text.clone(),
            stays: row.mobility == Mobility::Stays,
            dropped_with: group.into_iter().flatten().map(|row| row + 1).collect(),
            after: needs.iter().filter(|need| need.then == index).map(|need| need.first + 1).collect(),
            before: needs.iter().filter(|need| need.first == index).map(|need| need.then + 1).collect(),
        }
    };
    weakest.rows.iter().enumerate().map(row).collect()
}

fn set(set: &PartialOrder) -> Set {
    Set { needs: set.needs.iter().map(reason).collect(), orders: set.orders }
}

fn reason(bond: &Bond) -> Reason {
    Reason {
        first: bond.need.first + 1,
        then: bond.need.then + 1,
        needed: bond.standing == Standing::Needed,
        without: bond.without.as_ref().map(Without::of),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDEST: usize = 40;
        writeln!(f, "{}, {}: the weakest order that is still proved\n", self.scenario, self.agent)?;
        let longest = self.rows.iter().map(|row| row.text.chars().count()).filter(|width| *width <= WIDEST);
        let width = longest.max().unwrap_or(WIDEST);
        for row in &self.rows {
            writeln!(f, "{:3}  {:width$}  {}", row.row, row.text, self.places(row))?;
        }
        self.reasons(f, &self.needs)?;
        for (number, other) in (2..).zip(&self.others) {
            writeln!(f, "\n# set {number} of needs, kept by {} orders:", count(other.orders))?;
            self.reasons(f, &other.needs)?;
        }
        write!(f, "\n{}", self.conclusion())
    }
}
