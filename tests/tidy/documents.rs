//! What documents name is there.
//!
//! Invariant: a document names files as they are called now.

use std::path::Path;

use crate::{File, assert_none, fault, files};

#[test]
fn every_source_that_a_document_names_is_there() {
    let files = files();
    let mut faults = Vec::new();
    for document in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in document.lines() {
            let named =
                line.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && word.ends_with(".rs"));
            for name in named.filter(|name| !files.iter().any(|file| file.path.ends_with(*name))) {
                faults.push(fault(document, number, &format!("there is no {name}; name the file it became")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_path_in_the_first_documents_is_there() {
    let (root, files) = (tests_support::repository(), files());
    // In a paragraph about one folder a file goes by the end of its path.
    let ends = |path: &str| files.iter().any(|file| file.path.ends_with(&format!("/{path}")));
    let mut faults = Vec::new();
    let first = |file: &&File| ["ARCHITECTURE.md", "README.md"].contains(&file.path.as_str());
    for document in files.iter().filter(first) {
        for (number, line) in document.lines() {
            let missing = |path: &&str| !root.join(path).exists() && !ends(path);
            let told = |path| fault(document, number, &format!("there is no {path}; name what it became"));
            faults.extend(paths_in(line, &root).into_iter().filter(missing).map(told));
        }
    }
    assert_none(&faults);
}

/// What a line names as a file or a folder, between backticks or as the target of a link: it begins with a folder of the
/// repository, or ends as sources and documents do.
fn paths_in<'l>(line: &'l str, root: &Path) -> Vec<&'l str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let linked = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let is_path = |word: &&str| {
        let (first, rest) = word.split_once('/').unwrap_or((word, ""));
        let is_below = !first.is_empty() && !rest.is_empty() && root.join(first).is_dir();
        let is_file = [".rs", ".md", ".scn", ".toml"].iter().any(|end| word.ends_with(end));
        let is_one_word =
            word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
        is_one_word && (is_below || is_file)
    };
    quoted.chain(linked).filter(is_path).collect()
}

#[test]
fn a_path_is_told_from_other_words() {
    let root = tests_support::repository();
    let found = |line| paths_in(line, &root);
    assert_eq!(
        found("`mmu/src/gone.rs`, `step.rs` and [why](docs/decisions/0001-x.md#here)"),
        ["mmu/src/gone.rs", "step.rs", "docs/decisions/0001-x.md"]
    );
    assert_eq!(found("`/dev/kvm`, `load | store`, `flush_tlb A`, `mmu`, https://semver.org/spec"), [""; 0]);
}
