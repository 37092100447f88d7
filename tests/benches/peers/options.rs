//! What is asked for on the command line.
//!
//! Invariant: a word that means nothing is an error that lists those that do. `--bench` is what cargo adds when times
//! are wanted.

use std::path::PathBuf;

use tests_support::measure::round::{Effort, ROUNDS};

/// A part of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Iotlb,
    Walk,
    Invalidate,
    Dma,
    Virtio,
    Notifier,
    Ksm,
    Explorer,
    Start,
    Boot,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) effort: Effort,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
}

impl Part {
    pub(crate) const ALL: [(&'static str, Self); 10] = [
        ("iotlb", Self::Iotlb),
        ("walk", Self::Walk),
        ("invalidate", Self::Invalidate),
        ("dma", Self::Dma),
        ("virtio", Self::Virtio),
        ("notifier", Self::Notifier),
        ("ksm", Self::Ksm),
        ("explorer", Self::Explorer),
        ("start", Self::Start),
        ("boot", Self::Boot),
    ];
}

impl Options {
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { parts: Vec::new(), effort: Effort::Once, json: None, svg: None };
        let (mut rounds, mut is_measured) = (ROUNDS, false);
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value behind it"));
            match word.as_str() {
                "--bench" => is_measured = true,
                "--json" => options.json = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                "--rounds" => {
                    let number = value()?;
                    let wrong = || format!("--rounds {number}: give a number from 3 on");
                    rounds = number.parse().ok().filter(|rounds| *rounds >= 3).ok_or_else(wrong)?;
                }
                _ => options.parts.push(part(&word)?),
            }
        }
        if options.parts.is_empty() {
            options.parts = Part::ALL.map(|(_, part)| part).to_vec();
        }
        if is_measured {
            options.effort = Effort::Measured { rounds };
        }
        Ok(options)
    }
}

fn part(word: &str) -> Result<Part, String> {
    let found = Part::ALL.iter().find(|(name, _)| *name == word);
    let names = || Part::ALL.map(|(name, _)| name).join(", ");
    found.map(|(_, part)| *part).ok_or_else(|| {
        format!("{word} is no part; parts are {}; options are --rounds N, --json FILE, --svg FILE", names())
    })
}
