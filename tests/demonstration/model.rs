//! What the model says of the demonstration's orders.
//!
//! Invariant: a verdict is the explorer's, of the text that the demonstration makes of an order; no limit is hit.

use std::fmt;

use mmu::trace::Agent;
use ordering::engine::{self, Options, Verdict};
use ordering::language::parse;
use ordering::language::syntax::Scenario;
use ordering::lowering::{load, lower, replay};
use vmm::demo::options::Trial;
use vmm::demo::scenario::OrderScenario;

/// What a user can meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pays {
    pub(crate) stale: bool,
    pub(crate) freed: bool,
}

/// What `user` can meet in the order.
pub(crate) fn pays(trial: &Trial, user: Agent) -> Pays {
    let stale = OrderScenario::new(trial).for_reader(user).where_freed_frames_are_used();
    // Alone, so that nobody else can use one.
    let freed = OrderScenario::of(trial, &[user]);
    Pays { stale: is_violated(&stale), freed: is_violated(&freed) }
}

fn is_violated(order: &OrderScenario<'_>) -> bool {
    let text = order.text();
    let (_, lowered) = load(&text).unwrap_or_else(|found| panic!("{text}{found:?}")).remove(0);
    let packed = engine::compile(&lowered.model).expect("a state has room in 128 bits");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Proved => false,
        Verdict::Violated { .. } => true,
        Verdict::BoundHit { what } => panic!("{text}{what:?}"),
    }
}

/// The rows of the trace of a scenario that can happen, and the property that the last of them breaks.
pub(crate) fn replayed(text: &str) -> (usize, Option<String>) {
    let mut file = parse(text);
    assert!(file.diagnostics.is_empty(), "{text}{:?}", file.diagnostics);
    let scenario = file.scenarios.remove(0);
    let bare = Scenario { trace: Vec::new(), ..scenario.clone() };
    let lowered = lower(&bare, text).expect("the scenario is right");
    let replayed =
        replay(&lowered.model, &scenario.trace, text).unwrap_or_else(|row| panic!("{text}{row:?}"));
    let property =
        |broken: ordering::model::PropertyId| lowered.model.properties[usize::from(broken.0)].text.clone();
    (replayed.trace.steps.len(), replayed.broken.map(property))
}

impl fmt::Display for Pays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.stale, self.freed) {
            (false, false) => "",
            (true, false) => "stale",
            (false, true) => "freed",
            (true, true) => "stale, freed",
        })
    }
}
