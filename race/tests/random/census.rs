//! What the random scenarios were about: a comparison of what never occurs shows nothing.

use std::collections::BTreeMap;

use ordering::language::OPTIONS;
use ordering::lowering::{Act, Deeds, Lowered};
use steps::entry::Bit;
use steps::table::STEPS;

/// How often what occurred.
#[derive(Default)]
pub(super) struct Census {
    verbs: BTreeMap<&'static str, usize>,
    options: BTreeMap<String, usize>,
    bits: BTreeMap<&'static str, usize>,
    pub(super) ran: usize,
    pub(super) refused: usize,
    /// Counterexamples that happened.
    pub(super) happened: usize,
    pub(super) rows: usize,
}

impl Census {
    pub(super) fn count(&mut self, lines: &[String], lowered: &Lowered) {
        self.ran += 1;
        let acts = lowered.deeds.iter().flat_map(Deeds::acts);
        let verbs = acts.filter_map(|act| if let Act::Step(step) = act { Some(step.verb()) } else { None });
        for verb in verbs {
            *self.verbs.entry(verb.name()).or_default() += 1;
        }
        for line in lines.iter().filter(|line| line.starts_with("option ")) {
            *self.options.entry(line.clone()).or_default() += 1;
        }
        for bit in Bit::ALL {
            if lowered.scene.entries.iter().any(|entry| entry.bits.has(bit)) {
                *self.bits.entry(bit.name()).or_default() += 1;
            }
        }
    }

    pub(super) fn assert_that_everything_occurs(&self) {
        let values = |(name, values, _): &(&str, &[&str], &str)| -> Vec<String> {
            values.iter().map(|value| format!("option {name} = {value}")).collect()
        };
        let mut missing: Vec<String> = OPTIONS.iter().flat_map(values).collect();
        missing.retain(|option| !self.options.contains_key(option));
        let verbs = STEPS.iter().map(|row| row.verb.name());
        missing.extend(verbs.filter(|verb| !self.verbs.contains_key(verb)).map(str::to_owned));
        let bits = Bit::ALL.iter().map(|bit| bit.name());
        missing.extend(bits.filter(|bit| !self.bits.contains_key(bit)).map(str::to_owned));
        assert!(missing.is_empty(), "no random scenario has {missing:?}; change what is drawn");
        assert!(self.refused * 4 < self.ran, "{} scenarios are refused, {} ran", self.refused, self.ran);
        assert!(self.rows > self.ran * 10, "{} rows of {}: they end before they begin", self.rows, self.ran);
    }

    pub(super) fn print(&self) {
        let Self { ran, refused, happened, rows, .. } = self;
        println!("{ran} ran, {refused} refused, {happened} counterexamples happened, {rows} rows");
        println!("{:?}\n{:?}\n{:?}", self.verbs, self.options, self.bits);
    }
}
