//! `afterimage minimize`.

use super::{afterimage, text};

/// A file of the catalogue.
fn catalogue(path: &str) -> String {
    format!("{}/../tests/scenarios/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_row_says_what_it_must_come_after_and_before_and_what_happens_else() {
    let file = catalogue("cow/notify-under-lock.scn");
    let chosen = ["--agent", "CPU", "--scenario", "cow-clear-flush-notify-three-cpus"];
    let output = afterimage(&[&["minimize", file.as_str()], chosen.as_slice()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "  1  lock ptl(A)          not needed, together with 6 `unlock ptl(A)`\n",
        "  4  notify A             after 2 `pte_clear A`; before 5 `set_pte A -> new rw`\n",
        "# needed: 4 `notify A` before 5 `set_pte A -> new rw`; else: never IOMMU reads A == 0 after",
        "\nscenario cow-clear-flush-notify-three-cpus-order-1\nlike cow-clear-flush-notify-three-cpus\nreplace CPU.1 to ",
        "\n# VIOLATION: never IOMMU reads A == 0 after",
        "\nAll 2 orders that keep them are proved, and no other of ",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn without_a_name_the_first_proved_scenario_is_taken_and_json_has_the_same() {
    let file = catalogue("zap/madv-dontneed.scn");
    let output = afterimage(&["minimize", &file, "--agent", "T0", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(object["scenario"], "dontneed-notify-after-unlock");
    assert_eq!((&object["orders"], &object["explored_orders"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(object["rows"][4]["before"], serde_json::json!([6]), "{object}");
    assert!(object["needs"].as_array().is_some_and(|needs| needs.len() == 4), "{object}");
    assert_eq!((&object["shape"], &object["needs"][0]["needed"]), (&"one".into(), &true.into()), "{object}");
    assert_eq!(object["needs"][0]["order"], serde_json::json!([4, 2, 5, 6]), "{object}");
}

#[test]
fn a_scenario_of_the_catalogue_is_taken_by_its_name() {
    let by_file = catalogue("zap/madv-dontneed.scn");
    let [by_file, by_name] = [&by_file, "dontneed-notify-after-unlock"].map(|name| {
        let output = afterimage(&["minimize", name, "--agent", "T0"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    });
    assert_eq!(by_name, by_file);
    let output = afterimage(&["minimize", "dontneed-notify-after-unlok", "--agent", "T0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean `dontneed-notify-after-unlock`"));
}

#[test]
fn proved_orders_of_no_set_of_needs_are_said_to_be_that() {
    let text_of = "scenario either\ncpu C0, C1\nvar a = 0..1, b = 0..1, c = 0..1, e = 0..1\nagent K on C0\n  a = 1\n  b = 1\n  \
                   c = 1\nagent G on C1 spontaneous\n  if c && !a && !b: e = 1\nfinally !e\nexpect proved\n";
    let file = std::env::temp_dir().join(format!("afterimage-either-{}.scn", std::process::id()));
    std::fs::write(&file, text_of).expect("a folder for temporary files");
    let output = afterimage(&["minimize", file.to_str().expect("plain letters"), "--agent", "K"]);
    std::fs::remove_file(&file).expect("it was written");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "\n# kept: 2 `b = 1` before 3 `c = 1`; else: finally !e\n",
        "\n# set 2 of needs, kept by 3 orders:\n",
        "\n4 of 6 orders are proved, and no set of needs says which",
        "nothing is needed in all of them",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    assert!(!shown.contains("# needed"), "{shown}");
}

#[test]
fn a_name_that_is_none_and_a_scenario_that_is_not_proved_are_told() {
    let file = catalogue("zap/madv-dontneed.scn");
    for (arguments, status, message) in [
        (["--agent", "T7", "--scenario", "dontneed-notify-after-unlock"], 2, "its agents are T0, T1, DEV"),
        (["--agent", "T0", "--scenario", "dontneed-free-before-notfy"], 2, "did you mean"),
        (["--agent", "T0", "--scenario", "dontneed-free-before-notify"], 1, "is not proved as it stands"),
    ] {
        let output = afterimage(&[&["minimize", file.as_str()], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn what_the_limit_leaves_open_is_not_said_to_be_wrong() {
    let file = catalogue("cow/notify-under-lock.scn");
    let chosen = ["--agent", "CPU", "--scenario", "cow-clear-flush-notify", "--max-states", "3"];
    let output = afterimage(&[&["minimize", file.as_str()], chosen.as_slice()].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("was not decided: allow more with --max-states") && told.lines().count() == 1,
        "{told}"
    );
}
