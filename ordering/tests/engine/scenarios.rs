//! Random scenarios: texts with choices, upper entries, loops, locks and every kind of property, lowered and explored
//! with reductions and without, and held against the plain explorer.
//!
//! Invariant: verdict, length, property, the statements that no order takes, whether an order ends and whether one goes
//! round for ever are the same for all. `AFTERIMAGE_FUZZ_SCENARIOS=FROM..TO` sets the seeds; a failure prints its text.

use std::fmt::Write as _;

use ordering::engine::{Options, PersistentSets, Reduction, Reductions, Verdict, compile, explore};
use ordering::language::render_all;
use ordering::lowering::load;
use ordering::model::Check;

use crate::naive;
use crate::random::Random;

/// Seeds unless told otherwise.
const SEEDS: std::ops::Range<u64> = 0..300;
/// Larger scenarios are passed over.
const STATES: usize = 6_000;

/// What the scenarios were like, so that the test cannot become vacuous.
#[derive(Default, Debug)]
struct Census {
    explored: u64,
    violated: u64,
    proved: u64,
    /// Proved, with a statement that no order takes.
    untaken: u64,
    /// Where persistent sets alone had not seen a statement that some order takes, or saw fewer states.
    reduced: u64,
    livelocks: u64,
    /// By feature: in a scenario that was explored.
    choices: u64,
    uppers: u64,
    tags: u64,
    loops: u64,
}

#[test]
fn a_random_scenario_has_one_answer_however_it_is_explored() {
    let seeds = std::env::var("AFTERIMAGE_FUZZ_SCENARIOS").ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let seeds = seeds.unwrap_or(SEEDS);
    let count = seeds.end - seeds.start;
    let mut census = Census::default();
    for seed in seeds {
        compare(seed, &mut census);
    }
    println!("{census:?}");
    assert!(census.explored * 10 >= count * 8, "most must be small enough: {census:?}");
    for (what, found) in [
        ("violated", census.violated),
        ("proved", census.proved),
        ("untaken", census.untaken),
        ("reduced", census.reduced),
        ("livelocks", census.livelocks * 4),
        ("choices", census.choices),
        ("uppers", census.uppers),
        ("tags", census.tags * 2),
        ("loops", census.loops),
    ] {
        assert!(found * 12 >= count, "too few are {what}: {census:?}");
    }
}

fn compare(seed: u64, census: &mut Census) {
    let text = text(seed);
    let (_, lowered) = match load(&text) {
        Ok(mut loaded) => loaded.remove(0),
        Err(wrong) => panic!("seed {seed}:\n{text}\n{}", render_all(&wrong, "random.scn", &text)),
    };
    let model = &lowered.model;
    let Some(expected) = naive::explore(model, STATES) else { return };
    let packed = compile(model).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    census.explored += 1;
    census.choices += u64::from(text.contains(" | "));
    census.uppers += u64::from(text.contains("pmd_"));
    census.tags += u64::from(text.contains("switch "));
    census.loops += u64::from(text.contains("again"));
    let asked = PersistentSets::Asked { at: 1 << (seed / 8 % 10) };
    let persistent_sets = if (seed / 4).is_multiple_of(2) { PersistentSets::On } else { asked };
    let other = Reductions { liveness: on(seed), symmetry: on(seed / 2), persistent_sets };
    for reductions in [Reductions::ALL, Reductions::NONE, Reductions::PAYING, other] {
        let outcome = explore(&packed, &Options { reductions, ..Options::default() });
        let context = format!("seed {seed}, {reductions:?}\n{text}");
        match (&outcome.verdict, expected.broken) {
            (Verdict::Proved, None) => {
                let coverage = outcome.coverage.as_ref().expect("a proof says what runs do");
                assert!(coverage.complete, "{context}");
                assert_eq!((&coverage.unseen, coverage.end), (&expected.unseen, expected.end), "{context}");
            }
            (Verdict::Violated { property, trace, .. }, Some(broken)) => {
                assert_eq!((trace.steps.len(), *property), broken, "{context}");
                let livelock = model.properties[usize::from(property.0)].check == Check::Livelock;
                assert_eq!(trace.round.is_some(), livelock, "{context}");
            }
            (verdict, expected) => panic!("{verdict:?}, expected {expected:?}\n{context}"),
        }
        census.reduced +=
            u64::from(reductions == Reductions::ALL && outcome.statistics.states < expected.states);
    }
    let livelock = |(_, property): (usize, ordering::model::PropertyId)| {
        model.properties[usize::from(property.0)].check == Check::Livelock
    };
    census.livelocks += u64::from(expected.broken.is_some_and(livelock));
    census.violated += u64::from(expected.broken.is_some());
    census.proved += u64::from(expected.broken.is_none());
    census.untaken += u64::from(expected.broken.is_none() && !expected.unseen.is_empty());
}

fn on(bits: u64) -> Reduction {
    if bits & 1 == 1 { Reduction::On } else { Reduction::Off }
}

/// A scenario with upper entries, or one without.
pub(crate) fn text(seed: u64) -> String {
    let random = &mut Random::new(seed ^ 0x005c_e9a1);
    let uppers = random.below(2) == 0;
    let mut text = String::from("scenario random\n");
    let tags = !uppers && seed.is_multiple_of(3);
    text += match (uppers, tags) {
        (true, _) => "page A under M\ntable T\n",
        (false, true) => "mm P, Q\ntag X, Y\npage A in P, B in Q at A\noption deadlock = off\n",
        (false, false) => "page A\n",
    };
    text += "frame f = 0, g = 1\n";
    text += if uppers { "pmd M -> T\nmap A -> f rw\n" } else { "map A -> f rw\n" };
    text += if tags { "map B -> g rw\ncpu C0 in P tag X, C1 in Q tag X\n" } else { "cpu C0, C1\ndevice D\n" };
    text += "var x = 0..2, y = 0..1\n";
    for option in ["evict = off", "walk = split", "inv_drains = off", "deadlock = off", "walk_unlinked = off"]
    {
        if random.below(4) == 0 && !(tags && option == "deadlock = off") {
            let _ = writeln!(text, "option {option}");
        }
    }
    let program = Program { uppers, tags, random };
    program.write(&mut text);
    text
}

/// Steps of CPUs with tags.
const TAGGED: [&str; 9] = [
    "switch P tag X",
    "switch Q tag X",
    "switch Q tag Y",
    "switch P tag X flush",
    "flush_tag X",
    "flush_tag Y own",
    "flush_tlb A tag X others",
    "load B",
    "store B = 1",
];

struct Program<'r> {
    uppers: bool,
    tags: bool,
    random: &'r mut Random,
}

impl Program<'_> {
    fn write(mut self, text: &mut String) {
        for (agent, on) in [("a", "C0"), ("b", "C1")] {
            let spontaneous = if self.random.below(4) == 0 { " spontaneous" } else { "" };
            let _ = writeln!(text, "agent {agent} on {on}{spontaneous}");
            self.body(text);
        }
        if self.random.below(3) == 0 && !self.tags {
            text.push_str("agent D\n  repeat 0..2: dma_read A\n");
        }
        for _ in 0..=self.random.below(2) {
            let property = self.pick(&[
                "finally x == 0 || y == 1",
                "finally x != 2",
                "finally pte(A) == f || pte(A) == g || !pte(A)",
                "always x != 2 || y == 0",
                "never reads A == 0 after x = 1",
                "never b reads A after a x = 2",
                "never deadlock",
            ]);
            if !text.contains(property) && exists(property, text) {
                let _ = writeln!(text, "{property}");
            }
        }
    }

    /// A few rows, sometimes with a way back to the first.
    fn body(&mut self, text: &mut String) {
        let back = self.random.below(3) == 0;
        if back {
            text.push_str("again:\n");
        }
        let locked = self.random.below(3) == 0;
        if locked {
            text.push_str("  lock l\n");
        }
        for _ in 0..2 + self.random.below(3) {
            let _ = writeln!(text, "  {}", self.row());
        }
        if locked {
            text.push_str("  unlock l\n");
        }
        if back {
            let _ = writeln!(
                text,
                "  {}",
                self.pick(&[
                    "check x == 1 else again",
                    "check y == 0 else again",
                    "if x < 2: goto again",
                    "goto again",
                    "when y == 1; goto again",
                ])
            );
        }
    }

    fn row(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("{} | {}", self.step(), self.step()),
            1 => format!("if {}: {}", self.condition(), self.step()),
            2 => format!("when {}", self.condition()),
            3 => format!("repeat 0..2: {}", self.step()),
            4 => {
                format!("atomic {{ {}; {} }}", self.pick(&["y = 1", "y = 0"]), self.pick(&["x = 1", "x = 2"]))
            }
            _ => self.step().to_owned(),
        }
    }

    fn condition(&mut self) -> &'static str {
        let upper: &[&str] = if self.uppers { &["pmd(M) == T", "!pmd(M)"] } else { &[] };
        let plain = ["x == 0", "x == 1", "y == 1", "pte(A) == f", "pte(A) == g", "!pte(A)"];
        let tags: &[&str] = if self.tags { &["loaded_mm(C0) == Q", "tlb(C0, A, X)"] } else { &[] };
        let all = [&plain, upper, tags].concat();
        self.pick(&all)
    }

    fn step(&mut self) -> &'static str {
        let upper: &[&str] = if self.uppers {
            &["pmd_clear M", "set_pmd M -> T", "flush_pmd M", "pmd_read M", "gup_fast A leaf => h"]
        } else {
            &[]
        };
        let plain = [
            "load A",
            "store A = 1",
            "pte_clear A",
            "set_pte A -> g rw",
            "set_pte A -> f ro",
            "flush_tlb A",
            "x = 1",
            "x = 2",
            "x = 0",
            "y = 1",
            "y = 0",
            "notify A",
            "pte_read A",
            "walk A",
        ];
        let tags: &[&str] = if self.tags { &TAGGED } else { &[] };
        let all = [&plain, upper, tags].concat();
        self.pick(&all)
    }

    fn pick(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.random.below(texts.len())]
    }
}

/// Whether the events of a property occur in the programs: one that never can is an error.
fn exists(property: &str, text: &str) -> bool {
    let (a, b) = text.split_once("agent b").unwrap_or((text, ""));
    match property {
        "never deadlock" => !text.contains("deadlock = off"),
        "never reads A == 0 after x = 1" => {
            (text.contains("load A") || text.contains("dma_read A")) && text.contains("x = 1")
        }
        "never b reads A after a x = 2" => {
            b.split("agent D").next().is_some_and(|b| b.contains("load A")) && a.contains("x = 2")
        }
        _ => true,
    }
}
