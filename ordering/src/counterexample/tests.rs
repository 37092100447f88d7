//! What is printed is read again.

use std::collections::BTreeSet;

use super::Table;
use crate::catalogue::entries;
use crate::engine::{self, Options, Verdict};
use crate::language::parse;
use crate::lowering;

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
    let (_, lowered) = lowering::load(source).expect("it loads").remove(scenario);
    let packed = engine::compile(&lowered.model).expect("it is small");
    let (trace, broken) = match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => (trace, Some(property)),
        _ => (engine::witness(&packed, &Options::default()).expect("it ends"), None),
    };
    let table = Table::new(&lowered, &trace, broken);
    table.rows.iter().map(|row| (row.text.clone(), row.line)).collect()
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

#[test]
fn every_counterexample_of_the_catalogue_replays_to_the_same_violation() {
    let mut replayed = 0;
    for entry in entries() {
        let Ok(packed) = engine::compile(&entry.lowered.model) else { continue };
        let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
        else {
            continue;
        };
        let name = &entry.lowered.name;
        let table = Table::new(&entry.lowered, &trace, Some(property));
        let source = format!("{}\nscenario again\nlike {name}\n\n{table}", entry.file.text);
        let scenario = parse(&source).scenarios.pop().expect("the last scenario of the file");
        let model = &entry.lowered.model;
        let found = lowering::replay(model, &scenario.trace, &source)
            .unwrap_or_else(|wrong| panic!("{name}:\n{}", wrong.render("again", &source)));
        assert_eq!(found.trace.steps.len(), trace.steps.len(), "{name}:\n{table}");
        assert!(found.broken.is_some(), "{name}:\n{table}");
        replayed += 1;
    }
    assert!(replayed >= 20, "only {replayed} traces");
}
