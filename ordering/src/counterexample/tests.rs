//! What is printed is read again.

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
    let table = Table::new(packed.model(), &trace, Some(property));
    assert_eq!(table.steps(), trace.steps.len());
    let printed = table.to_string();
    assert!(printed.contains("# VIOLATION: never IOMMU reads A == 0"), "{printed}");
    if let Err(found) = lowering::load(&format!("{RACE}\n{printed}")) {
        panic!("{}", crate::language::render_all(&found, "printed", &format!("{RACE}\n{printed}")));
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
        let table = Table::new(packed.model(), &trace, Some(property));
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
