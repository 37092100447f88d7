//! The catalogue as a page: `docs/catalogue.md` is this text, and a test compares the two.
//!
//! Invariant: the page depends on the scenarios alone. So it counts the states of the model, without reductions, and
//! no time.

use std::fmt::Write as _;

use ordering::answer::Answer;
use ordering::catalogue::Entry;
use ordering::engine::{self, Options, Outcome, Reductions, Verdict};

/// States that are counted at most.
const MOST_STATES: usize = 1_000_000;

const HEAD: &str = "# The catalogue

The scenarios of `tests/scenarios`, which are part of the program: `afterimage zoo NAME` shows one with its
counterexample, `afterimage check tests/scenarios` explores all of them. A test sees to it that each is what this page
says. This page is written by `afterimage zoo --markdown > docs/catalogue.md`.

States are those of the whole model, before reductions; of a violation, those that were met up to it.
";

/// The whole page.
pub(super) fn page(entries: &[Entry]) -> String {
    let mut text = HEAD.to_owned();
    let (mut file, mut source) = ("", None);
    for entry in entries {
        if entry.file.path != file {
            (file, source) = (entry.file.path, None);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n## {file}\n");
            text.push_str(
                "| scenario | what it shows | source | verdict | states |\n|---|---|---|---|---|\n",
            );
        }
        // A variant takes over the source of the scenario that it is like.
        let told = entry.scenario.source.as_deref();
        let repeated = told.is_some() && told == source;
        text.push_str(&row(entry, if repeated { "as above" } else { told.unwrap_or_default() }));
        source = told;
    }
    text
}

fn row(entry: &Entry, source: &str) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let about = entry.scenario.about.as_deref().unwrap_or_default();
    let (verdict, states) = explored(entry);
    let name = &entry.lowered.name;
    format!("| `{name}` | {} | {} | {verdict} | {states} |\n", cell(about), cell(source))
}

fn explored(entry: &Entry) -> (String, String) {
    let options = Options { reductions: Reductions::NONE, max_states: MOST_STATES, ..Options::default() };
    let Ok(packed) = engine::compile(&entry.lowered.model) else {
        return ("too large".to_owned(), String::new());
    };
    let outcome = engine::explore(&packed, &options);
    let answer = Answer::new(&entry.lowered, &outcome);
    let Outcome { verdict, statistics, coverage: _ } = outcome;
    match verdict {
        Verdict::Proved => (answer.answered.to_string().to_lowercase(), statistics.states.to_string()),
        Verdict::Violated { trace, .. } => {
            (format!("violation in {} steps", trace.steps.len()), statistics.states.to_string())
        }
        Verdict::BoundHit { .. } => (super::expected(entry), format!("more than {MOST_STATES}")),
    }
}
