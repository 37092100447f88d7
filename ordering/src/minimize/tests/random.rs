//! Small random scenarios, each with a program of three to five rows that move.
//!
//! Invariant: a seed gives the same scenarios on every machine. `AFTERIMAGE_MINIMIZE=first..last` names the seeds; a
//! failure prints the scenario.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::brute::{Order, compare, left, tried};
use crate::engine::Options;
use crate::language::parse;
use crate::language::syntax::Scenario;
use crate::lowering::load;
use crate::minimize::rows::rows;
use crate::minimize::{Limits, Shape, minimize};

/// Seeds if nobody asks for others.
const SEEDS: std::ops::Range<u64> = 0..200;

/// Rows that move.
const MOVING: &[&str] = &[
    "a = 1",
    "b = 1",
    "c = 1",
    "d = 1",
    "a = 1",
    "b = 1",
    "c = 1",
    "d = 1",
    "n += 1",
    "lock l",
    "unlock l",
    "pte_clear A",
    "set_pte A -> new rw",
    "set_pte A -> new ro",
    "flush_tlb A",
    "notify A",
    "put old",
    "copy old -> new",
    "when !e",
    "atomic { a = 1; b = 1 }",
];
/// Rows that stay.
const STAYING: &[&str] = &[
    "load A",
    "check !b else out",
    "if a: d = 1",
    "repeat 0..1: c = 1",
    "read old",
    "check pte(A) == old else out",
];
/// What others do: a pair that must not be seen, or one of two pairs.
const OBSERVERS: &[&str] = &[
    "if c && !a: e = 1",
    "if d && !(a && b): e = 1",
    "if a && !b: e = 1",
    "if a && !b && !c: e = 1",
    "if b && !c && !d: e = 1",
    "if (a && !b) && (c && !d): e = 1",
    "if d && !a && !c: e = 1",
    "if pte(A) == none && !a && !b: e = 1",
    "lock l; if a && !b: e = 1; unlock l",
    "load A",
    "if n > 0 && !c && !d: e = 1",
    "if pte(A) == none && c: e = 1",
    "if tlb(C1, A) == old && a: e = 1",
];
const PROPERTIES: &[&str] =
    &["finally !e", "finally !e", "finally !e", "always !(a && !d && !c)", "never G reads A == 0"];

/// Draws from a seed.
#[derive(Clone)]
struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

/// The scenario of a seed, the program of `K` in this order.
fn written(program: &[String], random: &mut Random) -> String {
    let mut text =
        "scenario random\npage A\nframe old = 5, new = 0\nmap A -> old rw\ncpu C0, C1, C2\ndevice DEV\n\
                    var a = 0..1, b = 0..1, c = 0..1, d = 0..1, e = 0..1\nvar n = 0..2\nagent K on C0\n"
            .to_owned();
    program.iter().for_each(|row| text.push_str(&format!("  {row}\n")));
    for (agent, at) in [("G", "C1"), ("H", "C2")].into_iter().take(1 + random.below(2)) {
        let spontaneous = if random.below(3) == 0 { "" } else { " spontaneous" };
        text.push_str(&format!("agent {agent} on {at}{spontaneous}\n  {}\n", random.of(OBSERVERS)));
    }
    if random.below(3) == 0 {
        text.push_str("agent DEV\n  repeat 0..1: dma_read A\n");
    }
    text.push_str(random.of(PROPERTIES));
    text.push_str("\noption unlock = off\noption range = off\n");
    text
}

/// The rows of `K`.
fn program(random: &mut Random) -> Vec<String> {
    let moving = [3, 3, 4, 4, 5][random.below(5)];
    let mut rows: Vec<String> = Vec::new();
    while rows.len() < moving {
        let row = random.of(MOVING).to_owned();
        // Twice the same would be the same order twice.
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    // At most some hundred orders.
    let staying = [0, 0, 1, 1, 2][random.below(5)].min(5 - moving);
    for _ in 0..staying {
        let at = random.below(rows.len() + 1);
        rows.insert(at, random.of(STAYING).to_owned());
    }
    if rows.iter().any(|row| row.ends_with("out")) {
        let last = rows.iter().rposition(|row| row.ends_with("out")).expect("there is one");
        let at = last + 1 + random.below(rows.len() - last);
        rows.insert(at, "out:".to_owned());
    }
    rows
}

fn limits() -> Limits {
    Limits { options: Options { max_states: 1_000_000, ..Options::default() }, singly: 200, at_once: 40_000 }
}

/// What became of the seeds.
#[derive(Default, Debug)]
struct Census {
    /// Wrong texts: an observer looks for what this program never does.
    unreadable: usize,
    /// No order of the rows is proved.
    refuted: usize,
    /// The program of the seed was put into another order, which is proved.
    reordered: usize,
    one: usize,
    several: usize,
    /// Programs that pass over rows.
    jumps: usize,
    /// Programs whose orders can only be judged one by one: a row may end where it could go on.
    open: usize,
    orders: usize,
    proved: usize,
}

#[test]
fn the_needs_of_random_programs_are_exactly_their_proved_orders_or_said_not_to_be() {
    let seeds = match std::env::var("AFTERIMAGE_MINIMIZE") {
        Ok(text) => {
            let (first, last) = text.split_once("..").expect("AFTERIMAGE_MINIMIZE is FIRST..LAST");
            first.parse().expect("a number")..last.parse().expect("a number")
        }
        Err(_) => SEEDS,
    };
    let mut census = Census::default();
    let count = usize::try_from(seeds.end - seeds.start).expect("few");
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| follow(seed, &mut census))) {
            eprintln!(
                "AFTERIMAGE_MINIMIZE={seed}..{} cargo test -p afterimage-ordering --lib minimize",
                seed + 1
            );
            resume_unwind(panic);
        }
    }
    println!("{census:?}");
    assert!(census.one * 4 >= count, "too few partial orders: {census:?}");
    assert!(census.several * 50 >= count, "too few that are none: {census:?}");
    assert!(census.jumps * 20 >= count, "too few programs that jump: {census:?}");
}

fn follow(seed: u64, census: &mut Census) {
    let mut random = Random::new(seed);
    let program = program(&mut random);
    let mut rest = random.clone();
    let source = written(&program, &mut random);
    let Ok(loaded) = load(&source) else {
        census.unreadable += 1;
        return;
    };
    let Some((order, _)) = proved(&loaded[0].0, &source) else {
        census.refuted += 1;
        return;
    };
    let own: Order = (0..order.len()).collect();
    census.reordered += usize::from(order != own);
    let lines = |row: &usize| rows(&loaded[0].0.agents[0])[*row].lines.clone();
    let program: Vec<String> = order.iter().flat_map(lines).collect();
    let source = written(&program, &mut rest);
    let scenario = parse(&source).scenarios.remove(0);
    let found = match minimize(&scenario, &source, "K", &limits()) {
        Ok(found) => found,
        Err(error) => panic!("seed {seed}: {error}: {error:?}\n{source}"),
    };
    let tried = tried(&scenario, &source, 0, &left(&found), &limits());
    compare(&found, &tried, &format!("seed {seed}:\n{source}"));
    census.orders += tried.all.len();
    census.proved += tried.proved.len();
    census.jumps += usize::from(program.iter().any(|row| row.ends_with("out")));
    census.open += usize::from(program.iter().any(|row| row.starts_with("repeat")));
    match found.shape {
        Shape::One => census.one += 1,
        Shape::Several { .. } => census.several += 1,
        Shape::Unknown => panic!("seed {seed}: not decided\n{source}"),
    }
}

/// The first proved order of all rows.
fn proved(scenario: &Scenario, source: &str) -> Option<(Order, usize)> {
    let count = rows(&scenario.agents[0]).len();
    let all: Order = (0..count).collect();
    let tried = tried(scenario, source, 0, &all, &limits());
    let best = if tried.proved.contains(&all) { Some(all) } else { tried.proved.first().cloned() };
    best.map(|order| (order, tried.proved.len()))
}
