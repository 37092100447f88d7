//! The explorer: more states, and more scenarios.
//!
//! Invariant: the size is what was explored, as the explorer counts it; each is a proof.

use ordering::catalogue::entries;
use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{Options, Reductions, compile, explore};
use tests_support::measure::fit::Law;
use tests_support::measure::round::turn;

use crate::curve::{Curve, Work};

/// States of cow-n that nobody leaves out, with its size.
const SIZES: [(u64, Size); 5] = [
    (279, Size { pages: 1, devices: 1, reads: 2 }),
    (2561, Size { pages: 2, devices: 1, reads: 2 }),
    (1_319_494, Size { pages: 3, devices: 2, reads: 3 }),
    (10_551_666, Size { pages: 4, devices: 2, reads: 3 }),
    (26_683_777, Size { pages: 4, devices: 2, reads: 4 }),
];

pub(crate) fn curves() -> Vec<Curve> {
    vec![
        Curve {
            name: "states",
            what: "cow-n, every state",
            size: "states",
            should_be: Law::Linear,
            sizes: &[279, 2561, 1_319_494, 10_551_666, 26_683_777],
            small: 3,
            at: states,
        },
        Curve {
            name: "catalogue",
            what: "the first scenarios of the catalogue, explored",
            size: "scenarios",
            should_be: Law::Linear,
            sizes: &[8, 16, 32, 64, 128, 256],
            small: 4,
            at: scenarios,
        },
    ]
}

fn states(states: u64) -> Work {
    let (_, size) = *SIZES.iter().find(|(known, _)| *known == states).expect("sizes of the curve are listed");
    let model = cow_n(size, Order::NotifyFirst);
    let options = Options { reductions: Reductions::NONE, max_states: 1 << 28, ..Options::default() };
    Box::new(move || {
        let turn =
            turn(1, || explore(&compile(&model).expect("cow-n fits"), &options).statistics.states as u64);
        assert_eq!(turn.checksum, states, "cow-n has other states than it had");
        turn
    })
}

fn scenarios(count: u64) -> Work {
    let chosen: Vec<_> = entries().into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
    Box::new(move || {
        turn(1, || {
            let explored = chosen.iter().map(|entry| {
                let packed = compile(&entry.lowered.model).expect("the catalogue fits");
                explore(&packed, &Options::default()).statistics.states as u64
            });
            explored.sum()
        })
    })
}
