//! Mutated scenarios: any text yields a model or diagnostics, never a panic.
//!
//! Invariant: the texts are the same on every machine; the seed is a constant.

use crate::language::{parse, render_all};
use crate::lowering::lower;

/// Texts that are tried, in all.
const TEXTS: usize = 2000;

const BASES: [&str; 3] = [
    include_str!("../../../../tests/scenarios/cow/notify-under-lock.scn"),
    include_str!("../../../../tests/scenarios/ksm/refcount-against-gup-fast.scn"),
    include_str!("../../../../tests/scenarios/zap/nested-gather.scn"),
];

const PIECES: [&str; 28] = [
    "|",
    "||",
    ":",
    ";",
    "{",
    "}",
    "(",
    ")",
    "->",
    "=>",
    "..",
    "0",
    "4294967295",
    "99999999999",
    "\"",
    "#",
    "\n",
    "\n\n",
    "  ",
    "ä",
    "repeat 0..3:",
    "atomic {",
    "if ",
    "goto out",
    "expect proved\n",
    "like ",
    "replace CPU.0..9\n",
    "never ",
];

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }
}

fn mutated(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(letters.len() + 1);
        let to = (at + random.below(30)).min(letters.len());
        match random.below(5) {
            0 => drop(letters.drain(at..to)),
            1 => {
                let piece: Vec<char> = letters[at..to].to_vec();
                let target = random.below(letters.len() + 1);
                drop(letters.splice(target..target, piece));
            }
            2 => drop(letters.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
            3 => letters.truncate(at.max(20)),
            _ => {
                let lines: Vec<String> =
                    letters.iter().collect::<String>().lines().map(String::from).collect();
                let mut lines = lines;
                let (one, other) = (random.below(lines.len()), random.below(lines.len()));
                if one < lines.len() && other < lines.len() {
                    lines.swap(one, other);
                }
                letters = lines.join("\n").chars().collect();
            }
        }
    }
    letters.into_iter().collect()
}

#[test]
fn no_text_makes_the_front_end_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for round in 0..TEXTS {
        let text = mutated(BASES[round % BASES.len()], &mut random);
        let file = parse(&text);
        let shown = render_all(&file.diagnostics, "fuzz.scn", &text);
        assert_eq!(shown.is_empty(), file.diagnostics.is_empty());
        for scenario in &file.scenarios {
            match lower(scenario, &text) {
                Ok(lowered) => {
                    assert_eq!(lowered.model.validate(), Ok(()), "{text}");
                    read += 1;
                }
                Err(diagnostics) => drop(render_all(&diagnostics, "fuzz.scn", &text)),
            }
        }
    }
    assert!(
        read > TEXTS / 10,
        "only {read} scenarios were lowered: the mutations are too wild to test anything"
    );
}
