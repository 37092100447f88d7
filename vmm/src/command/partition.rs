//! A part of what there is to check: `K/N`, of all scenarios of all files in their order every Nth from the Kth on.
//!
//! Invariant: each scenario is in exactly one of N parts, which one depends on the files alone, and N parts that
//! are put together by turns are all scenarios in their order.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::files::Source;

/// Parts at most.
const MOST: usize = 1 << 20;
/// Scenarios of all parts at most: more than files of any size hold.
const MOST_SCENARIOS: usize = 1 << 40;

/// Which part of how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Partition {
    /// From 1.
    index: usize,
    of: usize,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let accepted = numbers.filter(|&(index, of)| (1..=MOST).contains(&of) && (1..=of).contains(&index));
        let (index, of) = accepted.ok_or_else(|| "give K/N, such as 1/4, 2/4, 3/4 and 4/4".to_owned())?;
        Ok(Self { index, of })
    }
}

/// Deals scenarios to parts by turns.
#[derive(Debug)]
pub(super) struct Dealt {
    partition: Option<Partition>,
    /// Scenarios that were dealt.
    count: usize,
}

impl Dealt {
    /// To this part, or to the only one.
    pub(super) const fn to(partition: Option<Partition>) -> Self {
        Self { partition, count: 0 }
    }

    /// Whether the next scenario is in the part.
    pub(super) const fn takes_next(&mut self) -> bool {
        let before = self.count;
        self.count += 1;
        match self.partition {
            Some(Partition { index, of }) => before % of == index - 1,
            None => true,
        }
    }

    /// The number of the last one that was dealt, from 1.
    pub(super) const fn number(&self) -> usize {
        self.count
    }

    /// What tells parts of one whole from others; `options` are those that an answer depends on.
    pub(super) fn part(&self, sources: &[Source], options: &str) -> Option<Part> {
        let Partition { index, of } = self.partition?;
        let mut hash = Xxh3Default::new();
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        for Source { name, text, only, path: _ } in sources {
            [name, text, only.as_deref().unwrap_or_default()].into_iter().for_each(&mut add);
        }
        add(options);
        let inputs = format!("{:032x}", hash.digest128());
        let files = sources.iter().map(Content::of).collect();
        Some(Part { index, of, scenarios: self.count, inputs, files })
    }
}

/// Which part of what, as a report says it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// From 1.
    pub(super) index: usize,
    pub(super) of: usize,
    /// In all parts together; fewer if the host did not let this one finish.
    pub(super) scenarios: usize,
    /// The same if and only if files and options are the same.
    pub(super) inputs: String,
    /// What was read; nothing in reports of an older afterimage.
    #[serde(default)]
    pub(super) files: Vec<Content>,
}

/// What a file held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// As it is shown.
    pub(super) file: String,
    /// 128 bits in hexadecimal.
    xxh3: String,
}

impl Content {
    fn of(source: &Source) -> Self {
        Self { file: source.name.clone(), xxh3: format!("{:032x}", xxh3_128(source.text.as_bytes())) }
    }
}

impl Part {
    /// Whether a check can have made it: a file may say anything.
    pub(super) fn is_possible(&self) -> bool {
        (1..=MOST).contains(&self.of)
            && (1..=self.of).contains(&self.index)
            && self.scenarios <= MOST_SCENARIOS
    }

    /// Whether the scenario with this number, from 1, is in this part.
    pub(super) fn has(&self, number: usize) -> bool {
        (1..=self.scenarios).contains(&number) && (number - 1) % self.of == self.index - 1
    }

    /// How many of this many scenarios in all parts are this part's.
    pub(super) const fn own(&self, scenarios: usize) -> usize {
        (scenarios + self.of - self.index) / self.of
    }
}
