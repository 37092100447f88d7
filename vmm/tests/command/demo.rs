//! `afterimage demo`: what it says of what it met.

use super::{afterimage, text};

#[test]
fn a_search_that_hits_its_bound_is_no_divergence() {
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--order", "notify-before-clear"];
    let output = afterimage(&[&order[..], &["--places", "1"]].concat());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}{}", text(&output.stderr));
    assert!(said.contains("BOUND HIT") && said.contains("looked at 1 places"), "{said}");
    assert!(said.contains("--places") && !said.contains("DIVERGENCE"), "{said}");
    let output = afterimage(&[&order[..], &["--places", "1", "--json"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(object["runs"][0]["first_violation"], "bound hit", "{object}");
}

#[test]
fn what_a_wrong_order_does_is_a_run_of_its_scenario() {
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--order", "notify-before-clear"];
    let output = afterimage(&order);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("# VIOLATION: never ") && !said.contains("BOUND HIT"), "{said}");
}
