//! `afterimage check --partition` and `afterimage merge`.

use std::fs::{read_to_string, write};
use std::path::Path;

use serde_json::Value;
use vmm_sys_util::tempdir::TempDir;

use super::{afterimage, text};

/// Scenarios of two files and one by its name; one of them is not as expected if `wrong`.
struct Whole {
    folder: TempDir,
}

impl Whole {
    fn new(wrong: bool) -> Self {
        let folder = TempDir::new_with_prefix(std::env::temp_dir().join("afterimage-partition"))
            .expect("a folder can be made");
        let one = |name: &str, last: &str| {
            format!("scenario {name}\nvar x = 0..3\nagent p\n  x = 1\n  x = {last}\nfinally x == 2\n")
        };
        let files = [
            ("a.scn", one("a", "2") + &one("b", "2")),
            ("b.scn", one("c", if wrong { "3" } else { "2" }) + &one("d", "2")),
        ];
        for (name, text) in files {
            write(folder.as_path().join(name), text).expect("a temporary file can be written");
        }
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.as_path().to_str().expect("the path is UTF-8")
    }

    /// Checks a part, and the file with its report.
    fn part(&self, index: usize, of: usize) -> String {
        let part = format!("{index}/{of}");
        let output = afterimage(&["check", self.path(), "store-buffering", "--json", "--partition", &part]);
        let report = self.folder.as_path().join(format!("{index}-of-{of}.json"));
        write(&report, output.stdout).expect("a temporary file can be written");
        report.to_str().expect("the path is UTF-8").to_owned()
    }
}

/// A report without times and where it comes from.
fn found(json: &[u8]) -> Value {
    let mut report: Value = serde_json::from_slice(json).expect("one JSON object");
    for one in report["scenarios"].as_array_mut().expect("scenarios are a list") {
        one["time_us"] = Value::Null;
    }
    serde_json::json!([report["schema"], report["scenarios"], report["errors"]])
}

#[test]
fn all_parts_together_are_the_whole_in_any_number_and_order() {
    for wrong in [false, true] {
        let whole = Whole::new(wrong);
        let expected = afterimage(&["check", whole.path(), "store-buffering", "--json"]);
        for of in [1, 2, 3, 5, 7] {
            let mut reports: Vec<String> = (1..=of).map(|index| whole.part(index, of)).collect();
            reports.reverse();
            let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
            let merged = afterimage(&[["merge", "--json"].as_slice(), &reports].concat());
            assert_eq!(found(&merged.stdout), found(&expected.stdout), "{of} parts");
            assert_eq!(merged.status.code(), expected.status.code(), "{of} parts");
            let lines = afterimage(&[["merge"].as_slice(), &reports].concat());
            assert_eq!(lines.status.code(), Some(i32::from(wrong)));
            let last = if wrong {
                "1 of 5 scenarios NOT AS EXPECTED."
            } else {
                "5 scenarios, each with the expected verdict."
            };
            assert!(text(&lines.stdout).ends_with(&format!("{last}\n")), "{}", text(&lines.stdout));
        }
    }
}

/// A scenario that is read and is too large to be explored.
fn too_large() -> String {
    let lines = |line: &dyn Fn(usize) -> String| (0..45).map(line).collect::<String>();
    let steps = |n: usize| (1..8).map(|value| format!("  x{n} = {value}\n")).collect();
    let [variables, steps, ends] =
        [lines(&|n| format!("var x{n} = 0..7\n")), lines(&steps), lines(&|n| format!("finally x{n} == 7\n"))];
    format!("scenario large\n{variables}agent k\n{steps}{ends}")
}

#[test]
fn a_scenario_that_cannot_be_explored_is_an_error_of_its_part_and_of_the_whole() {
    let whole = Whole::new(false);
    let path = whole.folder.as_path().join("a.scn");
    let text_of = read_to_string(&path).expect("it was written");
    let (first, second) = text_of.split_at(text_of.find("scenario b").expect("it is there"));
    write(&path, format!("{first}{}{second}", too_large())).expect("a temporary file can be written");
    let expected = afterimage(&["check", whole.path(), "store-buffering", "--json"]);
    assert_eq!(expected.status.code(), Some(2));
    assert_eq!(found(&expected.stdout)[2][0]["code"], "AI0087", "{}", text(&expected.stdout));
    for of in [1, 2, 3, 7] {
        let reports: Vec<String> = (1..=of).map(|index| whole.part(index, of)).collect();
        let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
        let merged = afterimage(&[["merge", "--json"].as_slice(), &reports].concat());
        assert_eq!(found(&merged.stdout), found(&expected.stdout), "{of}: {}", text(&merged.stderr));
        assert_eq!(merged.status.code(), Some(2), "{of} parts");
    }
    // A part that leaves the error out lacks a scenario; one with the error of another part's scenario is none.
    let [one, two] = [1, 2].map(|index| whole.part(index, 2));
    let text_of = read_to_string(&two).expect("it was written");
    let report: Value = serde_json::from_str(&text_of).expect("one JSON object");
    let changed = |errors: Value| {
        let mut report = report.clone();
        report["errors"] = errors;
        write(&two, report.to_string()).expect("a temporary file can be written");
        refusal(&[&one, &two])
    };
    assert!(changed(serde_json::json!([])).contains(" ends after 2 of its 3 scenarios: run `"));
    for number in [serde_json::json!(1), serde_json::json!(8), serde_json::json!(0)] {
        let mut error = report["errors"][0].clone();
        error["number"] = number;
        let told = changed(serde_json::json!([error]));
        assert!(told.contains(", which is of another part: run `"), "{told}");
    }
}

#[test]
fn errors_of_scenarios_come_in_the_order_of_the_scenarios_also_where_two_are_alike() {
    let whole = Whole::new(false);
    let path = whole.folder.as_path().join("a.scn");
    // The sizes of a sweep stand in one line, and most of them take as many bits: they say the same.
    let swept = too_large().replacen("\n", "\nsweep n = 7..11\n", 1).replacen("0..7", "0..n", 1);
    write(&path, swept).expect("a temporary file can be written");
    let expected = afterimage(&["check", whole.path(), "store-buffering", "--json"]);
    let errors = found(&expected.stdout)[2].as_array().map(Vec::len);
    assert_eq!(errors, Some(5), "{}", text(&expected.stdout));
    for of in [1, 2, 3, 4] {
        let reports: Vec<String> = (1..=of).map(|index| whole.part(index, of)).collect();
        let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
        let merged = afterimage(&[["merge", "--json"].as_slice(), &reports].concat());
        assert_eq!(found(&merged.stdout), found(&expected.stdout), "{of}: {}", text(&merged.stderr));
    }
}

#[test]
fn errors_of_a_file_that_is_named_twice_are_there_twice_in_parts_too() {
    let whole = Whole::new(false);
    let path = whole.folder.as_path().join("a.scn");
    write(&path, "scenario s\nagent p\n  laod A\n").expect("a temporary file can be written");
    let path = path.to_str().expect("the path is UTF-8");
    let expected = afterimage(&["check", path, path, "--json"]);
    assert_eq!(found(&expected.stdout)[2].as_array().map(Vec::len), Some(2), "{}", text(&expected.stdout));
    let reports = [1, 2].map(|index| {
        let output = afterimage(&["check", path, path, "--json", "--partition", &format!("{index}/2")]);
        let report = whole.folder.as_path().join(format!("{index}-twice.json"));
        write(&report, output.stdout).expect("a temporary file can be written");
        report.to_str().expect("the path is UTF-8").to_owned()
    });
    let merged = afterimage(&["merge", "--json", &reports[0], &reports[1]]);
    assert_eq!(found(&merged.stdout), found(&expected.stdout), "{}", text(&merged.stderr));
    assert_eq!(merged.status.code(), Some(2));
}

/// A report of a part that was made before a file changed.
#[test]
fn a_part_of_another_content_of_a_file_is_refused_with_the_name_of_the_file() {
    let whole = Whole::new(false);
    let one = whole.part(1, 2);
    let path = whole.folder.as_path().join("b.scn");
    let changed = read_to_string(&path).expect("it was written").replace("x = 1", "x = 0");
    write(&path, changed).expect("a temporary file can be written");
    let told = refusal(&[&one, &whole.part(2, 2)]);
    assert!(told.contains(" are of different contents of ") && told.contains("b.scn: run `"), "{told}");
    assert_eq!(afterimage(&["merge", &whole.part(1, 2), &whole.part(2, 2)]).status.code(), Some(0));
    // What has no hashes of its files, of an older afterimage, still has one of all.
    let mut old: Value =
        serde_json::from_str(&read_to_string(&one).expect("it was written")).expect("it is JSON");
    old["partition"].as_object_mut().expect("an object").remove("files");
    old["partition"]["inputs"] = "0".into();
    write(&one, old.to_string()).expect("a temporary file can be written");
    assert!(refusal(&[&one, &whole.part(2, 2)]).contains("is of other files or options than"));
}

#[test]
fn a_part_that_was_not_finished_is_refused_although_it_lacks_nothing_that_can_be_counted() {
    let whole = Whole::new(false);
    let [one, two] = [1, 2].map(|index| whole.part(index, 2));
    assert_eq!(afterimage(&["merge", &one, &two]).status.code(), Some(0));
    let mut report: Value =
        serde_json::from_str(&read_to_string(&one).expect("it was written")).expect("it is JSON");
    report["unfinished"] = "SIGINT ended it".into();
    write(&one, report.to_string()).expect("a temporary file can be written");
    let told = refusal(&[&one, &two]);
    assert!(told.contains(" is not all of part 1/2: SIGINT ended it: run `afterimage check "), "{told}");
}

/// What `merge` says of files that are no whole.
fn refusal(files: &[&str]) -> String {
    let output = afterimage(&[["merge"].as_slice(), files].concat());
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count(), output.stdout.len()), (Some(2), 1, 0), "{told}");
    told
}

#[test]
fn a_part_that_is_lost_twice_there_or_of_something_else_is_named() {
    let (whole, other) = (Whole::new(false), Whole::new(true));
    let [one, two, three] = [1, 2, 3].map(|index| whole.part(index, 3));
    let lost = refusal(&[&one, &three]);
    assert!(
        lost.contains("part 2/3 is missing: run `afterimage check ") && lost.contains("--partition 2/3"),
        "{lost}"
    );
    let twice = refusal(&[&one, &two, &three, &two]);
    assert!(twice.contains("are both part 2/3: leave out one of them"), "{twice}");
    let files = refusal(&[&one, &two, &other.part(3, 3)]);
    assert!(
        files.contains("is of other files or options than") && files.contains("--partition 3/3"),
        "{files}"
    );
    let of = refusal(&[&one, &whole.part(2, 2)]);
    assert!(of.contains("is one part of 2, ") && of.contains(" one of 3: run `"), "{of}");
    let edit = |from: &str, to: &str| {
        let text = read_to_string(&two).expect("it was written");
        assert!(text.contains(from), "{text}");
        let path = Path::new(&two).with_extension("edited");
        write(&path, text.replace(from, to)).expect("a temporary file can be written");
        path.to_str().expect("the path is UTF-8").to_owned()
    };
    let version = refusal(&[&one, &edit("\"version\": \"", "\"version\": \"9"), &three]);
    assert!(version.contains(" is of version 9") && version.contains(" with one version"), "{version}");
    let text = read_to_string(&two).expect("it was written");
    let cut = edit(&text[text.len() / 2..], "");
    assert!(refusal(&[&one, &cut, &three]).contains("not all of it"));
}

#[test]
fn a_part_that_contradicts_itself_or_has_a_scenario_twice_is_refused() {
    let whole = Whole::new(true);
    let (one, two) = (whole.part(1, 2), whole.part(2, 2));
    let text_of = read_to_string(&one).expect("it was written");
    let report: Value = serde_json::from_str(&text_of).expect("one JSON object");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut report = report.clone();
        change(&mut report["scenarios"]);
        write(&one, report.to_string()).expect("a temporary file can be written");
        refusal(&[&one, &two])
    };
    let contradicts = "is as expected and is not: run `afterimage check ";
    assert!(changed(&|all| all[0]["verdict"] = "VIOLATED".into()).contains(contradicts));
    assert!(changed(&|all| all[0]["faults"] = serde_json::json!(["x"])).contains(contradicts));
    assert!(changed(&|all| all[0]["as_expected"] = false.into()).contains(contradicts));
    let twice = changed(&|all| all[1] = all[0].clone());
    assert!(twice.contains("is there twice: run `afterimage check "), "{twice}");
}

#[test]
fn a_part_whose_scenarios_are_not_all_there_is_named() {
    let whole = Whole::new(false);
    let [one, two] = [1, 2].map(|index| whole.part(index, 2));
    let mut report: Value =
        serde_json::from_str(&read_to_string(&one).expect("it was written")).expect("it is JSON");
    report["scenarios"].as_array_mut().expect("a list").pop();
    write(&one, report.to_string()).expect("a temporary file can be written");
    assert!(refusal(&[&one, &two]).contains(" ends after 2 of its 3 scenarios: run `afterimage check "));
}

#[test]
fn a_part_that_is_none_is_refused() {
    for part in ["0/2", "3/2", "1", "1/0", "x/y"] {
        let output = afterimage(&["check", "store-buffering", "--json", "--partition", part]);
        assert_eq!(output.status.code(), Some(2), "{part}");
        assert!(text(&output.stderr).contains("give K/N, such as 1/4"), "{part}");
    }
}

#[test]
fn a_part_that_no_check_can_have_made_is_refused_at_once() {
    let whole = Whole::new(false);
    let made = whole.part(1, 2);
    for (field, value) in
        [("scenarios", u64::MAX), ("of", u64::MAX), ("of", 1 << 40), ("index", 3), ("index", 0)]
    {
        let mut report: Value =
            serde_json::from_str(&read_to_string(&made).expect("it was written")).expect("JSON");
        report["partition"][field] = value.into();
        // Then all of none are there.
        report["scenarios"] = serde_json::json!([]);
        let forged = whole.folder.as_path().join("forged.json");
        write(&forged, report.to_string()).expect("a temporary file can be written");
        let output = afterimage(&["merge", forged.to_str().expect("the path is UTF-8")]);
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{field} {value}: {told}");
        assert!(told.contains("says that it is part ") && told.contains("run it again"), "{told}");
    }
}
