//! `afterimage replay`.

use super::{RACE, afterimage, scenario, text};

/// The counterexample of the race, as `check --traces` prints it.
fn printed() -> String {
    let file = scenario("replay-race.scn", &format!("{RACE}expect violation\n"));
    let output = afterimage(&["check", "--traces", file.to_str().expect("a plain path")]);
    let shown = text(&output.stdout);
    let (_, trace) = shown.split_once("\ntrace\n").expect("a violation has a trace");
    let end = trace.find("\n\n").unwrap_or(trace.len());
    format!("trace\n{}\n", &trace[..end])
}

#[test]
fn what_check_prints_replays_to_the_same_violation() {
    let file = scenario("replay.scn", &format!("{RACE}\n{}", printed()));
    let output = afterimage(&["replay", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in ["scenario late-notification: ", "pte[A]: none", "# VIOLATION: never IOMMU reads A == 0"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn a_row_that_cannot_happen_says_where_it_stands_and_what_comes_instead() {
    let without: String =
        printed().lines().filter(|row| !row.starts_with("pte_clear")).map(|row| format!("{row}\n")).collect();
    let file = scenario("replay-wrong.scn", &format!("{RACE}\n{without}"));
    let output = afterimage(&["replay", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let message = text(&output.stderr);
    for part in ["replay-wrong.scn:", "cannot take this step here", "its next step is `pte_clear A`"] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}

#[test]
fn a_file_without_a_trace_says_how_to_get_one() {
    let file = scenario("replay-none.scn", RACE);
    let output = afterimage(&["replay", file.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("check --traces"), "{}", text(&output.stderr));
}

#[test]
fn what_the_demonstration_saves_is_checked_and_replayed() {
    let folder = std::env::temp_dir().join(format!("afterimage-saved-{}", std::process::id()));
    let path = folder.to_str().expect("a plain path");
    let order = ["--operation", "cow", "--order", "notify-in-range-end"];
    let run = afterimage(&[&order[..], &["--cpu", "software", "--save", path]].concat());
    assert_eq!(run.status.code(), Some(0), "{}{}", text(&run.stdout), text(&run.stderr));
    let file = folder.join("cow-notify-in-range-end.scn");
    let file = file.to_str().expect("a plain path");
    let shown = text(&run.stdout);
    for command in ["replay", "check"] {
        let output = afterimage(&[command, file]);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
    }
    // The rows that were printed are the rows that are replayed, but for the times.
    let replayed = text(&afterimage(&["replay", file]).stdout);
    let broken = |text: &str| text.lines().find(|line| line.starts_with("# VIOLATION: ")).map(str::to_owned);
    assert!(broken(&shown).is_some_and(|row| row.contains("reads A == 0 after writes A")), "{shown}");
    assert_eq!(broken(&shown), broken(&replayed));
    let rows = |text: &str| text.lines().filter(|line| line.contains(" # row ")).count();
    assert_eq!(rows(&shown), rows(&replayed), "{shown}\n{replayed}");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}
