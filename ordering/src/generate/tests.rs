//! The generator's verdicts against the catalogue's, against what the mails say, and against other ways to decide.

mod catalogue;
mod enumeration;
mod independent;

use super::*;
use crate::engine::Options;

fn operation(name: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.name == name).unwrap()
}

fn request<'a>(name: &str, users: &'a [User], moved: Option<usize>) -> Request<'a> {
    Request { operation: operation(name), users, moved, options: Options::default() }
}

/// What a user needs where nothing is left out, by names: `one < other`.
fn needs_of_all(found: &Generated, user: usize) -> Vec<String> {
    let (left_out, needs) = &found.needs[0];
    assert!(left_out.is_empty());
    assert!(needs[user].are_exact(), "{:?}", needs[user]);
    let pair = |(one, other): &(usize, usize)| format!("{} < {}", found.name(*one), found.name(*other));
    needs[user].pairs.iter().map(pair).collect()
}

/// Whether any order without `name` is safe for a user.
fn can_do_without(found: &Generated, user: usize, name: &str) -> bool {
    let is_without = |left_out: &[usize]| left_out.iter().any(|step| found.name(*step) == name);
    found.needs.iter().any(|(left_out, needs)| is_without(left_out) && needs[user].safe > 0)
}

/// Jerome Glisse, 2017-08-30, to Nadav Amit: "clear pte; invalidate IOMMU/device TLB; set new pte".
#[test]
fn a_device_needs_clear_notify_set_and_nothing_else_of_a_cow() {
    let found = generate(&request("cow", &[User::Device], None)).unwrap();
    assert_eq!((found.orders.len(), found.all), (488, 488));
    assert_eq!(needs_of_all(&found, 0), ["clear < notify", "notify < set"]);
    for (name, may_go) in [("clear", false), ("notify", false), ("flush", true), ("start", true)] {
        assert_eq!(can_do_without(&found, 0, name), may_go, "{name}");
    }
}

/// Andrea Arcangeli in the same thread: whoever is blocked from range_start to range_end needs no notification in between.
#[test]
fn a_vcpu_needs_the_range_around_set_and_no_notification() {
    let found = generate(&request("cow", &[User::Vcpu], None)).unwrap();
    assert_eq!(needs_of_all(&found, 0), ["start < set", "clear < end"]);
    for (name, may_go) in [("notify", true), ("flush", true), ("start", false), ("end", false)] {
        assert_eq!(can_do_without(&found, 0, name), may_go, "{name}");
    }
}

/// The mail: "as long as the page that used to be pointed by the pte is not free before the IOMMU tlb flush then we are fine".
#[test]
fn a_device_needs_of_a_zap_only_that_it_is_told_before_the_frame_is_freed() {
    let found = generate(&request("zap", &[User::Device], None)).unwrap();
    assert_eq!(needs_of_all(&found, 0), ["clear < notify", "notify < put"]);
    assert!(!can_do_without(&found, 0, "notify"));
}

#[test]
fn a_vcpu_whose_range_never_ends_is_no_proof() {
    let order = ["start", "clear", "flush", "notify", "set"];
    let judged = judge(&request("cow", &[User::Vcpu], None), &order).unwrap();
    assert_eq!(judged[0].verdict, Verdict::Vacuous("in no run V0 reads A == 1".to_owned()));
}

#[test]
fn a_bound_is_no_verdict() {
    let options = Options { max_states: 20, ..Options::default() };
    let request = Request { options, ..request("cow", &[User::Device], Some(1)) };
    let found = generate(&request).unwrap();
    assert!(found.orders.iter().any(|order| order.judged[0].verdict == Verdict::BoundHit));
    assert!(found.orders.iter().all(|order| order.judged[0].verdict.kind() != Kind::Safe));
    assert!(!found.needs[0].1[0].are_exact());
}

#[test]
fn a_device_tlb_apart_needs_the_iotlb_invalidated_first() {
    let users = [User::Ats];
    let request = request("cow", &users, None);
    let verdict = |order: &[&str]| judge(&request, order).unwrap()[0].verdict.kind();
    assert_eq!(verdict(&["start", "clear", "flush", "iotlb", "devtlb", "set", "end"]), Kind::Safe);
    assert_eq!(verdict(&["start", "clear", "flush", "devtlb", "iotlb", "set", "end"]), Kind::Broken);
    assert_eq!(verdict(&["start", "clear", "flush", "iotlb", "set", "devtlb", "end"]), Kind::Broken);
}

#[test]
fn what_cannot_be_asked_for_is_said_with_its_numbers() {
    let none = generate(&request("cow", &[User::Device], Some(0))).unwrap_err();
    assert_eq!(none.to_string(), "cow has 6 steps that move; --steps is 1 to 6, not 0");
    let many = generate(&request("ksm", &[User::Device], Some(14))).unwrap_err().to_string();
    assert!(
        many.starts_with("ksm has more than 20000 orders with at most 14 of its 14 steps moved"),
        "{many}"
    );
    assert!(many.contains("(57221545 in all)") && many.ends_with("--steps 2"), "{many}");
}
