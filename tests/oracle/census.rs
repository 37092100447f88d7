//! What the random scenarios were about: a comparison of what never occurs shows nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::agreement::Outcome;
use super::setting::Scenario;
use super::spin::Answer;

/// What must occur, as it is written.
const WANTED: [&str; 77] = [
    "evict = off",
    "walk = split",
    "flush = split",
    "flush = ipi",
    "inv_drains = off",
    "ats_drains = off",
    "queue = ordered",
    "memory = tso",
    "speculation = on",
    "deadlock = off",
    "range = off",
    "use_after_free = off",
    "unlock = off",
    "walk_unlinked = off",
    "pmd M1",
    "device D0 ats",
    "pasid X",
    "under M0",
    " walk ",
    " load ",
    " store ",
    " dma_read ",
    " dma_write ",
    "flush_tlb ",
    "flush_tlb_mm ",
    "flush_pmd ",
    " notify ",
    "iotlb_inv ",
    "devtlb_inv ",
    " leaf",
    " post",
    "inv_wait",
    "set_pasid ",
    " pasid_inv ",
    "iotlb_inv_pasid ",
    "page_request ",
    "page_response ",
    "drain_requests",
    "notify_start ",
    "notify_end ",
    "change_pte ",
    "zap_spte ",
    "set_spte ",
    "flush_vcpus ",
    "pmd_clear ",
    "set_pmd ",
    "huge",
    "fence",
    "gup_fast ",
    "try_get ",
    " pin",
    "unpin ",
    " dirty",
    " young",
    "migration ",
    "atomic ",
    "goto ",
    "check ",
    "when ",
    "repeat ",
    " | ",
    "trylock ",
    " shared",
    "alloc ",
    "unmap ",
    "ipi_sync",
    "irq_off",
    "synchronize_rcu",
    "ptep_clear_flush",
    "cpu C0 in ",
    " at A",
    "switch ",
    " flush\n",
    "flush_tag ",
    " others",
    " own",
    "flush_tlb A on C",
];

/// What is rare by nature, and must occur at least `OFTEN` times.
const RARE: [&str; 4] = ["drain_requests", "page_response ", "fence", " leaf"];
const OFTEN: usize = 5;

/// What must occur among the properties.
const PROPERTIES: [&str; 4] = ["always ", "finally ", " after ", " until "];

/// How often what occurred.
#[derive(Default)]
pub(super) struct Census {
    words: BTreeMap<&'static str, usize>,
    /// The properties that were broken, built in or not.
    broken: BTreeMap<String, usize>,
    refused: BTreeMap<String, (usize, u64)>,
    violated: usize,
    not_violated: usize,
    disagreed: usize,
}

impl Census {
    pub(super) fn count(&mut self, seed: u64, scenario: &Scenario, said: &Outcome) {
        match said {
            Outcome::Refused(why) => {
                let first = why.lines().next().expect("a diagnostic says something");
                let kind = first.split('`').step_by(2).collect::<Vec<_>>().join("…");
                let (count, last) = self.refused.entry(kind).or_insert((0, seed));
                *count += 1;
                *last = seed;
                return;
            }
            Outcome::Disagreed { .. } => self.disagreed += 1,
            Outcome::Agreed { answer: Answer::NotViolated, .. } => self.not_violated += 1,
            Outcome::Agreed { answer: Answer::Violated(_), property } => {
                self.violated += 1;
                let built_in = ["use", "walk", "unlock", "deadlock", "out"]
                    .into_iter()
                    .find(|word| property.starts_with(&format!("never {word}")) && !property.contains('='));
                let kind = built_in.map_or_else(|| own(property), |_| property.clone());
                *self.broken.entry(kind).or_insert(0) += 1;
            }
        }
        let text = scenario.to_string();
        for word in WANTED.into_iter().chain(PROPERTIES).filter(|word| text.contains(word)) {
            *self.words.entry(word).or_insert(0) += 1;
        }
    }

    pub(super) fn assert_that_everything_occurs(&self) {
        let missing: Vec<_> =
            WANTED.into_iter().chain(PROPERTIES).filter(|word| !self.words.contains_key(word)).collect();
        assert!(missing.is_empty(), "no random scenario says {missing:?}; change what is drawn");
        let rare: Vec<_> = RARE.into_iter().filter(|word| self.words[word] < OFTEN).collect();
        assert!(rare.is_empty(), "fewer than {OFTEN} random scenarios say {rare:?}; change what is drawn");
        let refused: usize = self.refused.values().map(|(count, _)| count).sum();
        let decided = self.violated + self.not_violated;
        assert!(refused * 4 < decided, "{refused} scenarios are refused, {decided} are not\n{self}");
        let least = decided / 6;
        assert!(self.violated > least && self.not_violated > least, "one verdict is rare\n{self}");
    }
}

/// The kind of a property that a scenario says itself.
fn own(property: &str) -> String {
    let first = property.split(' ').next().expect("a property has words");
    let after = [" after ", " until "].into_iter().filter(|word| property.contains(word)).collect::<String>();
    format!("{first} …{after}")
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { violated, not_violated, disagreed, .. } = self;
        write!(f, "{violated} violated, {not_violated} not, {disagreed} in dispute")?;
        self.broken.iter().try_for_each(|(property, count)| write!(f, "; {count} {property}"))?;
        for (why, (count, seed)) in &self.refused {
            write!(f, "; {count} refused: {why} (seed {seed})")?;
        }
        self.words.iter().try_for_each(|(word, count)| write!(f, "; {}: {count}", word.trim()))
    }
}
