//! Draws a scenario, line by line.
//!
//! Invariant: the same seed draws the same text. What is declared is small, and each scenario keeps to a few steps, so
//! that they meet each other.

use fastrand::Rng;
use ordering::language::OPTIONS;
use steps::table::{Row, STEPS};

/// What has been drawn so far.
pub(super) struct Draw {
    pub(super) rng: Rng,
    pub(super) things: Things,
    /// The steps of this scenario.
    pub(super) steps: Vec<&'static Row>,
    pub(super) lines: Vec<String>,
}

/// The names of what there is.
#[derive(Default)]
pub(super) struct Things {
    pub(super) mms: Vec<&'static str>,
    pub(super) pages: Vec<&'static str>,
    pub(super) frames: Vec<&'static str>,
    pub(super) slots: Vec<&'static str>,
    pub(super) tables: Vec<&'static str>,
    pub(super) pmds: Vec<&'static str>,
    pub(super) cpus: Vec<&'static str>,
    pub(super) vcpus: Vec<&'static str>,
    pub(super) devices: Vec<&'static str>,
    pub(super) pasids: Vec<&'static str>,
    pub(super) contexts: Vec<&'static str>,
    /// Of all CPUs, or of none.
    pub(super) tags: Vec<&'static str>,
    pub(super) vars: Vec<&'static str>,
    /// Bits that entries of this scenario may say, beside `rw` and `huge`.
    pub(super) bits: Vec<&'static str>,
}

impl Draw {
    /// One time in `of`.
    pub(super) fn once_in(&mut self, of: u32) -> bool {
        self.rng.u32(0..of) == 0
    }

    /// One of them; if there is none, a name that nothing has: the language refuses the line.
    pub(super) fn one(&mut self, from: &[&'static str]) -> &'static str {
        self.rng.choice(from).copied().unwrap_or("nothing")
    }

    /// The first few of `names`.
    pub(super) fn some(&mut self, names: &[&'static str], least: usize, most: usize) -> Vec<&'static str> {
        names[..self.rng.usize(least..=most.min(names.len()))].to_vec()
    }

    /// Most steps at random break something at once: more happens where that is no violation.
    fn options(&mut self) {
        let forgiving = self.once_in(3);
        for (name, values, _) in OPTIONS {
            let built_in = values == &["on", "off"] && !name.ends_with("drains") && *name != "evict";
            let value = self.one(values);
            if built_in && forgiving {
                self.lines.push(format!("option {name} = off"));
            } else if self.rng.bool() {
                self.lines.push(format!("option {name} = {value}"));
            }
        }
    }
}

/// The scenario of this seed, as its lines.
pub(super) fn scenario(seed: u64) -> Vec<String> {
    let mut rng = Rng::with_seed(seed);
    let first = &STEPS[usize::try_from(seed).expect("seeds are small") % STEPS.len()];
    let mut steps = vec![first];
    for _ in 0..rng.usize(2..12) {
        steps.extend(rng.choice(STEPS));
    }
    let lines = vec!["scenario random".to_owned()];
    let mut draw = Draw { rng, things: Things::default(), steps, lines };
    draw.things();
    draw.options();
    draw.agents();
    draw.properties();
    draw.lines
}
