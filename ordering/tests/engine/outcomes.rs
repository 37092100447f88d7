//! What the engine says about models that are too large, malformed, or searched within a limit.

use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{Bound, Options, Reductions, Threads, TooLarge, Verdict, compile, explore, witness};
use ordering::model::{Guard, Model, Pc, Var, Variable};

fn protocol(pages: u16) -> Model {
    cow_n(Size { pages, devices: 2, reads: 3 }, Order::NotifyFirst)
}

#[test]
fn a_limit_of_states_is_never_called_a_proof() {
    let packed = compile(&protocol(3)).unwrap();
    for threads in [Threads::One, Threads::Two] {
        let options =
            Options { reductions: Reductions::NONE, max_states: 100_000, threads, ..Options::default() };
        let outcome = explore(&packed, &options);
        assert_eq!(outcome.verdict, Verdict::BoundHit { what: Bound::States { count: 100_000 } });
        assert!(outcome.statistics.states <= 100_000);
        assert_eq!(outcome, explore(&packed, &Options { threads: Threads::One, ..options }));
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
        agent.updates.push(ordering::model::Update::Increment(var));
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
