//! Claims about agents that are alike.

use super::loaded;
use crate::engine::{Options, Outcome, Reduction, Reductions, Verdict, compile, explore};
use crate::model::Model;

const HEAD: &str = "scenario s\npage A\nframe f = 0, g = 1\nmap A -> f rw\ncpu C, D, E\nvar x = 0..3\nvar y = 0..1\nvar z = 0..1\n";
const WRITER: &str = "agent p\n  pte_clear A; flush_tlb A; set_pte A -> g rw; x = 1\n";

fn model(program: &str) -> Model {
    loaded("s.scn", &format!("{HEAD}{program}\n")).remove(0).model
}

fn outcomes(model: &Model) -> [Outcome; 2] {
    [Reduction::On, Reduction::Off].map(|symmetry| {
        let reductions = Reductions { symmetry, ..Reductions::NONE };
        explore(&compile(model).unwrap(), &Options { reductions, ..Options::default() })
    })
}

#[test]
fn identical_cpus_count_once() {
    let model =
        model(&format!("{WRITER}agent C\n  load A; load A\nagent D\n  load A; load A\nfinally x == 1"));
    assert_eq!(compile(&model).unwrap().symmetries(), 1);
    let [symmetric, plain] = outcomes(&model);
    assert_eq!(symmetric.verdict, Verdict::Proved);
    assert_eq!(plain.verdict, Verdict::Proved);
    assert!(symmetric.statistics.states * 3 < plain.statistics.states * 2);
}

#[test]
fn a_counterexample_of_identical_cpus_is_as_short_as_without_symmetry() {
    let programs = "agent D\n  load A; y = 1\nagent E\n  load A; z = 1\nalways !y || !z";
    let model = model(&format!("{WRITER}{programs}"));
    assert_eq!(compile(&model).unwrap().symmetries(), 1);
    let steps = outcomes(&model).map(|outcome| match outcome.verdict {
        Verdict::Violated { trace, .. } => trace.steps.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(steps, [6, 6]);
}

#[test]
fn a_cpu_that_somebody_tells_apart_is_not_exchanged() {
    let programs = "agent C\n  load A; y = 1\nagent D\n  load A; z = 1\n";
    let apart = model(&format!("{programs}agent p\n  when y; x = 1\n"));
    assert_eq!(apart.symmetries.len(), 1);
    assert_eq!(compile(&apart).unwrap().symmetries(), 0);
    assert_eq!(compile(&model(&format!("{WRITER}{programs}"))).unwrap().symmetries(), 1);
}

#[test]
fn hardware_that_acts_by_itself_is_exchanged_with_its_cpu() {
    let programs = "agent C\n  load A\nagent D\n  load A\n";
    let model = model(&format!("option speculation = on\n{WRITER}{programs}"));
    assert_eq!(model.symmetries[0].members[0].agents.len(), 2);
    assert_eq!(compile(&model).unwrap().symmetries(), 1);
    let [symmetric, plain] = outcomes(&model);
    assert!(symmetric.statistics.states < plain.statistics.states);
}

#[test]
fn three_cpus_are_one_group_and_another_program_is_none() {
    let model = model("agent C\n  load A\nagent D\n  load A\nagent E\n  load A\nagent q\n  x = 1; x = 2\n");
    let members: Vec<usize> = model.symmetries.iter().map(|symmetry| symmetry.members.len()).collect();
    assert_eq!(members, [3]);
}
