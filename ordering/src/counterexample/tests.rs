//! What is printed is read again.

use std::collections::BTreeSet;

use super::Table;
use crate::catalogue::entries;
use crate::engine::{self, Options, Verdict};
use crate::language::parse;
use crate::lowering;
use crate::model::Check;

const RACE: &str = "scenario late-notification
page A
frame old = 0, new = 0
map A -> old ro
cpu CPU
device IOMMU

race
CPU                 | IOMMU
pte_clear A         | repeat 0..2: dma_read A
flush_tlb A         |
set_pte A -> new rw |
store A = 1         |
notify A            |

never IOMMU reads A == 0 after CPU store A
";

#[test]
fn a_counterexample_appended_to_its_scenario_is_read_again_and_holds() {
    let (_, lowered) = lowering::load(RACE).unwrap().remove(0);
    let packed = engine::compile(&lowered.model).unwrap();
    let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
    else {
        panic!("the notification comes too late");
    };
    let table = Table::new(&lowered, &trace, Some(property));
    assert_eq!(table.steps(), trace.steps.len());
    let printed = table.to_string();
    assert!(printed.contains("# VIOLATION: never IOMMU reads A == 0"), "{printed}");
    let remarks: BTreeSet<_> = printed.lines().filter_map(|row| row.find("# row")).collect();
    assert_eq!(remarks.len(), 1, "remarks out of line:\n{printed}");
    if let Err(found) = lowering::load(&format!("{RACE}\n{printed}")) {
        panic!("{}", crate::language::render_all(&found, "printed", &format!("{RACE}\n{printed}")));
    }
}

#[test]
fn the_property_that_breaks_is_named_with_its_line_or_as_built_in() {
    for (asked, line, shown) in [
        ("", 0, "# VIOLATION: never use of a freed frame (built in)\n"),
        ("never use of a freed frame\n", 10, "# VIOLATION: never use of a freed frame (line 10)\n"),
        ("never T1 load A\n", 10, "# VIOLATION: never T1 load A (line 10)\n"),
    ] {
        let source = format!(
            "scenario s\npage A\nframe f = 0\nmap A -> f rw\ncpu T0, T1\nagent T0\n  put f\n\
             agent T1\n  load A\n{asked}"
        );
        let (_, lowered) = lowering::load(&source).unwrap().remove(0);
        let packed = engine::compile(&lowered.model).unwrap();
        let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
        else {
            panic!("the frame is freed under its user");
        };
        let table = Table::new(&lowered, &trace, Some(property));
        assert_eq!(table.broken().map(|broken| broken.line), Some(line), "{asked}");
        let printed = table.to_string();
        assert!(printed.contains(shown), "no `{shown}` in:\n{printed}");
        lowering::load(&format!("{source}\n{printed}")).expect("what is printed is read again");
    }
}

const LINES: &str = "scenario base
page A
frame old = 0, new = 0
map A -> old rw
cpu CPU
device DEV

agent CPU
  repeat 0..1:
    load A
  pte_clear A
  notify A post
  inv_wait
agent DEV
  dma_read A
never use of a freed frame

scenario variant
like base
replace CPU.3
  ptep_clear_flush A
  set_pte A -> new rw
  store A = 1

never DEV reads A == 0 after CPU store A
";

/// The text of each row of a scenario's counterexample or, if it is proved, of a complete run, with its line.
fn lines(source: &str, scenario: usize) -> Vec<(String, u32)> {
    let table = table(source, scenario);
    table.rows.iter().map(|row| (row.text.clone(), row.line)).collect()
}

/// A scenario's counterexample or, if it is proved, a complete run.
fn table(source: &str, scenario: usize) -> Table {
    let (_, lowered) = lowering::load(source).expect("it loads").remove(scenario);
    let packed = engine::compile(&lowered.model).expect("it is small");
    let (trace, broken) = match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => (trace, Some(property)),
        _ => (engine::witness(&packed, &Options::default()).expect("it ends"), None),
    };
    Table::new(&lowered, &trace, broken)
}

#[test]
fn hardware_that_acts_by_itself_is_printed_without_a_line() {
    let printed = table(LINES, 0).to_string();
    let remark = |text: &str| {
        let row = printed.lines().find(|row| row.split('|').any(|cell| cell.trim() == text));
        row.and_then(|row| row.split_once(" # ")).unwrap_or_else(|| panic!("no `{text}` in\n{printed}")).1
    };
    assert!(remark("notify A post").ends_with(", line 12"), "{printed}");
    assert!(!remark("notify A").contains("line"), "{printed}");
}

#[test]
fn the_way_to_a_round_is_printed_before_what_is_done_again_and_again() {
    let source =
        "scenario s\nvar x = 0..1\nagent p\nagain:\n  x = 1\n  check x == 0 else again\nfinally x == 0\n";
    let printed = table(source, 0).to_string();
    let shown: Vec<_> =
        printed.lines().map(|row| row.split([',', '|']).next().unwrap_or_default().trim()).collect();
    let [from, again] = ["# from here on", "# again and again:"].map(|remark| {
        shown.iter().position(|row| *row == remark).unwrap_or_else(|| panic!("no `{remark}` in\n{printed}"))
    });
    assert_eq!(shown[from + 1..again], ["x = 1"], "{printed}");
    assert_eq!(shown[again + 1..again + 3], ["check x == 0: no", "x = 1"], "{printed}");
}

#[test]
fn a_row_names_its_line_behind_a_choice_in_a_variant_in_an_operation_and_in_the_queue() {
    let base = lines(LINES, 0);
    let line = |rows: &[(String, u32)], text: &str| {
        let found = rows.iter().find(|(row, _)| row == text);
        found.map_or_else(|| panic!("no `{text}` in {rows:?}"), |(_, line)| *line)
    };
    for (text, at) in [("pte_clear A", 11), ("notify A", 0), ("notify A post", 12), ("inv_wait", 13)] {
        assert_eq!(line(&base, text), at, "{text}");
    }
    let variant = lines(LINES, 1);
    for (text, at) in [("pte_clear A", 21), ("set_pte A -> new rw", 22), ("store A = 1", 23), ("walk A", 15)]
    {
        assert_eq!(line(&variant, text), at, "{text}");
    }
}

/// The text of a row as the program has it, without what became of it.
fn as_written(text: &str) -> String {
    let looks = ["if ", "when ", "check "].iter().any(|look| text.starts_with(look));
    let text = text.split(" in freed ").next().expect("a split yields at least one piece");
    let reads = ["load ", "dma_read ", "read "].iter().any(|read| text.starts_with(read));
    let cut = if looks { None } else { text.find(": ") };
    let cut = cut.or_else(|| if reads { text.find(" = ") } else { None });
    cut.map_or(text, |cut| &text[..cut]).to_owned()
}

/// Replays each counterexample of the catalogue with its rows put so; the number of them.
fn replayed(put: impl Fn(&str) -> String) -> usize {
    let mut replayed = 0;
    for entry in entries() {
        let Ok(packed) = engine::compile(&entry.lowered.model) else { continue };
        let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
        else {
            continue;
        };
        let name = &entry.lowered.name;
        let mut table = Table::new(&entry.lowered, &trace, Some(property));
        for rows in [&mut table.rows, &mut table.lead, &mut table.cycle] {
            rows.iter_mut().for_each(|row| row.text = put(&row.text));
        }
        let source = format!("{}\nscenario again\nlike {name}\n\n{table}", entry.file.text);
        let scenario = parse(&source).scenarios.pop().expect("the last scenario of the file");
        let model = &entry.lowered.model;
        let found = lowering::replay(model, &scenario.trace, &source)
            .unwrap_or_else(|wrong| panic!("{name}:\n{}", wrong.render("again", &source)));
        assert_eq!(found.trace.steps.len(), table.all().count(), "{name}:\n{table}");
        // That nobody can end is seen by no single order.
        let forever = model.properties[usize::from(property.0)].check == Check::Livelock;
        assert!(found.broken.is_some() || forever, "{name}:\n{table}");
        replayed += 1;
    }
    replayed
}

#[test]
fn every_counterexample_of_the_catalogue_replays_to_the_same_violation() {
    let replayed = replayed(str::to_owned);
    assert!(replayed >= 200, "only {replayed} traces");
}

#[test]
fn every_counterexample_of_the_catalogue_replays_from_the_rows_of_its_program() {
    let replayed = replayed(as_written);
    assert!(replayed >= 200, "only {replayed} traces");
}

#[test]
fn of_two_readings_the_one_that_is_printed_is_shown() {
    let source = "scenario s\npage A\nframe f = 3, g = 4\nmap A -> f rw\ncpu T0\ndevice DEV\noption walk = split\n\
                  agent T0\n  set_pte A -> g rw\nagent DEV\n  walk A\n  walk A\n\ntrace\nT0 | DEV\n\
                   | walk A: read\nset_pte A -> g rw |\n | walk A: fill\n | walk A\n";
    let (scenario, lowered) = lowering::load(source).expect("it loads").remove(0);
    let found = lowering::replay(&lowered.model, &scenario.trace, source).expect("it can happen");
    let table = Table::new(&lowered, &found.trace, None);
    let shown: Vec<&str> = table.rows().map(|(_, row)| row.text.as_str()).collect();
    assert_eq!(shown, ["walk A: read", "set_pte A -> g rw", "walk A: fill", "walk A"]);
}

/// A frame that is freed under its user, by `rows` of a device, with the last row put so.
fn freed(device: &str, rows: &str) -> Result<Option<String>, String> {
    let source = format!(
        "scenario s\npage A\nframe f = 3\nmap A -> f rw\ncpu T0\ndevice DEV\noption evict = off\n\
         agent T0\n  pte_clear A\n  put f\n  put f\n\
         agent GUP spontaneous\n  gup_fast A => h\n  if h: put h\n  put h\nagent DEV\n  {device}\n\
         never use of a freed frame\ntrace\nT0 | GUP | DEV\n{rows}"
    );
    let (scenario, lowered) = lowering::load(&source)
        .map_err(|found| crate::language::render_all(&found, "freed", &source))?
        .remove(0);
    let found = lowering::replay(&lowered.model, &scenario.trace, &source)
        .map_err(|wrong| wrong.render("freed", &source))?;
    let text =
        |broken: crate::model::PropertyId| lowered.model.properties[usize::from(broken.0)].text.clone();
    Ok(found.broken.map(text))
}

#[test]
fn a_row_is_taken_as_the_program_has_it_whatever_became_of_it() {
    let broken = Ok(Some("never use of a freed frame".to_owned()));
    for (device, last) in [
        ("dma_write A = 1", " | | dma_write A = 1\n"),
        ("dma_write A = 1", " | | dma_write A = 1 in freed f\n"),
        ("dma_read A", " | | dma_read A\n"),
        ("dma_read A", "put f | |\n"),
    ] {
        let rows = format!(" | | walk A\npte_clear A | |\nput f | |\n{last}");
        assert_eq!(freed(device, &rows), broken, "{last}");
    }
    for (row, ends) in [("put h: no frame", true), ("put h", true), ("if h", false)] {
        let read = "pte_clear A | |\n | gup_fast A => h: read pte |\n";
        let rows = format!("{read} | if h: no |\n | {row} |\n");
        assert_eq!(freed("dma_read A", &rows).is_ok(), ends, "{row}");
    }
    let rows = "pte_clear A | |\n | gup_fast A => h |\n | if h |\n";
    let refused = freed("dma_read A", rows).expect_err("a look that failed is not one that held");
    assert!(refused.contains("cannot take this step here"), "{refused}");
}
