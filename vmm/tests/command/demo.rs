//! `afterimage demo`: what it says of what it met.

use std::fs;
use std::path::Path;

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
fn a_page_has_each_order_with_its_counts_and_its_first_violation() {
    let html = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo.html");
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--seconds", "0.1", "--html"];
    let output = afterimage(&[&order[..], &[html.to_str().expect("a plain path")]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = fs::read_to_string(&html).expect("it was written");
    let chart = page.split("<tbody>").nth(1).expect("there is a table of counts");
    let chart = chart.split("</tbody>").next().expect("it ends");
    for order in ["clear-flush-notify-set", "notify-before-clear", "no-flush", "no-range-start"] {
        let address = format!("href=\"#scenario-cow-{order}\"");
        assert!(chart.contains(&address), "{order} is not among the counts:\n{chart}");
        assert!(page.contains(&format!("id=\"scenario-cow-{order}\"")), "{order} has no place");
    }
    // One of each of the six wrong orders.
    let violations = page.matches("<h3>The first violation</h3>").count();
    assert_eq!(violations, 6, "each wrong order has its counterexample, and nobody else");
    assert!(chart.contains("class=\"bar harm\"") && chart.contains("class=\"bar work\""), "{chart}");
}

#[test]
fn json_says_where_it_is_from_and_has_what_a_wrong_order_did() {
    let order =
        ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush", "--seed", "7", "--json"];
    let output = afterimage(&order);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let (origin, run) = (&object["origin"], &object["runs"][0]);
    assert_eq!(origin["version"], env!("CARGO_PKG_VERSION"), "{origin}");
    assert_eq!(origin["arguments"].as_array().expect("a list").len(), order.len(), "{origin}");
    assert!(origin["machine"]["kernel"].as_str().is_some_and(|name| name.starts_with("Linux ")), "{origin}");
    assert!(origin["seconds"].as_f64().expect("a number") >= run["seconds"].as_f64().expect("a number"));
    assert_eq!(
        (object["parameters"]["seed"].as_u64(), &run["first_violation"]),
        (Some(7), &"counterexample".into())
    );
    let scenario = run["scenario"].as_str().expect("a text");
    let (saved, again) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-flush.scn"), "rows can happen");
    fs::write(&saved, scenario).expect("the folder can be written");
    let replayed = afterimage(&["replay", saved.to_str().expect("a plain path")]);
    assert!(replayed.status.success() && text(&replayed.stdout).contains(again), "{scenario}");
}

#[test]
fn orders_in_windows_of_several_widths_are_a_table_and_curves() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (csv, plot) = (folder.join("windows.csv"), folder.join("windows.svg"));
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush", "--seconds", "1"];
    let files = ["--csv", csv.to_str().expect("plain"), "--plot", plot.to_str().expect("plain")];
    let output = afterimage(&[&order[..], &["--windows", "100,2000"], &files].concat());
    // On a busy machine nobody may have met the old page; that is said, and is no failure.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}{}", text(&output.stdout), text(&output.stderr));
    let table = fs::read_to_string(&csv).expect("it was written");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 3, "names, and a run a width: {table}");
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
    assert_eq!([lines[1][2], lines[2][2]], ["100", "2000"], "{table}");
    let picture = fs::read_to_string(&plot).expect("it was written");
    assert!(picture.contains("cow-no-flush") && picture.matches("<polyline").count() == 4, "{picture}");
    let alone = afterimage(&["demo", "--plot", plot.to_str().expect("plain")]);
    assert_eq!(alone.status.code(), Some(2), "{}", text(&alone.stderr));
}

#[test]
fn what_a_wrong_order_does_is_a_run_of_its_scenario() {
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--order", "notify-before-clear"];
    let output = afterimage(&order);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("# VIOLATION: never ") && !said.contains("BOUND HIT"), "{said}");
}
