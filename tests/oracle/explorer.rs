//! Our explorer's answer.
//!
//! Invariant: only what a user of the crate sees is used: a text goes in, a verdict comes out.

use ordering::engine::{self, Options, Reductions, Verdict};
use ordering::{language, lowering};

use super::spin::Answer;

/// What the explorer finds.
pub(super) struct Found {
    pub(super) answer: Answer,
    /// The property that is broken, or `proved`.
    pub(super) property: String,
}

/// Why it finds nothing.
pub(super) enum Trouble {
    /// The language does not accept the scenario.
    Refused(String),
    GaveUp,
}

pub(super) fn decide(source: &str) -> Result<Found, Trouble> {
    let loaded = lowering::load(source)
        .map_err(|found| Trouble::Refused(language::render_all(&found, "random", source)))?;
    let [(_, lowered)] = &loaded[..] else { panic!("the text is one scenario") };
    let packed = engine::compile(&lowered.model).expect("a small scenario fits");
    // All of them: a small scenario is over before it is asked whether they pay.
    let options = Options { reductions: Reductions::ALL, ..Options::default() };
    match engine::explore(&packed, &options).verdict {
        // Whoever adds a verdict says here whether it is a violation.
        Verdict::Proved => Ok(Found { answer: Answer::NotViolated, property: "proved".to_owned() }),
        Verdict::Violated { property, trace, .. } => {
            let property = lowered.model.properties[usize::from(property.0)].text.clone();
            Ok(Found { answer: Answer::Violated(trace.steps.len()), property })
        }
        Verdict::BoundHit { .. } => Err(Trouble::GaveUp),
    }
}
