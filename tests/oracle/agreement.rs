//! Both sides on the same random scenarios.

use std::collections::BTreeMap;

use ordering::engine::Reductions;

use super::promela::{Mistake, translate};
use super::{explorer, random, spin};

#[test]
fn spin_and_the_explorer_agree() {
    let compiler = spin::compiler().expect("spin");
    let range = std::env::var("AFTERIMAGE_ORACLE").unwrap_or("0..20".to_owned());
    let (a, b) = range.split_once("..").unwrap();
    let (a, b): (u64, u64) = (a.parse().unwrap(), b.parse().unwrap());
    let mut bad = 0;
    let mut refused = BTreeMap::<String, (usize, u64)>::new();
    let mut violated = 0;
    for seed in a..b {
        let scenario = random::scenario(seed);
        let text = scenario.to_string();
        let ours = explorer::decide(&text, Reductions::ALL);
        let ours = match ours {
            Ok(ours) => ours,
            Err(error) => {
                let kind = error.split("\n").next().unwrap();
                let kind = kind.split('`').step_by(2).collect::<Vec<_>>().join("_");
                let entry = refused.entry(kind).or_default();
                entry.0 += 1;
                entry.1 = seed;
                continue;
            }
        };
        let promela = translate(&scenario, Mistake::None);
        let spin = spin::decide(&promela, compiler);
        if matches!(spin, Ok(spin::Answer::Violated(_))) {
            violated += 1;
        }
        if spin.as_ref() != Ok(&ours.0) {
            bad += 1;
            if let Ok(dir) = std::env::var("DUMP") {
                std::fs::write(format!("{dir}/{seed}.scn"), &text).unwrap();
                std::fs::write(format!("{dir}/{seed}.pml"), &promela).unwrap();
            }
            println!("DIS seed {seed} {} ours {:?} spin {:?}\n{text}", text.lines().count(), ours, spin);
        }
    }
    println!("{refused:#?}");
    println!("{bad} disagreements of {}, {violated} violated", b - a);
}
