//! The weakest order as it is shown: the program row by row, then what happens without each need.
//!
//! Invariant: rows are counted from 1, as the program stands with its operations written out.

use std::fmt;

use ordering::minimize::{Coverage, Mobility, Need, Refusal, Weakest};
use serde::Serialize;

/// Everything that is shown.
#[derive(Serialize)]
pub(super) struct Report {
    scenario: String,
    agent: String,
    rows: Vec<Row>,
    needs: Vec<Reason>,
    /// Orders that keep the needs; none if they are too many to count.
    orders: Option<u128>,
    /// How many of them were explored, if not all.
    explored_orders: Option<usize>,
    explorations: usize,
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

#[derive(Serialize)]
struct Reason {
    first: usize,
    then: usize,
    without: String,
    trace: Option<String>,
}

impl Report {
    /// The report of what was found.
    pub(super) fn new(scenario: &str, agent: &str, weakest: &Weakest) -> Self {
        let needs: Vec<Need> = weakest.needs.iter().map(|(need, _)| *need).collect();
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
        Self {
            scenario: scenario.to_owned(),
            agent: agent.to_owned(),
            rows: weakest.rows.iter().enumerate().map(row).collect(),
            needs: weakest.needs.iter().map(|(need, refusal)| reason(*need, refusal)).collect(),
            orders: weakest.orders,
            explored_orders: match weakest.coverage {
                Coverage::All => None,
                Coverage::Some(count) => Some(count),
            },
            explorations: weakest.explored,
        }
    }

    fn named(&self, row: usize) -> String {
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

    fn conclusion(&self) -> String {
        let count = self.orders.map_or_else(|| "uncounted".to_owned(), |count| count.to_string());
        match (self.explored_orders, self.orders) {
            (None, Some(1)) => "This is the only order that keeps them, and it is proved.".to_owned(),
            (None, _) => format!("All {count} orders that keep them are proved."),
            (Some(0), _) => format!("BOUND HIT: the {count} orders that keep them are too many to explore."),
            (Some(explored), _) => format!(
                "BOUND HIT: of the {count} orders that keep them {explored}, evenly spread, were explored; each is proved."
            ),
        }
    }
}

fn reason(need: Need, refusal: &Refusal) -> Reason {
    let (without, trace) = match refusal {
        Refusal::Violated { property, trace } => (property.clone(), Some(trace.to_string())),
        Refusal::OtherJob(job) => (format!("it does something else: {job}"), None),
        Refusal::Meaningless(why) => (format!("the scenario says nothing any more: {why}"), None),
        Refusal::BoundHit => ("more states than were allowed".to_owned(), None),
    };
    Reason { first: need.first + 1, then: need.then + 1, without, trace }
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
        for reason in &self.needs {
            let (first, then) = (self.named(reason.first), self.named(reason.then));
            writeln!(f, "\n{first} before {then}; else: {}", reason.without)?;
            if let Some(trace) = &reason.trace {
                let indented: String = trace.lines().map(|line| format!("    {line}\n")).collect();
                write!(f, "{indented}")?;
            }
        }
        write!(f, "\n{}", self.conclusion())
    }
}
