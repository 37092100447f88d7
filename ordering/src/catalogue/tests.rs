//! The embedded catalogue is the folder, and all of it can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{FILES, entries, file_of};
use crate::language::render_all;
use crate::lowering;

fn below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be read").flatten();
    let count = |path: &Path| match path.is_dir() {
        true => below(path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "scn")),
    };
    entries.map(|entry| count(&entry.path())).sum()
}

#[test]
fn every_file_of_the_folder_is_in_the_catalogue_with_its_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    assert_eq!(FILES.len(), below(&folder));
    for file in FILES {
        let text = fs::read_to_string(folder.join(file.path)).expect("a file of the catalogue is there");
        assert_eq!(text, file.text, "{}", file.path);
    }
}

#[test]
fn every_file_loads_and_no_two_scenarios_have_one_name() {
    let mut names = BTreeSet::new();
    for file in FILES {
        match lowering::load(file.text) {
            Err(found) => panic!("{}", render_all(&found, file.path, file.text)),
            Ok(loaded) => {
                for (scenario, _) in loaded {
                    assert!(names.insert(scenario.name.node.clone()), "{} twice", scenario.name.node);
                }
            }
        }
    }
    assert_eq!(names.len(), entries().len());
    for entry in entries() {
        assert_eq!(file_of(&entry.lowered.name), Some(entry.file));
    }
    assert_eq!(file_of(""), None);
}

#[test]
fn what_is_written_ends_before_the_next_scenario_and_its_remarks() {
    let entries = entries();
    let find = |name: &str| entries.iter().find(|entry| entry.scenario.name.node == name);
    let split = find("cow-clear-flush-notify-split").expect("it is in the catalogue");
    let written = split.written();
    assert!(written.starts_with("scenario cow-clear-flush-notify-split\n"), "{written}");
    assert!(written.ends_with("expect  proved"), "{written}");
    let programs = split.programs();
    assert!(programs.contains("agent IOMMU\n  repeat 0..2:\n    walk A\n"), "{programs}");
    assert!(programs.contains("  notify A\n  set_pte A -> new rw\n"), "the variant's rows: {programs}");
}
