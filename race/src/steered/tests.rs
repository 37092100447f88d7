//! That a deliberate error is found: in a step of the machine, and in the same step of the model.

mod tampered;

use std::sync::LazyLock;

use ordering::catalogue::{self, Entry};
use ordering::lowering::{Act, Lowered};
use steps::table::Verb;

use super::*;

/// Steps whose errors are looked for.
const STEPS: [Verb; 23] = [
    Verb::FlushTlb,
    Verb::Notify,
    Verb::PteClear,
    Verb::SetPte,
    Verb::PteModify,
    Verb::Lock,
    Verb::Unlock,
    Verb::Copy,
    Verb::Put,
    Verb::Alloc,
    Verb::NotifyStart,
    Verb::IotlbInv,
    Verb::SetPasid,
    Verb::SetPasidLow,
    Verb::SetPasidHigh,
    Verb::SetContext,
    Verb::SetContextLow,
    Verb::SetContextHigh,
    Verb::ContextInv,
    Verb::Unplug,
    Verb::ZapSpmd,
    Verb::DevtlbInv,
    Verb::GupFast,
];

/// Runs that are tried; an error shows in the first few.
const RUNS: usize = 40;

static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(catalogue::entries);

/// The first scenario that has the step.
fn with(verb: Verb) -> &'static Entry {
    let has = |entry: &&Entry| steps_of(&entry.lowered).any(|step| step == verb);
    let found = CATALOGUE.iter().find(has);
    found.unwrap_or_else(|| panic!("no scenario has `{}`", verb.name()))
}

fn steps_of(lowered: &Lowered) -> impl Iterator<Item = Verb> {
    let acts = lowered.deeds.iter().flat_map(ordering::lowering::Deeds::acts);
    acts.filter_map(|act| if let Act::Step(step) = act { Some(step.verb()) } else { None })
}

/// The first divergence of random runs from one seed.
fn diverges(steered: &Steered<'_>) -> Option<Box<Divergence>> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..RUNS).find_map(|_| steered.random(&mut random, 200).err())
}

fn machine(lowered: &Lowered) -> Machine {
    Machine::new(lowered).expect("a scenario needs little memory")
}

#[test]
fn a_step_that_the_machine_leaves_out_is_found() {
    for verb in STEPS {
        let entry = with(verb);
        let mut steered = Steered::new(&entry.lowered, machine(&entry.lowered));
        assert_eq!(diverges(&steered), None, "{}", entry.lowered.name);
        steered.forgets = Some(verb);
        assert!(
            diverges(&steered).is_some(),
            "`{}` in {} makes no difference",
            verb.name(),
            entry.lowered.name
        );
    }
}

#[test]
fn a_step_that_the_model_leaves_out_is_found() {
    for verb in STEPS {
        let mut lowered = with(verb).lowered.clone();
        let untouched = lowered.clone();
        for (agent, deeds) in lowered.model.agents.iter_mut().zip(&untouched.deeds) {
            for (pc, instruction) in agent.program.iter_mut().enumerate() {
                for (index, alternative) in instruction.alternatives.iter_mut().enumerate() {
                    let is_it = |deed: ordering::lowering::Deed<'_>| matches!(deed.act, Act::Step(step) if step.verb() == verb);
                    if deeds.of(pc, index).any(is_it) {
                        alternative.updates.clear();
                    }
                }
            }
        }
        let steered = Steered::new(&lowered, machine(&lowered));
        assert!(diverges(&steered).is_some(), "`{}` in {} makes no difference", verb.name(), lowered.name);
    }
}

#[test]
fn who_waits_in_the_model_and_passes_on_the_machine_is_found() {
    // Where the machine never takes a lock, the next one finds it free.
    let waits = |entry: &&Entry| entry.file.path.starts_with("mmap_lock/");
    let entry = CATALOGUE.iter().find(waits).expect("the catalogue has scenarios of mmap_lock");
    let mut steered = Steered::new(&entry.lowered, machine(&entry.lowered));
    steered.forgets = Some(Verb::Lock);
    steered.compares = false;
    let mut random = fastrand::Rng::with_seed(1);
    let mut found = (0..RUNS * 10).filter_map(|_| steered.random(&mut random, 200).err());
    assert!(found.any(|found| matches!(found.of, Difference::Passes { .. })));
}
