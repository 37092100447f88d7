//! A scenario that is swept, through the commands: chosen, checked in parts, cross-checked, read again.

use std::fs::write;

use serde_json::Value;
use vmm_sys_util::tempdir::TempDir;

use super::{afterimage, text};

/// COW of N pages beside D devices, told in time and late; in a file of its own.
struct Swept {
    folder: TempDir,
}

impl Swept {
    fn new(pages: &str, expected: &str) -> Self {
        let folder = TempDir::new_with_prefix(std::env::temp_dir().join("afterimage-sweep"))
            .expect("a folder can be made");
        let source = format!(
            "scenario cow-n\nsweep pages = {pages}, devices = 1..2, ops = 1..2\ncpu A, B\noption evict = off\n\
             for i in 1..pages:\n  page P[i]\n  frame o[i] = 0, n[i] = 0\n  map P[i] -> o[i] ro\n  \
             never reads P[i] == 0 after A store P[i]\n\
             for d in 1..devices:\n  device D[d]\n  agent D[d]\n    repeat 0..ops:\n      dma_read any\n\
             agent A\n  for i in 1..pages:\n    lock pl\n    pte_clear P[i]\n    flush_tlb P[i]\n    notify P[i]\n    \
             set_pte P[i] -> n[i] rw\n    unlock pl\n    store P[i] = 1\n\
             agent B\n  for i in 1..pages: load P[i]\nexpect proved\n\
             scenario late\nlike cow-n\nmove A.5 before 9\n{expected}\n"
        );
        write(folder.as_path().join("cow.scn"), source).expect("a temporary file can be written");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.as_path().join(name).to_str().expect("the path is UTF-8").to_owned()
    }

    /// The file with the report of a part.
    fn part(&self, index: usize, of: usize) -> String {
        let part = format!("{index}/{of}");
        let output = afterimage(&["check", &self.path("cow.scn"), "--json", "--partition", &part]);
        let report = self.path(&format!("{index}-of-{of}.json"));
        write(&report, output.stdout).expect("a temporary file can be written");
        report
    }
}

/// What is said of each scenario, as it is written, but for its time.
fn verdicts(json: &[u8]) -> String {
    let mut report: Value = serde_json::from_slice(json).expect("one JSON object");
    for one in report["scenarios"].as_array_mut().expect("scenarios are a list") {
        one["time_us"] = Value::Null;
    }
    serde_json::to_string_pretty(&report["scenarios"]).expect("it is JSON")
}

#[test]
fn the_parts_of_a_sweep_say_together_what_one_check_says() {
    for (expected, status) in [
        ("expect violation in 9 steps", 0),
        ("expect proved when pages == 1\nexpect violation when pages > 1", 1),
    ] {
        let swept = Swept::new("1..2", expected);
        let whole = afterimage(&["check", &swept.path("cow.scn"), "--json"]);
        assert_eq!(whole.status.code(), Some(status), "{}", text(&whole.stderr));
        let said = verdicts(&whole.stdout);
        assert_eq!(said.matches("\"scenario\": ").count(), 16, "{said}");
        for of in [1, 2, 3, 7] {
            let reports: Vec<String> = (1..=of).map(|index| swept.part(index, of)).collect();
            let arguments: Vec<&str> =
                ["merge", "--json"].into_iter().chain(reports.iter().map(String::as_str)).collect();
            let merged = afterimage(&arguments);
            assert_eq!(verdicts(&merged.stdout), said, "{of} parts");
            assert_eq!(merged.status.code(), Some(status), "{of} parts");
        }
    }
}

#[test]
fn a_part_of_a_sweep_that_is_lost_is_named() {
    let swept = Swept::new("1..1", "expect violation");
    let [one, _, three] = [1, 2, 3].map(|index| swept.part(index, 3));
    let merged = afterimage(&["merge", &one, &three]);
    let told = text(&merged.stderr);
    assert_eq!((merged.status.code(), merged.stdout.len(), told.lines().count()), (Some(2), 0, 1), "{told}");
    assert!(
        told.contains("part 2/3 is missing: run `afterimage check ") && told.contains("--partition 2/3`"),
        "{told}"
    );
}

#[test]
fn with_and_without_reductions_every_combination_has_one_answer() {
    let swept = Swept::new("1..3", "expect violation in 9 steps");
    let output = afterimage(&["check", &swept.path("cow.scn"), "--cross-check", "--scenario", "cow-n"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert!(told.ends_with("12 scenarios, each with the expected verdict.\n"), "{told}");
}

#[test]
fn a_sweep_is_chosen_by_its_name_and_a_combination_by_its_own() {
    let count = |arguments: &[&str]| {
        let output = afterimage(&[&["check"], arguments].concat());
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
        told.lines().filter(|line| line.contains(" states ")).count()
    };
    assert_eq!(count(&["cow-n"]), 8);
    assert_eq!(count(&["cow-n-late"]), 6);
    assert_eq!(count(&["cow-n-late-pages2-devices0-ops1"]), 1);
    let swept = Swept::new("1..2", "expect violation");
    assert_eq!(count(&[&swept.path("cow.scn"), "--scenario", "late"]), 8);
    assert_eq!(count(&[&swept.path("cow.scn"), "--scenario", "*-pages2-*-ops1"]), 4);
}

#[test]
fn a_counterexample_of_a_combination_is_replayed_below_what_is_like_it() {
    let swept = Swept::new("2", "expect violation");
    let name = "late-pages2-devices1-ops1";
    let output = afterimage(&["check", &swept.path("cow.scn"), "--traces", "--scenario", name]);
    let told = text(&output.stdout);
    let trace = &told[told.find("\ntrace\n").expect("a trace")..told.find("# VIOLATION").expect("why")];
    let source = std::fs::read_to_string(swept.path("cow.scn")).expect("it was written");
    write(swept.path("again.scn"), format!("{source}\nscenario again\nlike {name}\n{trace}"))
        .expect("a temporary file can be written");
    let replayed = afterimage(&["replay", &swept.path("again.scn")]);
    assert!(
        text(&replayed.stdout).contains("scenario again: 9 rows can happen"),
        "{}",
        text(&replayed.stderr)
    );
    write(swept.path("again.scn"), format!("{source}\n{trace}")).expect("a temporary file can be written");
    let refused = text(&afterimage(&["replay", &swept.path("again.scn")]).stderr);
    assert!(refused.contains("AI0101") && refused.contains("this one is swept"), "{refused}");
}

#[test]
fn a_need_of_a_combination_is_found_and_written_as_a_variant_of_it() {
    let swept = Swept::new("1", "expect violation");
    let name = "cow-n-pages1-devices1-ops1";
    let output = afterimage(&["minimize", &swept.path("cow.scn"), "--scenario", name, "--agent", "A"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert!(told.contains(&format!("like {name}\nreplace A.1 to 8\n")), "{told}");
    let variants =
        &told[told.find("\nscenario ").expect("a variant")..told.find("\nAll ").unwrap_or(told.len())];
    let source = std::fs::read_to_string(swept.path("cow.scn")).expect("it was written");
    write(swept.path("again.scn"), source + variants).expect("a temporary file can be written");
    let again = afterimage(&["check", &swept.path("again.scn"), "--scenario", "*-order-*"]);
    assert_eq!(again.status.code(), Some(0), "{}{}", text(&again.stdout), text(&again.stderr));
}
