//! `cow-n` as a scenario, as users write it, beside the model that was written by hand: states and time of proofs,
//! unreduced proofs and counterexamples, for more and more pages, devices and reads.
//!
//! Run: `cargo bench -p afterimage-ordering --bench sizes`. Times include reading and packing, and are the best of a
//! few. Without `--bench` each row runs once, with fewer states. Compare columns of one run, not runs.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{Options, Outcome, Reductions, Verdict, compile, explore};
use ordering::lowering::load;
use ordering::model::Model;

mod text;

use text::text;

/// Pages, devices and reads.
const SIZES: [[u16; 3]; 11] = [
    [1, 1, 1],
    [2, 1, 2],
    [3, 1, 3],
    [3, 2, 3],
    [4, 1, 3],
    [4, 2, 2],
    [4, 2, 3],
    [4, 2, 4],
    [4, 3, 3],
    [5, 2, 4],
    [5, 3, 4],
];

/// A search is repeated until so much time is over.
const ENOUGH: Duration = Duration::from_millis(200);
/// States of a search at most, measured and not.
const MEASURED: usize = 11_000_000;
const ONCE: usize = 1 << 16;

fn main() {
    let run = if std::env::args().any(|argument| argument == "--bench") {
        Run { most: MEASURED, enough: ENOUGH }
    } else {
        Run { most: ONCE, enough: Duration::ZERO }
    };
    say(&format!(
        "{:14} {:>5} | {:>9} {:>9} {:>5} | {:>9} {:>9} | {:>8}",
        "cow-n", "N-D-K", "a file", "ms", "parts", "by hand", "ms", "time"
    ));
    SIZES.iter().for_each(|&size| run.row("proof", size, Order::NotifyFirst, Reductions::PAYING));
    for size in [[2, 1, 2], [3, 2, 3], [4, 2, 3]] {
        run.row("unreduced", size, Order::NotifyFirst, Reductions::NONE);
    }
    for size in [[2, 1, 2], [4, 2, 3], [5, 3, 4]] {
        run.row("counterexample", size, Order::NotifyLast, Reductions::PAYING);
    }
}

fn say(line: &str) {
    writeln!(stdout(), "{line}").expect("the output takes a line");
}

/// How far to go.
#[derive(Clone, Copy)]
struct Run {
    most: usize,
    enough: Duration,
}

impl Run {
    fn row(self, what: &str, [pages, devices, reads]: [u16; 3], order: Order, reductions: Reductions) {
        let size = Size { pages, devices, reads };
        let source = text(size, order);
        let lowered = || load(&source).expect("the text is read").pop().expect("it has a scenario").1.model;
        let (file, quick) = self.best(lowered, reductions);
        let (hand, slow) = self.best(|| cow_n(size, order), reductions);
        for outcome in [&file, &hand] {
            let broken = matches!(outcome.verdict, Verdict::Violated { .. });
            let open = matches!(outcome.verdict, Verdict::BoundHit { .. });
            assert!(open || broken == (order == Order::NotifyLast), "{what} {size:?}: {:?}", outcome.verdict);
        }
        say(&format!(
            "{what:14} {pages}-{devices}-{reads} | {} {:>9.2} {:>5} | {} {:>9.2} | {:>7.3}x",
            states(&file),
            quick.as_secs_f64() * 1e3,
            file.statistics.parts,
            states(&hand),
            slow.as_secs_f64() * 1e3,
            quick.as_secs_f64() / slow.as_secs_f64(),
        ));
    }

    fn best(self, model: impl Fn() -> Model, reductions: Reductions) -> (Outcome, Duration) {
        let options = Options { reductions, max_states: self.most, ..Options::default() };
        let once = || {
            let begun = Instant::now();
            let packed = compile(&model()).expect("cow-n fits into a word");
            (explore(&packed, &options), begun.elapsed())
        };
        let begun = Instant::now();
        let mut best = once();
        while begun.elapsed() < self.enough {
            best.1 = best.1.min(once().1);
        }
        best
    }
}

/// With a sign where there are more.
fn states(outcome: &Outcome) -> String {
    let more = if matches!(outcome.verdict, Verdict::BoundHit { .. }) { '>' } else { ' ' };
    format!("{more}{:>8}", outcome.statistics.states)
}
