//! What `check` and `race` print for other programs, and which scenarios they take.

mod schema;
mod unfinished;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{afterimage, text};

/// A device keeps a page, with all the letters that mean something to somebody.
const REFUTED: &str = "scenario late\nabout   \"<a> & 'b' % 50%\"\npage    A\nframe   old = 0, new = 0\nmap     A -> old ro\ncpu     CPU\ndevice  DEV ats\n\nrace\nCPU                 | DEV\npte_clear A         | walk A\nflush_tlb A         | dma_read A\nset_pte A -> new rw |\nstore A = 1         |\nnotify A            |\n\nnever   DEV reads A == 0 after CPU store A\nexpect  proved\n\nscenario early\nlike    late\nmove    CPU.5 before 3\nexpect  proved\n\nscenario late-as-said\nlike    late\nexpect  violation\n";
const WRONG: &str = "scenario bad\ncpu C\nagent C\n  laod A\n";
const FORMATS: [&str; 8] = ["text", "json", "github", "gitlab", "junit", "sarif", "tap", "markdown"];

/// A folder of its own with these files.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _gone = fs::remove_dir_all(&folder);
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder is made");
        fs::write(path, text).expect("a file is written");
    }
    folder
}

fn run(folder: &PathBuf, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GITHUB_WORKSPACE")
        .env_remove("CI_PROJECT_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    // A command that reads nothing has closed its end.
    let _read = child.stdin.take().expect("it was piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

fn schema_of(name: &str) -> Value {
    let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).expect("docs has it")).expect("it is JSON")
}

#[test]
fn a_name_of_a_file_is_told_in_one_line() {
    let name = "a\n::error file=README.md::pwned\u{1b}[2J.scn";
    for text_of in [REFUTED, WRONG] {
        let folder = folder("formats-names", &[(name, text_of)]);
        for format in FORMATS {
            for command in ["check", "race"] {
                let output = run(&folder, &[command, ".", "--format", format], "");
                let told = text(&output.stdout) + &text(&output.stderr);
                let obeyed = told.lines().any(|line| line.starts_with("::error file=README"))
                    || told.contains('\u{1b}');
                assert!(!obeyed, "{command} {format}: {told}");
            }
        }
        let output = run(&folder, &["fmt", "."], "");
        assert!(folder.join(name).is_file(), "{}", text(&output.stderr));
        assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 1, "nothing is written beside it");
        fs::remove_dir_all(folder).expect("it was made");
    }
}

#[test]
fn the_status_is_the_same_in_every_format() {
    let folder = folder("formats-status", &[("a.scn", REFUTED), ("b.scn", WRONG)]);
    for (arguments, status) in [
        (&["check", "a.scn", "--scenario", "early"][..], 0),
        (&["check", "a.scn"], 1),
        (&["check", "a.scn", "b.scn"], 2),
        (&["check", "a.scn", "--scenario", "early", "--max-states", "2"], 1),
        (&["race", "a.scn", "--rounds", "2", "--cpu", "software"], 0),
        (&["race", "a.scn", "b.scn", "--rounds", "2", "--cpu", "software"], 2),
    ] {
        for format in FORMATS {
            let output = run(&folder, &[arguments, &["--format", format]].concat(), "");
            assert_eq!(
                output.status.code(),
                Some(status),
                "{arguments:?} {format}: {}",
                text(&output.stderr)
            );
            assert!(!output.stdout.is_empty(), "{arguments:?} {format}");
        }
    }
}

#[test]
fn every_object_is_what_its_schema_says() {
    let folder = folder("formats-schema", &[("a.scn", REFUTED), ("b.scn", WRONG)]);
    let catalogue = "store-buffering";
    let part = run(&folder, &["check", "a.scn", "b.scn", "--json", "--partition", "1/1"], "");
    fs::write(folder.join("part.json"), &part.stdout).expect("it can be written");
    for (arguments, name) in [
        (&["check", "a.scn", "b.scn", "--json"][..], "afterimage-check-3"),
        (&["check", "a.scn", "--outcomes", "--format", "json"], "afterimage-check-3"),
        (&["check", catalogue, "--outcomes", "--json"], "afterimage-check-3"),
        (&["check", catalogue, "--json", "--max-states", "3"], "afterimage-check-3"),
        (&["check", "a.scn", "b.scn", "--json", "--partition", "1/1"], "afterimage-check-3"),
        (&["merge", "part.json", "--json"], "afterimage-check-3"),
        (&["race", "a.scn", "--rounds", "2", "--json"], "afterimage-race-2"),
        (&["race", catalogue, "--mode", "free", "--rounds", "50", "--json"], "afterimage-race-2"),
    ] {
        let output = run(&folder, arguments, "");
        if output.stdout.is_empty() {
            // The catalogue may call its scenarios otherwise some day.
            panic!("{arguments:?}: {}", text(&output.stderr));
        }
        let (object, schema) = (object(&output), schema_of(name));
        assert_eq!(object["schema"], name, "{arguments:?}");
        vmm::schema::require(&object, name, "it").expect("a reader takes it");
        assert_eq!(schema::faults(&schema, &object), [""; 0], "{arguments:?}");
    }
}

#[test]
fn github_is_told_the_line_of_the_row_that_broke_in_one_line_each() {
    let folder = folder("formats-github", &[("a.scn", REFUTED), ("b,c:d.scn", WRONG)]);
    let output = run(&folder, &["check", "a.scn", "b,c:d.scn", "--format", "github"], "");
    let shown = text(&output.stdout);
    let commands: Vec<&str> = shown.lines().filter(|line| line.starts_with("::")).collect();
    let [broken, wrong] = commands[..] else { panic!("two annotations in {shown}") };
    // `dma_read A` stands on line 12.
    assert!(
        broken.starts_with("::error file=a.scn,line=12,title=late%3A VIOLATED in 7 steps::expected PROVED"),
        "{broken}"
    );
    assert!(broken.contains("%0Amissing: ") && !broken.contains("%%") && !broken.contains('\r'), "{broken}");
    let place =
        "::error file=b%2Cc%3Ad.scn,line=4,col=3,endColumn=7,title=error[AI0012]::there is no step `laod`";
    assert!(wrong.starts_with(place) && wrong.contains("%0Ahelp: did you mean `load`?"), "{wrong}");
    assert!(shown.ends_with("1 of 2 files could not be checked.\n"), "{shown}");
}

#[test]
fn gitlab_has_an_issue_for_each_fault_with_a_fingerprint_that_outlives_the_lines_above_it() {
    let folder =
        folder("formats-gitlab", &[("a.scn", REFUTED), ("sub/b.scn", &format!("{WRONG}  laod A\n"))]);
    let issues = || {
        let output = run(&folder, &["check", "./a.scn", "sub", "--format", "gitlab"], "");
        object(&output).as_array().expect("a list").clone()
    };
    let before = issues();
    let [broken, wrong, again] = &before[..] else { panic!("three issues in {before:?}") };
    let place = |path: &str, line: u32| serde_json::json!({"path": path, "lines": {"begin": line}});
    assert_eq!(broken["location"], place("a.scn", 12));
    assert_eq!(broken["check_name"], "violated/never-DEV-reads-A-0-after-CPU-store-A");
    let described = broken["description"].as_str().expect("a text");
    assert!(described.starts_with("late: VIOLATED in 7 steps: ") && !described.contains('\n'), "{described}");
    assert_eq!((&wrong["location"], &again["location"]), (&place("sub/b.scn", 4), &place("sub/b.scn", 5)));
    assert_eq!((&wrong["check_name"], &wrong["description"]), (&again["check_name"], &again["description"]));
    let prints = |issues: &[Value]| issues.iter().map(|one| one["fingerprint"].clone()).collect::<Vec<_>>();
    let mut all = prints(&before);
    fs::write(folder.join("a.scn"), format!("# A remark.\n\n{REFUTED}")).expect("a file is written");
    assert_eq!(prints(&issues()), all, "a line above changes nothing");
    all.sort_by_key(ToString::to_string);
    all.dedup();
    assert_eq!(all.len(), 3, "each has its own");
    for issue in &before {
        let severity = issue["severity"].as_str().expect("a word");
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity), "{issue}");
    }
    let none = run(&folder, &["check", "a.scn", "--scenario", "early", "--format", "gitlab"], "");
    assert_eq!(object(&none), serde_json::json!([]));
}

#[test]
fn below_the_root_of_the_repository_an_annotation_has_the_path_from_there() {
    let folder = folder("formats-root", &[("sub/a.scn", REFUTED)]);
    let shown = |format: &str, variable: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["check", "a.scn", "--format", format])
            .current_dir(folder.join("sub"))
            .env(variable, &folder)
            .output()
            .expect("the command was built");
        text(&output.stdout)
    };
    let github = shown("github", "GITHUB_WORKSPACE");
    assert!(github.starts_with("::error file=sub/a.scn,line=12,"), "{github}");
    let sarif = shown("sarif", "GITHUB_WORKSPACE");
    assert!(sarif.contains("\"uri\": \"sub/a.scn\"") && !sarif.contains("\"uri\": \"a.scn\""), "{sarif}");
    let gitlab = shown("gitlab", "CI_PROJECT_DIR");
    assert!(gitlab.contains("\"path\": \"sub/a.scn\""), "{gitlab}");
}

#[test]
fn a_suite_counts_its_cases_and_has_the_counterexample() {
    let folder = folder("formats-junit", &[("a.scn", REFUTED), ("b\u{1}<.scn", WRONG)]);
    let shown = text(&run(&folder, &["check", "a.scn", "b\u{1}<.scn", "--format", "junit"], "").stdout);
    for part in [
        "<testsuite name=\"a.scn\" package=\"afterimage.check\" id=\"0\" tests=\"3\" failures=\"1\" errors=\"0\"",
        "<testsuite name=\"b\u{2401}&lt;.scn\" package=\"afterimage.check\" id=\"1\" tests=\"1\" failures=\"0\" errors=\"1\"",
        "<testcase name=\"late\" classname=\"a.scn\"",
        "type=\"violated/never-DEV-reads-A-0-after-CPU-store-A\"",
        "set_pte A -&gt; new rw |",
        "type=\"AI0012\"",
    ] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    assert_eq!(shown.matches("<failure ").count(), 1);
    assert!(shown.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>"), "{shown}");
}

#[test]
fn sarif_has_a_rule_for_each_result_and_the_rows_of_a_counterexample_in_order() {
    let folder = folder("formats-sarif", &[("a b.scn", REFUTED), ("b.scn", WRONG)]);
    let log = object(&run(&folder, &["check", "a b.scn", "b.scn", "--format", "sarif"], ""));
    let run = &log["runs"][0];
    let (rules, results) = (&run["tool"]["driver"]["rules"], run["results"].as_array().expect("results"));
    assert_eq!((log["version"].as_str(), results.len()), (Some("2.1.0"), 2));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&"a%20b.scn".into(), &12.into())
    );
    let rows = results[0]["codeFlows"][0]["threadFlows"][0]["locations"].as_array().expect("rows");
    let orders: Vec<u64> = rows.iter().filter_map(|row| row["executionOrder"].as_u64()).collect();
    assert_eq!(orders, (1..=7).collect::<Vec<_>>());
    let last = rows[6]["location"]["message"]["text"].as_str().expect("a text");
    assert!(last.starts_with("DEV: dma_read A = 0"), "{last}");
    let region = &results[1]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region, &serde_json::json!({"startLine": 4, "startColumn": 3, "endLine": 4, "endColumn": 7}));
    let language =
        &rules[usize::try_from(results[1]["ruleIndex"].as_u64().expect("an index")).expect("small")];
    assert!(language["help"]["text"].as_str().expect("help").contains("Wrong:"), "{rules}");
}

#[test]
fn tap_plans_as_many_points_as_it_has() {
    let folder = folder("formats-tap", &[("a.scn", REFUTED), ("b#c.scn", WRONG)]);
    let shown = text(&run(&folder, &["check", "a.scn", "b#c.scn", "--format", "tap"], "").stdout);
    assert!(
        shown.starts_with("TAP version 14\n1..4\nnot ok 1 - a.scn: late: VIOLATED in 7 steps\n  ---\n"),
        "{shown}"
    );
    for part in ["\nok 2 - a.scn: early: PROVED\n", "\nok 3 - ", "\nnot ok 4 - b\\#c.scn:4:3: AI0012\n"] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    assert_eq!(shown.matches("\n  ...\n").count(), 2, "{shown}");
}

#[test]
fn markdown_has_a_row_for_each_scenario_and_nothing_leaves_its_cell() {
    let hostile = REFUTED.replace("about   \"<a>", "about   \"``` <a>");
    let folder = folder("formats-markdown", &[("a|b`_.scn", &hostile), ("c#d.scn", WRONG)]);
    let shown = text(&run(&folder, &["check", "a|b`_.scn", "c#d.scn", "--format", "markdown"], "").stdout);
    let rows: Vec<_> = shown.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 1 + 3 + 1, "a head, three scenarios, an error: {shown}");
    // What is escaped ends no cell: each row has as many as the head.
    for row in &rows {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
    }
    for part in [
        "| late | VIOLATED in 7 steps | **no** | a\\|b\\`\\_.scn:1 | 0.",
        "| early | PROVED | yes | a\\|b\\`\\_.scn:",
        "| | error AI0012 | **no** | c\\#d.scn:4:3 | |",
        "\n### late: VIOLATED in 7 steps (a\\|b\\`\\_.scn:12)\n\n```text\nexpected PROVED",
        "\n### c\\#d.scn:4:3: error AI0012\n\n```text\nthere is no step `laod`\nhelp: did you mean `load`?\n```\n",
    ] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    assert!(shown.ends_with("\n\n1 of 2 files could not be checked.\n"), "{shown}");
    assert_eq!(shown.matches("\n```\n").count(), 2, "each block ends: {shown}");
}

#[test]
fn quiet_says_what_is_wrong_and_the_last_line() {
    let folder = folder(
        "formats-quiet",
        &[
            ("a.scn", REFUTED),
            (
                "c.scn",
                &REFUTED.replace("expect  proved\n\nscenario early", "expect  violation\n\nscenario early"),
            ),
        ],
    );
    let shown = text(&run(&folder, &["check", "-q", "a.scn", "c.scn"], "").stdout);
    assert!(
        shown.starts_with("a.scn\nlate  ") && shown.contains("1 of 6 scenarios NOT AS EXPECTED"),
        "{shown}"
    );
    assert!(!shown.contains("early  ") && !shown.contains("c.scn"), "{shown}");
    let all = run(&folder, &["check", "-q", "c.scn"], "");
    assert_eq!(
        (text(&all.stdout).as_str(), all.status.code()),
        ("3 scenarios, each with the expected verdict.\n", Some(0))
    );
    let refused = run(&folder, &["check", "-q", "a.scn", "--format", "tap"], "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--quiet is for --format text"), "{}", text(&refused.stderr));
}

#[test]
fn two_scenarios_of_one_file_stand_below_its_name_once() {
    let folder = folder("formats-heading", &[("a.scn", REFUTED)]);
    let names = ["cow-notify-before-clear", "cow-clear-flush-notify", "store-buffering", "cow-no-clear"];
    let shown = text(&run(&folder, &[&["check"], &names[..]].concat(), "").stdout);
    let headings: Vec<_> = shown.lines().filter(|line| line.ends_with(".scn")).collect();
    let (cow, litmus) = ("cow/notify-under-lock.scn", "litmus/store-buffers.scn");
    assert_eq!(headings, [cow, litmus, cow], "{shown}");
    let one = text(&run(&folder, &["check", names[0]], "").stdout);
    assert!(one.ends_with("\n1 scenario, with the expected verdict.\n"), "{one}");
}

#[test]
fn standard_input_patterns_and_names_choose_what_is_checked() {
    let folder =
        folder("formats-choice", &[("x/a.scn", REFUTED), ("x/y/b.scn", REFUTED), ("x/c.txt", "no scenario")]);
    let said = |arguments: &[&str], input: &str| {
        let output = run(&folder, arguments, input);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, shown, _) = said(&["check", "-", "--scenario", "early"], REFUTED);
    assert!(status == Some(0) && shown.starts_with("<stdin>\nearly  "), "{shown}");
    let (_, shown, _) = said(&["check", "x/**/*.scn", "--scenario", "e*", "--scenario", "late-??-said"], "");
    assert!(
        shown.contains("x/a.scn\n") && shown.contains("x/y/b.scn\n") && shown.contains("4 scenarios, each"),
        "{shown}"
    );
    let (_, shown, _) = said(&["check", "x*", "x/a.sc[n]", "--scenario", "early"], "");
    assert!(shown.contains("3 scenarios, each"), "{shown}");
    for (arguments, part) in [
        (&["check", "z/*.scn"][..], "z/*.scn matches no file and no folder with scenarios"),
        (&["check", "x/***"], "is no pattern"),
        (&["check", "-", "-"], "standard input is named twice"),
        (
            &["check", "x", "--scenario", "eraly"],
            "there is no scenario `eraly` in what was named: did you mean `early`?",
        ),
        (&["race", "x", "--scenario", "z*"], "there is no scenario `z*`"),
        (&["check", "x", "--scenario", "[a"], "put quotes around"),
        (&["check", "x", "--output", "x/y"], "cannot write x/y"),
        (&["check", "x", "--output", "a.scn"], "that is a scenario file"),
        (&["check", "x", "--output", "p", "--html", "./p"], "cannot both be written into ./p"),
        (&["check", "x", "--json", "--format", "tap"], "cannot be used with"),
        (
            &["check", "x/c.txt", "--output", "x/../x/c.txt"],
            "--output would write over x/../x/c.txt, which is read",
        ),
    ] {
        let (status, shown, told) = said(arguments, "");
        assert_eq!((status, shown.as_str()), (Some(2), ""), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
}

#[test]
fn the_output_goes_to_a_file_that_is_kept_until_there_is_something_to_write() {
    let folder = folder("formats-output", &[("a.scn", REFUTED), ("out.xml", "what was")]);
    let refused = run(
        &folder,
        &["check", "a.scn", "--format", "junit", "--output", "out.xml", "--scenario", "none"],
        "",
    );
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(fs::read_to_string(folder.join("out.xml")).expect("it is there"), "what was");
    for format in FORMATS {
        let to = run(&folder, &["check", "a.scn", "--format", format, "--output", "out.xml"], "");
        assert_eq!((to.status.code(), text(&to.stdout).as_str()), (Some(1), ""), "{format}");
        let written = fs::read_to_string(folder.join("out.xml")).expect("it is there");
        let name = written.contains("late");
        assert!(name && !written.contains("what was"), "{format}: {written}");
    }
    let full = run(&folder, &["check", "a.scn", "--format", "tap", "--output", "/dev/full"], "");
    assert_eq!(full.status.code(), Some(7), "{}", text(&full.stderr));
}

#[test]
fn colours_are_printed_when_they_are_asked_for() {
    let folder = folder("formats-colour", &[("b.scn", WRONG)]);
    for (arguments, coloured) in [
        (&["check", "b.scn"][..], false),
        (&["check", "b.scn", "--color", "always"], true),
        (&["check", "b.scn", "--color=never"], false),
        (&["--color", "always", "check", "b.scn"], true),
        (&["--color=never", "check", "b.scn"], false),
    ] {
        let told = text(&run(&folder, arguments, "").stderr);
        assert_eq!(told.contains("\x1b["), coloured, "{arguments:?}: {told}");
        assert!(told.contains("AI0012"), "{arguments:?}: {told}");
    }
    assert!(
        text(&afterimage(&["check", "--color", "blue", "x"]).stderr)
            .contains("possible values: auto, always, never")
    );
}
