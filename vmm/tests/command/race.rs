//! `afterimage race`: scenarios on the live machine.

use super::{RACE, afterimage, has_kvm, scenario, text};

#[test]
fn a_refuted_scenario_happens_and_its_rows_are_shown() {
    let output = afterimage(&["race", "cow-notify-before-clear", "--traces", "--rounds", "10"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "cow/notify-under-lock.scn",
        "HAPPENED in 10 steps",
        "10 runs",
        "# VIOLATION: never IOMMU reads A == 0 after CPU store A",
        "1 of 1 counterexample happened",
        "no divergence",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn files_and_scenarios_of_files_run_and_are_one_json_object_when_asked() {
    let file = scenario("race.scn", &format!("{RACE}expect violation\n"));
    let file = file.to_str().expect("a plain path");
    let output = afterimage(&["race", file, "--json", "--rounds", "7", "--seed", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&object["schema"], &object["seed"]), (&"afterimage-race-2".into(), &9.into()));
    let one = &object["scenarios"][0];
    assert_eq!((&one["model"], &one["happened"], &one["runs"]), (&"refuted".into(), &true.into(), &7.into()));
    assert!(one["divergence"].is_null() && one["rows"].as_u64() > Some(20), "{one}");
}

#[test]
fn the_same_seed_takes_the_same_runs() {
    let rows = |seed: &str| {
        let output =
            afterimage(&["race", "cow-two-address-order", "--json", "--rounds", "20", "--seed", seed]);
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        object["scenarios"][0]["rows"].as_u64().expect("a count")
    };
    assert_eq!(rows("5"), rows("5"));
}

#[test]
fn what_is_no_scenario_gets_the_nearest() {
    for (arguments, part) in [
        (["race", "cow-notify-before-claer"].as_slice(), "did you mean `cow-notify-before-clear`?"),
        (["race", "no/such/folder"].as_slice(), "cannot read no/such/folder"),
    ] {
        let output = afterimage(arguments);
        let message = text(&output.stderr);
        assert!(message.contains(part), "no `{part}` in:\n{message}");
        assert_eq!(output.status.code(), Some(2), "{message}");
    }
    let file = scenario("race-none.scn", RACE);
    let output =
        afterimage(&["race", file.to_str().expect("a plain path"), "--scenario", "late-notificaton"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean `late-notification`?"), "{}", text(&output.stderr));
}

#[test]
fn a_file_with_errors_is_unusable_and_the_others_run() {
    let wrong = scenario("race-wrong.scn", "scenario wrong\npage A\nrace\nCPU\nfrobnicate A\n");
    let right = scenario("race-right.scn", &format!("{RACE}expect violation\n"));
    let output = afterimage(&[
        "race",
        wrong.to_str().expect("a plain path"),
        right.to_str().expect("a plain path"),
        "--rounds",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("race-wrong.scn cannot be raced"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("HAPPENED"), "{}", text(&output.stdout));
}

#[test]
fn who_runs_by_himself_ends_as_the_model_allows_and_is_counted() {
    let output = afterimage(&["race", "store-buffering", "--mode", "free", "--rounds", "4000"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "4000 rounds ",
        " at once ",
        "* x = 1; y = 1; r0 = 0; r1 = 0",
        " of 4 outcomes seen",
        "no divergence",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let output = afterimage(&["race", "store-buffering", "--mode", "windows", "--rounds", "500", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let one = &object["free"][0];
    let outcomes = one["outcomes"].as_array().expect("a list");
    let counted: u64 = outcomes.iter().filter_map(|outcome| outcome["count"].as_u64()).sum();
    assert_eq!((counted, &one["rounds"], &one["agrees"]), (500, &500.into(), &true.into()), "{object}");
}

#[test]
fn a_scenario_without_a_run_does_not_count_as_one_that_agrees() {
    let names = ["cow-two-address-order", "cow-notify-before-clear", "cow-clear-flush-notify"];
    let output = afterimage(&[&["race"], &names[..], &["--rounds", "0"]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("HAPPENED in 10 steps"), "what is refuted happens all the same:\n{shown}");
    assert!(!shown.contains("agrees") && shown.contains("\n1 not decided: "), "{shown}");
    let output = afterimage(&["race", "cow-notify-before-clear", "--rounds", "0"]);
    assert_eq!(output.status.code(), Some(0), "all of it happened: {}", text(&output.stdout));
}

#[test]
fn the_whole_catalogue_ends_as_the_model_allows_when_all_run_free() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios");
    let output = afterimage(&["race", folder, "--mode", "free", "--rounds", "10", "--cpu", "software"]);
    let shown = text(&output.stdout);
    let diverged: Vec<&str> = shown.lines().filter(|line| line.contains("DIVERGE")).collect();
    assert_eq!((output.status.code(), diverged), (Some(0), Vec::new()), "{}", text(&output.stderr));
    assert!(shown.matches(" 10 rounds ").count() > 500, "all of them run");
}

#[test]
fn what_the_search_did_not_decide_is_no_agreement_in_any_format() {
    for mode in ["steered", "free"] {
        let asked = ["race", "store-buffering", "--mode", mode, "--rounds", "20", "--max-states", "2"];
        let output = afterimage(&asked);
        assert_eq!(output.status.code(), Some(3), "{mode}: {}", text(&output.stdout));
        for (format, told) in
            [("tap", "not ok 1"), ("junit", "<failure"), ("gitlab", "fingerprint"), ("github", "::")]
        {
            let output = afterimage(&[&asked[..], &["--format", format]].concat());
            assert_eq!(output.status.code(), Some(3), "{mode} {format}");
            assert!(text(&output.stdout).contains(told), "{mode} {format}: {}", text(&output.stdout));
        }
    }
}

#[test]
fn what_a_scenario_names_often_needs_no_more_than_it_may() {
    let many = |line: &dyn Fn(usize) -> String| (0..60).map(line).collect::<String>();
    let pages = many(&|page| format!("page p{page}\nmap p{page} -> f rw\n"));
    let users = many(&|user| format!("device D{user} ats\nagent a{user} on D{user}\n  dma_read A\n"));
    let gups = many(&|handle| format!("  gup_fast A => h{handle}\n"));
    let head = "page A\nframe f\nmap A -> f rw\n";
    for (name, text_of) in [
        ("pages", format!("scenario pages\nframe f\n{pages}cpu C\nagent a on C\n  load p7; load p59\n")),
        ("users", format!("scenario users\n{head}{users}")),
        ("handles", format!("scenario handles\n{head}agent a\n{gups}")),
    ] {
        let file = scenario(&format!("race-many-{name}.scn"), &text_of);
        let file = file.to_str().expect("a plain path");
        let output = afterimage(&["race", file, "--rounds", "2", "--max-states", "1000"]);
        let decided = [Some(0), Some(3)].contains(&output.status.code());
        assert!(decided, "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn what_lands_later_times_out_or_is_torn_happens_too() {
    let names = [
        ("read-drain-left-out", "HAPPENED in 6 steps"),
        ("pasid-entry-zeroed-while-present", "HAPPENED"),
        ("neighbour-of-a-time-out", "HAPPENED"),
        ("shadow-page-freed-before-the-flush", "HAPPENED"),
    ];
    for (name, told) in names {
        let output = afterimage(&["race", name, "--rounds", "20"]);
        let shown = text(&output.stdout);
        assert!(output.status.success() && shown.contains(told), "{name}: {shown}{}", text(&output.stderr));
    }
}

#[test]
fn a_guest_on_kvm_reads_the_old_page() {
    if !has_kvm() {
        return;
    }
    let output = afterimage(&["race", "change-pte-without-range", "--cpu", "kvm", "--rounds", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let one = &object["scenarios"][0];
    assert_eq!((&one["happened"], &one["vcpus_on_kvm"]), (&true.into(), &true.into()), "{object}");
    let output =
        afterimage(&["race", "change-pte-without-range", "--cpu", "software", "--rounds", "3", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let one = &object["scenarios"][0];
    assert_eq!((&one["happened"], &one["vcpus_on_kvm"]), (&true.into(), &false.into()), "{object}");
}
