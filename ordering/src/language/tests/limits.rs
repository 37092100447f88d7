//! Where the language ends: the last of what is read, and the first of what is not.

use super::super::parse;
use super::super::suggest::nearest;
use crate::lowering::load;

/// The messages for a scenario with these lines.
fn errors(lines: &str) -> Vec<String> {
    let source =
        format!("scenario s\npage A\nframe f = 0\nmap A -> f rw\ncpu C\ndevice D\nvar x = 0..1\n{lines}\n");
    let found = load(&source).err().unwrap_or_default();
    found.into_iter().map(|one| one.message).collect()
}

#[test]
fn a_program_has_as_many_rows_as_are_said() {
    let rows = |count| parse(&format!("scenario s\nagent p\n{}", "  fence\n".repeat(count))).diagnostics;
    assert_eq!(rows(4096), []);
    let refused: Vec<_> = rows(4097).into_iter().map(|one| one.message).collect();
    assert_eq!(refused, ["this block has 4097 rows: too many to explore"]);
}

#[test]
fn a_line_joins_as_many_conditions_as_nest() {
    let joined =
        |joins| parse(&format!("scenario s\nagent p\n  if x{}: end\n", " && x".repeat(joins))).diagnostics;
    assert_eq!(joined(32), []);
    assert_eq!(joined(33).len(), 1);
}

#[test]
fn a_condition_of_too_many_ways_is_refused() {
    let ways = |factors| {
        format!("agent p\n  if x == 0{}: end\nfinally x == 0", " && (x == 0 || f == f)".repeat(factors))
    };
    assert_eq!(errors(&ways(12)), [""; 0]);
    assert_eq!(errors(&ways(13)).len(), 1);
}

#[test]
fn a_word_is_meant_if_at_most_a_third_of_its_letters_differ() {
    assert_eq!(nearest("abcdef", ["abcdxy"]), Some("abcdxy"));
    assert_eq!(nearest("abcdef", ["abcxyz"]), None);
}

#[test]
fn a_remark_begins_outside_of_quotes() {
    let file = parse("scenario s\nabout \"issue #7\" # a remark\n");
    assert_eq!(file.diagnostics, []);
    assert_eq!(file.scenarios[0].about.as_deref(), Some("issue #7"));
}

#[test]
fn nothing_ends_what_did_not_begin() {
    let found = errors("agent C\n  load A\nnever C reads A == 1 until C load A");
    assert_eq!(found, ["`until` stands where the end of the line is expected"]);
}

#[test]
fn what_is_read_only_is_not_taken_away() {
    let found = errors("agent p\n  set_pte A -> f -ro\nfinally x == 0");
    assert_eq!(found, ["`-` stands where the end of the line is expected"]);
}

#[test]
fn an_if_has_one_else() {
    let found = errors("agent p\n  if x:\n    fence\n  else:\n    fence\n  else:\n    end\nfinally x == 0");
    assert_eq!(found, ["this `else` belongs to no `if`"]);
}

#[test]
fn a_frame_has_no_bits() {
    let found = errors("agent p\n  if f has dirty: end\nfinally x == 0");
    assert_eq!(found, ["this is no entry, and has no bits"]);
}
