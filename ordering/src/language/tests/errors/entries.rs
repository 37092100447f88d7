//! Errors about page-table entries and their bits.

use super::{HEAD, shown};

/// The scenario with `line` as the second step of a program.
fn with(line: &str) -> String {
    format!("{HEAD}swap s0 = 0\nframe new = 0\nagent mm\n  pte_read A\n  {line}\n")
}

fn assert_shown(source: &str, expected: &str) {
    assert_eq!(shown(source), expected.trim_matches('\n'));
}

#[test]
fn an_entry_must_say_what_it_allows() {
    let expected = r#"
error: this entry does not say what it allows
  --> a.scn:11:16
   |
11 |   set_pte A -> migration new dirty
   |                ^^^^^^^^^^^^^^^^^^^
   |
   = help: write `migration new dirty ro` or `migration new dirty rw`
"#;
    assert_shown(&with("set_pte A -> migration new dirty"), expected);
}

#[test]
fn an_entry_has_no_room_for_every_bit() {
    let expected = r#"
error: a `swap` entry has no bit `dirty`
  --> a.scn:11:16
   |
11 |   set_pte A -> s0 dirty
   |                ^^^^^^^^
   |
   = help: it can have exclusive, uffd_wp
"#;
    assert_shown(&with("set_pte A -> s0 dirty"), expected);
}

#[test]
fn a_marker_has_its_mark() {
    let expected = r#"
error: a marker without `uffd_wp` says nothing
  --> a.scn:11:16
   |
11 |   set_pte A -> marker -uffd_wp
   |                ^^^^^^^^^^^^^^^
   |
   = help: write `none`
"#;
    assert_shown(&with("set_pte A -> marker -uffd_wp"), expected);
}

#[test]
fn what_is_no_entry_has_no_bits() {
    let expected = r#"
error: this is no entry, and has no bits
  --> a.scn:11:6
   |
11 |   if refs(new) has dirty: end
   |      ^^^^^^^^^
   |
   = help: ask pte(A), orig(A), tlb(CPU, A), iotlb(DEV, A) or spte(A)
"#;
    assert_shown(&with("if refs(new) has dirty: end"), expected);
}

#[test]
fn a_bit_that_no_entry_has_is_named_with_its_neighbour() {
    let expected = r#"
error: no entry has `drity`
  --> a.scn:11:17
   |
11 |   if pte(A) has drity: end
   |                 ^^^^^
   |
   = help: did you mean `dirty`?
"#;
    assert_shown(&with("if pte(A) has drity: end"), expected);
}

#[test]
fn a_change_needs_a_bit() {
    let expected = r#"
error: the line ends where a bit is expected
  --> a.scn:11:15
   |
11 |   pte_modify A
   |               ^
   |
   = help: write `pte_modify PAGE ro -dirty`
"#;
    assert_shown(&with("pte_modify A"), expected);
}

#[test]
fn a_slot_is_not_migrated() {
    let expected = r#"
error: a swap slot cannot be migrated
  --> a.scn:11:16
   |
11 |   set_pte A -> migration s0 rw
   |                ^^^^^^^^^^^^^^^
   |
   = help: name the frame that is migrated
"#;
    assert_shown(&with("set_pte A -> migration s0 rw"), expected);
}

#[test]
fn bits_are_like_those_of_the_remembered_entry_only() {
    let expected = r#"
error: `new` stands where `orig` is expected
  --> a.scn:11:25
   |
11 |   set_pte A -> new like new
   |                         ^^^
   |
   = help: write `set_pte A -> new like orig`
"#;
    assert_shown(&with("set_pte A -> new like new"), expected);
}

#[test]
fn nobody_remembers_anything_at_the_start() {
    let expected = r#"
error: `orig` is what an agent remembers; nobody does here
 --> a.scn:3:10
  |
3 | map A -> orig
  |          ^^^^
  |
  = help: name a frame, or write it in a program
"#;
    assert_shown("scenario s\npage A\nmap A -> orig\nagent mm\n  pte_read A\n", expected);
}

#[test]
fn a_condition_names_the_page_whose_entry_is_remembered() {
    let expected = r#"
error: `orig` of which page?
  --> a.scn:11:16
   |
11 |   if pte(A) == orig ro: end
   |                ^^^^^^^
   |
   = help: write `pte(A) == orig(A)`, or `pte_same A`
"#;
    assert_shown(&with("if pte(A) == orig ro: end"), expected);
}

#[test]
fn more_entries_than_can_be_explored_are_counted() {
    let frames: Vec<_> = (0..9).map(|index| format!("f{index}")).collect();
    let source = format!(
        "scenario s\npage A\nframe {}\nagent mm\n  pte_modify A -rw -dirty -young -exclusive -uffd_wp -protnone -special -cont\n",
        frames.join(", ")
    );
    let expected = r#"
error: `s` has 2305 different page-table entries
 --> a.scn:1:10
  |
1 | scenario s
  |          ^
  |
  = help: use fewer frames or mention fewer bits: at most 2048 can be explored
"#;
    assert_shown(&source, expected);
}
