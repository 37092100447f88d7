//! The orders of the catalogue, among those that are generated, with the catalogue's verdicts.

use crate::answer::Answer;
use crate::catalogue::{self, Entry};
use crate::engine;
use crate::language::syntax::Expect;
use crate::lowering::load;

use super::super::{Kind, User, generate, judge, saved};
use super::request;

/// Scenarios of the catalogue, whose order that is, and who uses the page there.
const NAMED: [(&str, &str, &[User], &str); 18] = [
    ("wp-page-copy", "cow", ALL, "start clear flush notify set end"),
    ("wp-page-copy-notify-before-clear", "cow", ALL, "start notify clear flush set end"),
    ("wp-page-copy-set-before-notify", "cow", ALL, "start clear flush set notify end"),
    ("wp-page-copy-notify-in-range-end", "cow", ALL, "start clear flush set notify end"),
    ("wp-page-copy-no-clear", "cow", ALL, "start flush notify set end"),
    ("wp-page-copy-no-flush", "cow", ALL, "start clear notify set end"),
    ("wp-page-copy-no-range-start", "cow", ALL, "clear flush notify set"),
    ("cow-clear-flush-only", "cow", DEVICE, "clear flush set notify"),
    ("cow-clear-flush-notify", "cow", DEVICE, "clear flush notify set"),
    ("cow-notify-before-clear", "cow", DEVICE, "notify clear flush set"),
    ("cow-set-before-notify", "cow", DEVICE, "clear flush set notify"),
    ("cow-no-clear", "cow", DEVICE, "flush notify set"),
    ("dontneed-notify-after-unlock", "zap", OUTSIDE, "clear flush notify put"),
    ("dontneed-free-before-notify", "zap", OUTSIDE, "clear flush put notify"),
    ("dontneed-free-before-flush", "zap", OUTSIDE, "clear notify put flush"),
    ("mremap-flush-after-unlock", "mremap", CPU, "clear set unlock-new unlock-old flush"),
    ("mremap-flush-under-locks", "mremap", CPU, "clear set flush unlock-new unlock-old"),
    ("mremap-unlocks-old-first", "mremap", CPU, "clear set unlock-old flush unlock-new"),
];

const OF_KSM: [(&str, &str); 5] = [
    ("ksm-merge", "start clear flush notify protect end compare start2 clear2 flush2 notify2 set2 end2 put"),
    (
        "ksm-merge-notify-in-range-end",
        "start clear flush protect notify end compare start2 clear2 flush2 set2 notify2 end2 put",
    ),
    (
        "ksm-merge-compare-before-protect",
        "start clear flush protect end compare notify start2 clear2 flush2 notify2 set2 end2 put",
    ),
    (
        "ksm-merge-free-before-notify",
        "start clear flush protect notify end compare start2 clear2 flush2 set2 put notify2 end2",
    ),
    ("ksm-merge-no-notify", "clear flush protect compare clear2 flush2 set2 put"),
];

const ALL: &[User] = &[User::Cpu, User::Vcpu, User::Device];
const OUTSIDE: &[User] = &[User::Cpu, User::Device];
const DEVICE: &[User] = &[User::Device];
const CPU: &[User] = &[User::Cpu];

fn agrees(entries: &[Entry], scenario: &str, operation: &str, users: &[User], order: &str) {
    let entry = entries.iter().find(|entry| entry.lowered.name == scenario).unwrap();
    let expected = match &entry.lowered.expect {
        Some(Expect::Violation { .. }) => Kind::Broken,
        Some(Expect::Proved) | None => Kind::Safe,
    };
    let steps: Vec<&str> = order.split(' ').collect();
    let judged = judge(&request(operation, users, None), &steps).unwrap();
    assert_eq!(judged.last().unwrap().verdict.kind(), expected, "{scenario}: {order}");
}

#[test]
fn each_named_order_of_the_catalogue_has_the_catalogues_verdict() {
    let entries = catalogue::entries();
    for (scenario, operation, users, order) in NAMED {
        agrees(&entries, scenario, operation, users, order);
    }
}

#[test]
fn each_named_order_of_ksm_has_the_catalogues_verdict() {
    let entries = catalogue::entries();
    for (scenario, order) in OF_KSM {
        agrees(&entries, scenario, "ksm", OUTSIDE, order);
    }
}

/// Each file is read again, and explored again.
#[test]
fn what_is_saved_is_accepted_with_the_verdict_that_was_found() {
    for (operation, users) in [("cow", ALL), ("ksm", DEVICE), ("zap", OUTSIDE), ("mremap", CPU)] {
        let request = request(operation, users, Some(1));
        let found = generate(&request).unwrap();
        for order in &found.orders {
            let of_users = &order.judged[usize::from(users.len() == 1)..];
            let is_said = |kind: Kind| matches!(kind, Kind::Safe | Kind::Broken);
            let said = of_users.iter().filter(|one| is_said(one.verdict.kind())).count();
            let Some(file) = saved(&request, &found, order) else {
                assert_eq!(said, 0, "{:?}", found.named(order));
                continue;
            };
            let loaded = load(&file.text).unwrap_or_else(|wrong| panic!("{wrong:?}\n{}", file.text));
            assert_eq!(loaded.len(), said, "{}", file.text);
            for (scenario, lowered) in &loaded {
                let packed = engine::compile(&lowered.model).unwrap();
                let outcome = engine::explore(&packed, &request.options);
                let answer = Answer::new(lowered, &outcome);
                assert!(
                    answer.is_as_expected(),
                    "{}: {:?}\n{}",
                    scenario.name.node,
                    answer.faults,
                    file.text
                );
            }
        }
    }
}
