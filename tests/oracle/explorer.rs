//! Our explorer's answer.
//!
//! Invariant: only what a user of the crate sees is used: a text goes in, a verdict comes out.

use ordering::engine::{self, Options, Reductions, Verdict};
use ordering::{language, lowering};

use super::spin::Answer;

/// What a search may look at before it is too large for Spin, too.
pub(super) fn decide(source: &str, reductions: Reductions) -> Result<(Answer, String), String> {
    let loaded = lowering::load(source).map_err(|found| language::render_all(&found, "random", source))?;
    let [(_, lowered)] = &loaded[..] else { return Err("it is one scenario".to_owned()) };
    let packed = engine::compile(&lowered.model).map_err(|error| format!("{error:?}"))?;
    let options = Options { reductions, ..Options::default() };
    match engine::explore(&packed, &options).verdict {
        Verdict::Proved => Ok((Answer::NotViolated, "proved".to_owned())),
        Verdict::Violated { property, trace, .. } => {
            let text = &lowered.model.properties[usize::from(property.0)].text;
            Ok((Answer::Violated(trace.steps.len()), text.clone()))
        }
        Verdict::BoundHit { .. } => Err("the explorer gave up".to_owned()),
    }
}
