//! `afterimage check --outcomes`.

use serde_json::{Value, json};

use super::{afterimage, scenario, text};

const RACE: &str = "scenario late\npage A\nframe old = 0, new = 1\nmap A -> old ro\ncpu CPU\ndevice DMA\n\nrace\n\
    CPU | DMA\npte_clear A | dma_read A\nset_pte A -> new ro |\nnotify A |\n\n\
    never DMA reads A == 0 after CPU set_pte A\nexpect violation\n";

#[test]
fn each_outcome_is_a_line_and_the_forbidden_ones_are_marked() {
    let file = scenario("outcomes.scn", RACE);
    let output = afterimage(&["check", "--outcomes", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().skip(2).take(6).collect();
    let expected = [
        "    4 outcomes",
        "      DMA.1 dma_read A = -; pte[A] = new ro",
        "      DMA.1 dma_read A = 0; pte[A] = new ro",
        "      DMA.1 dma_read A = 1; pte[A] = new ro",
        "    * breaks never DMA reads A == 0 after CPU set_pte A (line 14)",
        "    Sometimes holds in 3, broken in 1: never DMA reads A == 0 after CPU set_pte A (line 14)",
    ];
    assert_eq!(lines, expected, "{shown}");
    let plain = text(&afterimage(&["check", file.to_str().expect("a plain path")]).stdout);
    assert!(!plain.contains(" outcomes") && plain.contains("VIOLATED in "), "only if asked: {plain}");
}

#[test]
fn json_has_the_same_outcomes_as_lists() {
    let file = scenario("outcomes-json.scn", RACE);
    let path = file.to_str().expect("a plain path");
    let report = |arguments: &[&str]| -> Value {
        serde_json::from_slice(&afterimage(arguments).stdout).expect("one JSON object")
    };
    let object = report(&["check", "--outcomes", "--json", path]);
    let outcomes = &object["scenarios"][0]["outcomes"];
    assert_eq!(
        (&outcomes["complete"], &outcomes["entries"]),
        (&true.into(), &json!(["pte[A]"])),
        "{outcomes}"
    );
    assert_eq!(outcomes["places"], json!([{ "agent": "DMA", "row": 1, "line": 10, "text": "dma_read A" }]));
    let found = outcomes["found"].as_array().expect("a list");
    let values: Vec<&Value> = found.iter().map(|one| &one["values"]).collect();
    assert_eq!(values, [&json!([null]), &json!([0]), &json!([1]), &Value::Null], "{outcomes}");
    let ends: Vec<&Value> = found.iter().map(|one| &one["end"]).collect();
    assert_eq!(ends, ["ended", "ended", "ended", "broken"], "{outcomes}");
    assert_eq!((&found[0]["allowed"], &found[3]["allowed"]), (&true.into(), &false.into()), "{outcomes}");
    let never = &outcomes["properties"][0];
    assert_eq!(
        (&never["frequency"], &never["holds"], &never["broken"]),
        (&"Sometimes".into(), &3.into(), &1.into())
    );
    assert_eq!(report(&["check", "--json", path])["scenarios"][0]["outcomes"], Value::Null);
}

#[test]
fn a_scenario_of_the_catalogue_is_checked_by_its_name_alone() {
    let output = afterimage(&["check", "--outcomes", "store-buffering", "store-buffering-in-order"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert_eq!(shown.matches("x = 1; y = 1; r0 = 0; r1 = 0").count(), 1, "with TSO, not without: {shown}");
    assert!(shown.contains("    4 outcomes\n    * x = 1; y = 1; r0 = 0; r1 = 0\n"), "{shown}");
    assert!(shown.contains("    3 outcomes\n") && shown.contains("    Always    holds in 3"), "{shown}");
    assert!(shown.ends_with("\n2 scenarios, each with the expected verdict.\n"), "{shown}");
    assert_eq!(afterimage(&["check", "store-bufferin"]).status.code(), Some(2));
}

#[test]
fn a_file_comes_before_a_scenario_of_its_name() {
    let folder = scenario("of-a-name.scn", RACE).parent().expect("it is in a folder").join("names");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    std::fs::write(folder.join("store-buffering"), RACE).expect("the target folder can be written");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_afterimage"));
    let output = command.args(["check", "store-buffering"]).current_dir(folder).output();
    let shown = text(&output.expect("the command was built").stdout);
    assert!(shown.starts_with("store-buffering\nlate  "), "{shown}");
}

#[test]
fn outcomes_within_a_limit_are_not_taken_for_all() {
    let file = scenario("outcomes-limit.scn", RACE);
    let path = file.to_str().expect("a plain path");
    let output = afterimage(&["check", "--outcomes", "--max-states", "9", path]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    for part in [" within --max-states, and perhaps more\n", "NOT AS EXPECTED: not all outcomes are known"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}
