//! `afterimage zoo`, and the page it writes.

use std::path::Path;

use super::{afterimage, text};

#[test]
fn the_list_has_every_scenario_with_its_verdict_and_its_story() {
    let shown = text(&afterimage(&["zoo"]).stdout);
    for part in ["cow/notify-under-lock.scn", "violation  ptep_clear_flush() without _notify", "proved "] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let output = afterimage(&["zoo", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let scenarios = object["scenarios"].as_array().expect("a list of scenarios");
    assert!(scenarios.len() >= 40, "{} scenarios", scenarios.len());
    assert!(scenarios.iter().all(|row| row["about"].is_string() && row["expected"].is_string()), "{object}");
}

#[test]
fn a_variant_is_shown_with_what_it_has_become_and_its_counterexample() {
    let output = afterimage(&["zoo", "cow-notify-before-clear"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "like    cow-clear-flush-notify",
        "takes over from cow-clear-flush-notify",
        "`afterimage zoo --save DIR` writes cow/notify-under-lock.scn with what it is like",
        "  notify A\n  pte_clear A\n",
        "source, of what it is like: Jerome Glisse",
        "VIOLATED in 10 steps",
        "# VIOLATION: never IOMMU reads A == 0 after CPU store A",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let output = afterimage(&["zoo", "cow-notify-before-claer"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean `cow-notify-before-clear`?"));
}

#[test]
fn the_page_of_the_catalogue_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/catalogue.md");
    let page = std::fs::read_to_string(path).expect("docs/catalogue.md can be read");
    let now = text(&afterimage(&["zoo", "--markdown"]).stdout);
    assert!(page == now, "docs/catalogue.md is old; run: afterimage zoo --markdown > docs/catalogue.md");
}

#[test]
fn the_catalogue_is_saved_whole_and_over_nothing() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("zoo-save");
    let _gone = std::fs::remove_dir_all(&folder);
    let name = folder.to_str().expect("a path is text");
    let output = afterimage(&["zoo", "--save", name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for file in ordering::catalogue::FILES {
        assert_eq!(std::fs::read_to_string(folder.join(file.path)).expect("it was written"), file.text);
    }
    let checked = afterimage(&["check", &format!("{name}/cow"), "--scenario", "cow-notify-before-clear"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let again = afterimage(&["zoo", "--save", name]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is not empty, and nothing is written over; name another folder"));
    let refused = afterimage(&["zoo", "--save", "/dev/null/x"]);
    assert_eq!(refused.status.code(), Some(7));
    assert!(text(&refused.stderr).contains("cannot write /dev/null/x/"), "{}", text(&refused.stderr));
}
