//! The weakest order and what happens without each of its needs, for whoever draws it.
//!
//! Invariant: what is drawn is what is printed: the variants are put below the scenarios of the file and read again, and
//! their traces are replayed.

use ordering::language::syntax::Scenario;
use ordering::lowering::{Lowered, load, replay};
use ordering::minimize::{Refusal, Refused, Weakest};
use picture::report::{Report as Drawn, Tone};
use picture::timeline::Timeline;

use super::report::Report;
use crate::command::drawn;
use crate::command::files::Source;
use crate::command::pictures::Pictures;

/// Draws everything that was found.
pub(super) fn draw(
    pictures: &mut Pictures,
    source: &Source,
    scenario: &Scenario,
    weakest: &Weakest,
    report: &Report,
) {
    let refused: Vec<(&Refused, String)> = refused(weakest).collect();
    let text = refused.iter().fold(source.text.clone(), |text, (_, variant)| format!("{text}\n\n{variant}"));
    let order = Drawn {
        verdict: "PROVED".to_owned(),
        tone: Tone::Good,
        detail: "the weakest order".to_owned(),
        remarks: report.sentences(),
        ..drawn::of(&source.name, scenario)
    };
    pictures.add_of(&source.name, &text, order);
    // What is printed can be read again: that is its invariant.
    let Ok(loaded) = load(&text) else { return };
    for (refused, _) in refused {
        let named = loaded.iter().find(|(variant, _)| variant.name.node == refused.name);
        if let Some(drawn) = named.and_then(|(variant, lowered)| violated(source, &text, variant, lowered)) {
            let about = format!("without a need of {}: {}", scenario.name.node, order_of(refused));
            pictures.add_of(&source.name, &text, Drawn { about: Some(about), ..drawn });
        }
    }
}

/// The orders that break a property, each with its scenario and its trace as they are printed.
fn refused(weakest: &Weakest) -> impl Iterator<Item = (&Refused, String)> {
    let needs = weakest.sets.iter().flat_map(|set| &set.needs);
    needs.filter_map(|bond| bond.without.as_ref()).filter_map(|refused| match &refused.refusal {
        Refusal::Violated { trace, .. } => Some((refused, format!("{}{trace}", refused.variant.as_ref()?))),
        Refusal::OtherJob(_) | Refusal::Meaningless(_) | Refusal::BoundHit => None,
    })
}

fn order_of(refused: &Refused) -> String {
    let rows: Vec<String> = refused.order.iter().map(|row| (row + 1).to_string()).collect();
    format!("the steps in the order {}", rows.join(", "))
}

fn violated(source: &Source, text: &str, variant: &Scenario, lowered: &Lowered) -> Option<Drawn> {
    let replayed = replay(&lowered.model, &variant.trace, text).ok()?;
    let run = Timeline::new(lowered, &replayed.trace, replayed.broken);
    Some(Drawn {
        verdict: "VIOLATED".to_owned(),
        tone: Tone::Bad,
        detail: format!("in {} steps", run.run()),
        title: "What happens without it".to_owned(),
        run: Some(run),
        ..drawn::of(&source.name, variant)
    })
}
