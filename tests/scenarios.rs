//! The catalogue: every scenario file says what is expected, and every interleaving says the same, with reductions and
//! without, on one thread and on two.

use ordering::catalogue::{entries, text_of};
use ordering::engine::{self, Options, Reductions, Threads, Verdict};
use ordering::language::syntax::Expect;
use ordering::lowering::{self, Lowered};

fn catalogue() -> Vec<Lowered> {
    entries().into_iter().map(|entry| entry.lowered).collect()
}

fn summary(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Proved => "proved".to_owned(),
        Verdict::Violated { trace, .. } => format!("violation in {} steps", trace.steps.len()),
        Verdict::BoundHit { .. } => "bound hit".to_owned(),
    }
}

#[test]
fn every_scenario_is_what_it_expects_however_it_is_explored() {
    let catalogue = catalogue();
    assert!(catalogue.len() >= 40, "only {} scenarios were found", catalogue.len());
    for Lowered { name, model, expect, .. } in catalogue {
        let packed = engine::compile(&model).expect("a scenario of the catalogue fits");
        let explore = |reductions, threads| {
            let options = Options { reductions, threads, ..Options::default() };
            summary(&engine::explore(&packed, &options).verdict)
        };
        let found = explore(Reductions::ALL, Threads::ONE);
        assert_eq!(found, explore(Reductions::ALL, Threads::new(2)), "{name}: two threads");
        assert_eq!(found, explore(Reductions::PAYING, Threads::ONE), "{name}: as far as they pay");
        assert_eq!(found, explore(Reductions::NONE, Threads::ONE), "{name}: without reductions");
        match expect {
            Some(Expect::Proved) => assert_eq!(found, "proved", "{name}"),
            Some(Expect::Violation { steps: Some(steps), .. }) => {
                assert_eq!(found, format!("violation in {steps} steps"), "{name}");
            }
            Some(Expect::Violation { steps: None, .. }) => {
                assert!(found.starts_with("violation"), "{name}: {found}");
            }
            None => panic!("{name} does not say what is expected"),
        }
    }
}

#[test]
fn a_right_order_of_the_live_machine_is_proved_and_a_wrong_one_refuted() {
    use steps::operation::{Verdict as Held, cow, ksm};
    let operations = [
        ("cow/orders-of-wp-page-copy.scn", "wp_page_copy A", cow::orders()),
        ("ksm/orders-of-merge.scn", "ksm_merge A", ksm::orders()),
    ];
    for (file, call, orders) in operations {
        let text = text_of(file).expect("the catalogue has this file");
        let (setting, _) = text.split_once("expect ").expect("the first scenario ends in what is expected");
        for order in orders {
            let named = call.replace(" A", &format!(" \"{}\" A", order.name));
            let source = setting.replace(call, &named);
            assert!(source.contains(&named), "{file} does not call {call}");
            assert_eq!(is_proved(&source), order.expected == Held::Coherent, "{named}");
        }
    }
}

fn is_proved(source: &str) -> bool {
    let loaded = match lowering::load(source) {
        Ok(loaded) => loaded,
        Err(found) => panic!("{}", ordering::language::render_all(&found, "a live order", source)),
    };
    let packed = engine::compile(&loaded[0].1.model).expect("it fits");
    engine::explore(&packed, &Options::default()).verdict == Verdict::Proved
}
