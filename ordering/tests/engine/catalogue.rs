//! The catalogue's scenarios, by the engine and by the plain explorer.

use ordering::catalogue::FILES;
use ordering::engine::{Options, Reductions, Verdict, compile, explore};
use ordering::language::render_all;
use ordering::lowering::load;

use crate::naive;

/// States of a scenario at most.
const MOST: usize = 400_000;

#[test]
fn the_engine_agrees_with_the_plain_explorer_on_the_whole_catalogue() {
    for file in FILES {
        let loaded =
            load(file.text).unwrap_or_else(|wrong| panic!("{}", render_all(&wrong, file.path, file.text)));
        for (_, lowered) in loaded {
            let name = &lowered.name;
            let packed = compile(&lowered.model).unwrap_or_else(|error| panic!("{name}: {error}"));
            // What nothing depends on is no part of the engine's states.
            let plain = naive::explore(&naive::without_unread(&lowered.model), MOST)
                .unwrap_or_else(|| panic!("{name} has more than {MOST} states"));
            for reductions in [Reductions::ALL, Reductions::NONE] {
                let outcome = explore(&packed, &Options { reductions, ..Options::default() });
                let agrees = match (&outcome.verdict, plain.broken) {
                    (Verdict::Proved, None) => {
                        reductions == Reductions::ALL || outcome.statistics.states == plain.states
                    }
                    (Verdict::Violated { property, trace, .. }, Some(broken)) => {
                        (trace.steps.len(), *property) == broken
                    }
                    (Verdict::Proved | Verdict::Violated { .. } | Verdict::BoundHit { .. }, _) => false,
                };
                assert!(agrees, "{name}: {reductions:?}, {outcome:?}, {plain:?}");
            }
        }
    }
}
