//! What the engine says about models that are too large, malformed, or searched within a limit.

use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::replay::{Move, replay};
use ordering::engine::{Bound, Options, Reductions, Threads, TooLarge, Verdict, compile, explore, witness};
use ordering::model::{
    Agent, Alternative, Check, Guard, Instruction, Member, Model, Pc, Property, Symmetry, Update, Var,
    Variable,
};

fn protocol(pages: u16) -> Model {
    cow_n(Size { pages, devices: 2, reads: 3 }, Order::NotifyFirst)
}

#[test]
fn a_limit_of_states_is_never_called_a_proof() {
    let packed = compile(&protocol(3)).unwrap();
    for threads in [1, 2, 3, 8].map(Threads::new) {
        let options =
            Options { reductions: Reductions::NONE, max_states: 100_000, threads, ..Options::default() };
        let outcome = explore(&packed, &options);
        assert_eq!(outcome.verdict, Verdict::BoundHit { what: Bound::States { count: 100_000 } });
        assert!(outcome.statistics.states <= 100_000);
        assert_eq!(outcome, explore(&packed, &Options { threads: Threads::ONE, ..options }));
    }
}

#[test]
fn a_limit_of_memory_is_named_and_kept() {
    let packed = compile(&protocol(3)).unwrap();
    let options = Options { reductions: Reductions::NONE, memory_bytes: 4 << 20, ..Options::default() };
    let outcome = explore(&packed, &options);
    assert_eq!(outcome.verdict, Verdict::BoundHit { what: Bound::Memory { bytes: 4 << 20 } });
    assert!(outcome.statistics.bytes <= 4 << 20);
}

#[test]
fn a_witness_is_a_complete_run() {
    let model = protocol(4);
    let run = witness(&compile(&model).unwrap(), &Options::default()).unwrap();
    assert!(run.last.ended(&model));
}

#[test]
fn a_state_that_does_not_fit_names_the_biggest_variables() {
    let mut model = protocol(4);
    model.agents[0].program[0].alternatives[0].next = Pc(0);
    for index in 0..20 {
        let values: Vec<String> = (0..300).map(|value| value.to_string()).collect();
        model.variables.push(Variable { name: format!("counter{index}"), values, initial: 0 });
        let var = Var(u16::try_from(model.variables.len() - 1).unwrap());
        let agent = &mut model.agents[0].program[0].alternatives[0];
        agent.updates.push(Update::Increment(var));
    }
    let Err(TooLarge::Bits { bits, limit, biggest }) = compile(&model) else { panic!("it cannot fit") };
    assert!(bits > limit);
    assert_eq!(limit, 127);
    assert_eq!(biggest.0[0], ("counter0".to_owned(), 9));
}

#[test]
fn a_malformed_model_is_refused_with_the_place() {
    let mut model = protocol(1);
    model.agents[0].program[0].alternatives[0].guard.push(Guard::Is(Var(0), 7));
    let message = compile(&model).unwrap_err().to_string();
    assert_eq!(
        message,
        "writer instruction 0 `lock 0`: value 7 is outside the domain of lock, which has 2 values"
    );
}

const X: Var = Var(0);
const Y: Var = Var(1);

fn step(updates: Vec<Update>, next: u16, may_end: bool) -> Instruction {
    let (guard, text, marks) = (Vec::new(), "step".to_owned(), Vec::new());
    let way = Alternative { guard, updates, next: Pc(next), violates: None, text, line: 0, marks };
    Instruction { alternatives: vec![way], may_end }
}

/// Two agents with a flag each, and a formula over the flags that holds at the end.
fn flags(programs: [Vec<Instruction>; 2], formula: Vec<Vec<Guard>>) -> Model {
    let values = || ["0", "1"].map(str::to_owned).to_vec();
    let variable = |name: &str| Variable { name: name.to_owned(), values: values(), initial: 0 };
    let agent = |program| Agent { name: "agent".to_owned(), program, spontaneous: false };
    let finally = Property { text: "finally".to_owned(), check: Check::Finally(formula), line: 0 };
    Model {
        variables: vec![variable("x"), variable("y")],
        agents: programs.map(agent).to_vec(),
        properties: vec![finally],
        ..Model::default()
    }
}

/// The first may stop at once, or go on by a step that nobody sees and then set x; the second sets y.
fn may_stop() -> Model {
    let first = vec![step(Vec::new(), 1, true), step(vec![Update::Set(X, 1)], 2, false)];
    let second = vec![step(vec![Update::Set(Y, 1)], 1, false)];
    flags([first, second], vec![vec![Guard::Is(Y, 0)], vec![Guard::Is(X, 1)]])
}

#[test]
fn agents_of_which_one_may_stop_are_not_alike() {
    let sets = |var, may_end| vec![step(vec![Update::Set(var, 1)], 1, may_end)];
    let mut model = flags([sets(X, false), sets(Y, true)], vec![vec![Guard::Is(X, 1), Guard::Is(Y, 1)]]);
    let member = |agent, var| Member { agents: vec![agent], vars: vec![var] };
    model.symmetries = vec![Symmetry { members: vec![member(0, X), member(1, Y)] }];
    let packed = compile(&model).unwrap();
    assert_eq!(packed.symmetries(), 0);
    assert!(matches!(explore(&packed, &Options::default()).verdict, Verdict::Violated { .. }));
}

#[test]
fn who_may_stop_is_not_made_to_go_on_before_the_end_is_looked_at() {
    for reductions in [Reductions::ALL, Reductions::NONE] {
        let outcome = explore(&compile(&may_stop()).unwrap(), &Options { reductions, ..Options::default() });
        let Verdict::Violated { trace, .. } = outcome.verdict else {
            panic!("X stops and Y sets y: {reductions:?}")
        };
        assert_eq!(trace.steps.len(), 1, "{reductions:?}");
    }
}

#[test]
fn a_model_has_as_many_agents_as_are_said() {
    let agents = |count| {
        let agent = Agent { name: "agent".to_owned(), program: Vec::new(), spontaneous: false };
        compile(&Model { agents: vec![agent; count], ..Model::default() })
    };
    assert_eq!(explore(&agents(60).unwrap(), &Options::default()).verdict, Verdict::Proved);
    let refused = agents(61).unwrap_err().to_string();
    assert_eq!(refused, "the model has 61 agents: at most 60 can be explored");
}

#[test]
fn agents_that_begin_otherwise_or_need_not_end_are_not_alike() {
    let alike = |change: fn(&mut Model)| {
        let sets = |var| vec![step(vec![Update::Set(var, 1)], 1, false)];
        let mut model = flags([sets(X), sets(Y)], vec![vec![Guard::Is(X, 1), Guard::Is(Y, 1)]]);
        let member = |agent, var| Member { agents: vec![agent], vars: vec![var] };
        model.symmetries = vec![Symmetry { members: vec![member(0, X), member(1, Y)] }];
        change(&mut model);
        compile(&model).unwrap().symmetries()
    };
    assert_eq!(alike(|_| {}), 1);
    assert_eq!(alike(|model| model.variables[1].initial = 1), 0);
    assert_eq!(alike(|model| model.agents[1].spontaneous = true), 0);
}

#[test]
fn an_agent_stands_for_its_like_only_where_both_may_move() {
    let sets = |var| vec![step(vec![Update::Set(var, 1)], 1, false)];
    let mut model = flags([sets(X), sets(Y)], Vec::new());
    model.properties.clear();
    let member = |agent, var| Member { agents: vec![agent], vars: vec![var] };
    model.symmetries = vec![Symmetry { members: vec![member(0, X), member(1, Y)] }];
    let packed = compile(&model).unwrap();
    assert_eq!(packed.symmetries(), 1);
    let outcome = explore(&packed, &Options { reductions: Reductions::ALL, ..Options::default() });
    assert_eq!((outcome.verdict, outcome.statistics.transitions), (Verdict::Proved, 2));
}

#[test]
fn a_step_is_replayed_from_where_its_agent_is() {
    let model = flags([vec![step(Vec::new(), 1, false), step(Vec::new(), 2, false)], Vec::new()], Vec::new());
    let at = |pc| Move { agent: 0, pc: Pc(pc), alternative: 0 };
    assert!(replay(&model, &[at(0), at(1)]).is_ok());
    let refused = replay(&model, &[at(1)]).unwrap_err().to_string();
    assert_eq!(refused, "row 1: agent is at instruction 0 there, not at 1");
}

#[test]
fn a_witness_goes_on_where_it_could_stop() {
    let stops = vec![step(vec![Update::Set(X, 1)], 1, true)];
    let mut model = flags([stops, Vec::new()], Vec::new());
    model.properties.clear();
    let run = witness(&compile(&model).unwrap(), &Options::default()).unwrap();
    assert_eq!((run.steps.len(), run.last.values[0]), (1, 1));
}
