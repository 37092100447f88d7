//! Mutated scenarios all the way: text, model, search, trace. Any text yields diagnostics or a verdict, and the reductions
//! do not change it.
//!
//! Invariant: the texts are the same on every machine. `AFTERIMAGE_FUZZ_SECONDS` sets for how long, and
//! `AFTERIMAGE_FUZZ_FIRST` the first seed; a failure prints its seed and its text.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use ordering::catalogue::FILES;
use ordering::counterexample::Table;
use ordering::engine::{Options, Outcome, Reductions, Verdict, compile, explore, witness};
use ordering::language::format::{Unformed, format};
use ordering::language::syntax::Scenario;
use ordering::language::{parse, render_all};
use ordering::lowering::{Lowered, load, lower};
use ordering::model::PropertyId;
use ordering::outcomes::outcomes;

/// Texts that are tried unless a time is set.
const TEXTS: u64 = 300;
/// States of a search.
const STATES: usize = 4000;
/// Bytes of a search.
const BYTES: usize = 4 << 20;

const PIECES: [&str; 46] = [
    "|",
    "||",
    ":",
    ";",
    "{",
    "}",
    "(",
    ")",
    "->",
    "=>",
    "..",
    "0",
    "4294967295",
    "99999999999",
    "\"",
    "#",
    "\n",
    "\n\n",
    "  ",
    "ä",
    "repeat 0..3:",
    "atomic {",
    "if ",
    "goto out",
    "expect proved\n",
    "like ",
    "replace CPU.1 to 9\n",
    "never T done = 1\n",
    "option use_after_free = off\n",
    "ksm_stabilize A old",
    "\t",
    "\r\n",
    "\u{feff}",
    "never ",
    "always ",
    "finally ",
    "option walk = split\n",
    "option speculation = on\n",
    "spontaneous ",
    "!",
    "&&",
    "any",
    "tag X\n",
    " in P tag X",
    "switch P tag X flush",
    "context E -> P\n",
];

/// Draws from a seed.
struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound.max(1))
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

/// What became of the texts.
#[derive(Default, Debug)]
struct Census {
    texts: u64,
    /// That have a form, and that would mean something else in it.
    formed: u64,
    differ: u64,
    lowered: u64,
    too_large: u64,
    proved: u64,
    violated: u64,
    bound_hit: u64,
    /// Whose outcomes were all found.
    outcomes: u64,
    slowest: (Duration, u64),
}

#[test]
fn any_text_ends_in_diagnostics_or_in_a_verdict_that_all_reductions_share() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("AFTERIMAGE_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("AFTERIMAGE_FUZZ_FIRST").unwrap_or(0);
    let (start, mut census) = (Instant::now(), Census::default());
    while seconds.map_or(census.texts < TEXTS, |seconds| start.elapsed() < seconds) {
        let seed = first + census.texts;
        let text = text(seed);
        let begun = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| follow(&text, &mut census))) {
            eprintln!("seed {seed}:\n{text}");
            resume_unwind(panic);
        }
        census.slowest = census.slowest.max((begun.elapsed(), seed));
        census.texts += 1;
    }
    println!("{census:?}");
    assert!(census.formed * 20 >= census.texts, "too few have a form: {census:?}");
    assert!(census.differ * 10 <= census.formed, "too many would mean something else: {census:?}");
    assert!(census.lowered * 10 >= census.texts, "the mutations are too wild: {census:?}");
    assert!(census.proved * 50 >= census.texts, "nothing is proved: {census:?}");
    assert!(census.violated * 50 >= census.texts, "nothing is refuted: {census:?}");
    assert!(census.outcomes * 50 >= census.texts, "nothing has outcomes: {census:?}");
}

/// The letters of a text, but for the mark that some begin with.
fn without_blanks(text: &str) -> String {
    text.trim_start_matches('\u{feff}').chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// Lowers, explores and prints all that a text says.
fn follow(text: &str, census: &mut Census) {
    let file = parse(text);
    assert_eq!(render_all(&file.diagnostics, "fuzz.scn", text).is_empty(), file.diagnostics.is_empty());
    match format(text) {
        Ok(form) => {
            assert_eq!(format(&form).as_ref(), Ok(&form), "the form of a form");
            assert_eq!(without_blanks(&form), without_blanks(text), "blanks alone are changed");
            census.formed += 1;
        }
        Err(Unformed::Differs) => census.differ += 1,
        Err(Unformed::Wrong(wrong)) => assert_eq!(wrong, file.diagnostics),
    }
    for scenario in &file.scenarios {
        match lower(scenario, text) {
            Ok(lowered) => {
                census.lowered += 1;
                search(&lowered, text, census);
                end(scenario, text, census);
            }
            Err(diagnostics) => assert!(!render_all(&diagnostics, "fuzz.scn", text).is_empty()),
        }
    }
}

fn search(lowered: &Lowered, text: &str, census: &mut Census) {
    let Ok(packed) = compile(&lowered.model) else {
        lowered.model.validate().expect("what is lowered is well formed");
        census.too_large += 1;
        return;
    };
    let [reduced, plain] = [Reductions::ALL, Reductions::NONE].map(|reductions| {
        let limits = Options { max_states: STATES, memory_bytes: BYTES, ..Options::default() };
        explore(&packed, &Options { reductions, ..limits })
    });
    if let (Some(one), Some(other)) = (found(&reduced), found(&plain)) {
        assert_eq!(one, other, "{}: reduced and not", lowered.name);
    }
    match &reduced.verdict {
        Verdict::Proved => {
            census.proved += 1;
            if let Some(run) = witness(&packed, &Options { max_states: STATES, ..Options::default() }) {
                assert!(run.last.ended(&lowered.model), "{}: a witness must be complete", lowered.name);
            }
        }
        Verdict::Violated { property, trace, .. } => {
            census.violated += 1;
            let table = Table::new(lowered, trace, Some(*property));
            read_again(lowered, text, &table);
        }
        Verdict::BoundHit { .. } => census.bound_hit += 1,
    }
}

/// All that its runs can end with, reduced and not: the same, and something forbidden if and only if it is refuted.
fn end(scenario: &Scenario, text: &str, census: &mut Census) {
    let limits = Options { max_states: STATES, memory_bytes: BYTES, ..Options::default() };
    let with = |reductions| outcomes(scenario, text, &Options { reductions, ..limits });
    let (Ok(reduced), Ok(plain)) = (with(Reductions::PAYING), with(Reductions::NONE)) else { return };
    assert!(reduced.lines().count() > reduced.found.len());
    if !reduced.is_complete() || !plain.is_complete() {
        return;
    }
    census.outcomes += 1;
    assert_eq!(reduced.found, plain.found, "{}: reduced and not", scenario.name.node);
    let lowered = lower(scenario, text).expect("it was lowered");
    let packed = compile(&lowered.model).expect("it was packed with more variables");
    let forbidden = plain.found.iter().any(|outcome| !outcome.is_allowed());
    if let Some(broken) = found(&explore(&packed, &limits)) {
        assert_eq!(forbidden, broken.is_some(), "{}:\n{plain}", scenario.name.node);
    }
}

/// What is printed is a trace of the scenario.
fn read_again(lowered: &Lowered, text: &str, table: &Table) {
    if load(text).is_ok() {
        let again = format!("{text}\n\nscenario read-again\nlike {}\n\n{table}", lowered.name);
        if let Err(diagnostics) = load(&again) {
            panic!("{}", render_all(&diagnostics, "again.scn", &again));
        }
    }
}

/// The broken property and the steps to it, if any; none if a limit was hit.
fn found(outcome: &Outcome) -> Option<Option<(PropertyId, usize)>> {
    match &outcome.verdict {
        Verdict::Proved => Some(None),
        Verdict::Violated { property, trace, .. } => Some(Some((*property, trace.steps.len()))),
        Verdict::BoundHit { .. } => None,
    }
}

/// A scenario file of the catalogue with some damage.
fn text(seed: u64) -> String {
    let random = &mut Random::new(seed);
    let base = FILES[random.below(FILES.len())].text;
    let mut letters: Vec<char> = base.chars().collect();
    for _ in 0..=random.below(6) {
        damage(&mut letters, random);
    }
    letters.into_iter().collect()
}

fn damage(letters: &mut Vec<char>, random: &mut Random) {
    let at = random.below(letters.len() + 1);
    let to = (at + random.below(30)).min(letters.len());
    match random.below(8) {
        0 => drop(letters.drain(at..to)),
        1 => {
            let piece: Vec<char> = letters[at..to].to_vec();
            let target = random.below(letters.len() + 1);
            drop(letters.splice(target..target, piece));
        }
        2 => drop(letters.splice(at..at, random.of(&PIECES).chars())),
        3 => letters.truncate(at.max(20)),
        _ => damage_lines(letters, random),
    }
}

/// Lines are exchanged, lost, repeated, or come from another file: most such texts can still be read.
fn damage_lines(letters: &mut Vec<char>, random: &mut Random) {
    let text: String = letters.iter().collect();
    let mut lines: Vec<&str> = text.lines().collect();
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    let foreign: Vec<&str> = FILES[random.below(FILES.len())].text.lines().collect();
    match random.below(4) {
        _ if lines.is_empty() => {}
        0 => lines.swap(one, other),
        1 => drop(lines.remove(one)),
        2 => lines.insert(one, lines[other]),
        _ => lines.insert(one, random.of(&foreign)),
    }
    *letters = lines.join("\n").chars().collect();
}
