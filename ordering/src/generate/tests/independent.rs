//! The same verdicts by other ways: without reductions, and by the search for the weakest order.

use crate::engine::{Options, Reductions};
use crate::lowering::load;
use crate::minimize::{Limits, Shape, minimize};

use super::super::{Kind, Request, User, generate, saved};
use super::request;

#[test]
fn no_verdict_depends_on_a_reduction() {
    for name in ["cow", "zap", "mremap"] {
        let reduced = request(name, &[User::Vcpu, User::Device], Some(1));
        let whole =
            Request { options: Options { reductions: Reductions::NONE, ..Options::default() }, ..reduced };
        let (reduced, whole) = (generate(&reduced).unwrap(), generate(&whole).unwrap());
        let kinds = |found: &super::super::Generated| -> Vec<Vec<Kind>> {
            let of =
                |order: &super::super::Order| order.judged.iter().map(|one| one.verdict.kind()).collect();
            found.orders.iter().map(of).collect()
        };
        assert_eq!(kinds(&reduced), kinds(&whole), "{name}");
    }
}

/// `minimize` judges all orders at once, by a search of its own.
#[test]
fn minimize_finds_the_same_needs_of_a_device() {
    let request = request("cow", &[User::Device], Some(1));
    let found = generate(&request).unwrap();
    let file = saved(&request, &found, &found.orders[0]).unwrap();
    let loaded = load(&file.text).unwrap();
    let limits = Limits { options: Options::default(), singly: 10, at_once: 200_000 };
    let weakest = minimize(&loaded[0].0, &file.text, "mm", &limits).unwrap();
    // What else it moves, such as the locks, has needs that are of no single set.
    let Shape::Several { common, .. } = &weakest.shape else { panic!("{:?}", weakest.shape) };
    let text = |row: usize| weakest.rows[row].text.as_str();
    let ours = |row: usize| found.steps.iter().any(|step| step.row == text(row));
    let needs: Vec<(&str, &str)> = common
        .iter()
        .filter(|need| ours(need.first) && ours(need.then))
        .map(|need| (text(need.first), text(need.then)))
        .collect();
    assert_eq!(needs, [("pte_clear A", "notify A"), ("notify A", "set_pte A -> new rw")]);
    let dropped: Vec<&str> = weakest.dropped.iter().flatten().map(|row| text(*row)).collect();
    for row in ["flush_tlb A", "notify_start A", "notify_end A"] {
        assert!(dropped.contains(&row), "{row} of {dropped:?}");
    }
}
