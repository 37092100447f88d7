//! Every code is explained, and each example has that error or none.

use std::collections::BTreeSet;

use super::{TEXTS, explain};
use crate::engine::compile;
use crate::language::{Code, Diagnostic, parse};
use crate::lowering::{load, lower, replay, too_large};

/// Everything that is wrong with a file, up to what is too large to be packed, or a row of its traces.
fn wrong(source: &str) -> Vec<Diagnostic> {
    // What a file that cannot be read would mean is not asked: some of these are large.
    let unread = parse(source).diagnostics;
    if !unread.is_empty() {
        return unread;
    }
    let loaded = match load(source) {
        Ok(loaded) => loaded,
        Err(found) => return found,
    };
    let packed = |(scenario, lowered): &(_, crate::lowering::Lowered)| {
        compile(&lowered.model).err().map(|error| too_large(scenario, &error))
    };
    let mut found: Vec<Diagnostic> = loaded.iter().filter_map(packed).collect();
    for mut scenario in parse(source).scenarios {
        let trace = std::mem::take(&mut scenario.trace);
        let lowered = lower(&scenario, source).expect("it was loaded before");
        found.extend(replay(&lowered.model, &trace, source).err());
    }
    found
}

#[test]
fn every_code_is_explained_by_a_file_that_has_it_and_one_that_has_nothing_wrong() {
    let mut faults = Vec::new();
    for code in Code::ALL {
        let told = explain(*code);
        let codes: BTreeSet<Code> = wrong(&told.wrong.text()).iter().map(|one| one.code).collect();
        if codes != BTreeSet::from([*code]) {
            faults.push(format!("{code} {code:?}: the wrong file has {codes:?}"));
        }
        let right: Vec<String> = wrong(&told.right.text())
            .into_iter()
            .map(|one| format!("{} {}", one.code, one.message))
            .collect();
        if !right.is_empty() {
            faults.push(format!("{code} {code:?}: the right file is wrong: {right:?}"));
        }
        if told.prose.trim().is_empty() {
            faults.push(format!("{code}: nothing is said of it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_entry_is_of_a_code_and_of_another_one() {
    let heads: Vec<&str> =
        TEXTS.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("== ")).collect();
    let codes: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(heads, codes, "an entry for each, in their order");
}

#[test]
fn a_code_is_read_as_it_is_written_or_by_its_number() {
    for word in ["AI0012", "ai0012", "12", "AI12"] {
        assert_eq!(word.parse(), Ok(Code::UnknownStep), "{word}");
    }
    for word in ["", "AI", "AI0000", "AI9999", "E0012", "-1"] {
        assert!(word.parse::<Code>().is_err(), "{word}");
    }
}

#[test]
fn what_is_shown_is_short_and_says_where_lines_are_left_out() {
    for code in Code::ALL {
        let shown = explain(*code).to_string();
        assert!(shown.lines().count() < 120, "{code} has {} lines", shown.lines().count());
        assert!(shown.contains("\nWrong:\n") && shown.contains("\nRight:\n"), "{shown}");
    }
    assert!(explain(Code::TooManyRows).to_string().contains("# and so on, 4097 in all"));
}
