//! Scenarios whose vCPUs run on KVM: the guest reads what the model says that it reads.

use std::time::Instant;

use ordering::catalogue;
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Verdict};
use ordering::lowering::Lowered;
use race::steered::Steered;
use vmm::race::{self as play, Vcpus};

use super::rig::system;

fn counterexample(lowered: &Lowered) -> Option<Vec<Move>> {
    let packed = engine::compile(&lowered.model).expect("a scenario of the catalogue fits");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { trace, .. } => {
            let row =
                |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
            Some(trace.steps.iter().map(row).collect())
        }
        Verdict::Proved | Verdict::BoundHit { .. } => None,
    }
}

#[test]
fn survey() {
    if system().is_none() {
        return;
    }
    let (mut all, mut rows) = (0, 0);
    let mut spent = std::time::Duration::ZERO;
    for entry in catalogue::entries() {
        let lowered = &entry.lowered;
        match play::vcpus(&lowered.scene) {
            Vcpus::Kvm => {}
            Vcpus::None => continue,
            Vcpus::Software(why) => {
                println!("{} {}: {why}", entry.file.path, lowered.name);
                continue;
            }
        }
        let moves = counterexample(lowered);
        let begun = Instant::now();
        let machine = play::machine(lowered).unwrap();
        let made = begun.elapsed();
        let begun = Instant::now();
        let steered = Steered::new(lowered, machine);
        let mut own = 0;
        if let Some(moves) = &moves {
            match steered.run(moves) {
                Ok(count) => own += count,
                Err(told) => println!("DIVERGES {}: {}\n{told:?}", lowered.name, told.of),
            }
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5 {
            match steered.random(&mut random, 200) {
                Ok(count) => own += count,
                Err(told) => println!("DIVERGES {}: {}\n{told:?}", lowered.name, told.of),
            }
        }
        let took = begun.elapsed();
        let begun = Instant::now();
        drop(steered);
        println!(
            "{} {}: refuted {}, made {made:?}, {own} rows {took:?}, dropped {:?}",
            entry.file.path,
            lowered.name,
            moves.is_some(),
            begun.elapsed()
        );
        (all, rows) = (all + 1, rows + own);
        spent += took;
    }
    println!("{all} scenarios, {rows} rows in {spent:?}, {:.0} rows/s", rows as f64 / spent.as_secs_f64());
}
