//! What scenarios mean, apart from where it stands.
//!
//! Invariant: two files of which this is the same differ in places, in blanks, and in remarks.

use super::super::syntax::Scenario;

/// The beginning of a place, as it is printed.
const PLACE: &str = "Span{";

/// All that is said, in one line without places and blanks.
pub(super) fn of(scenarios: &[Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        let mut scenario = scenario.clone();
        // What rows say stands in the programs that they were read as.
        for agent in &mut scenario.agents {
            agent.rows.clear();
            agent.unfolded = None;
        }
        scenario.trace.iter_mut().for_each(|row| row.indent = 0);
        text.extend(format!("{scenario:?}").chars().filter(|letter| !letter.is_whitespace()));
    }
    without_places(&text)
}

fn without_places(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, place)) = rest.split_once(PLACE) {
        kept.push_str(before);
        rest = place.split_once('}').map_or("", |(_, behind)| behind);
    }
    kept + rest
}
