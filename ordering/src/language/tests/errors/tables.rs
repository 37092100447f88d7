//! Errors about upper entries and page-table pages.

use super::shown;

const HEAD: &str = "scenario s\ntable T, U\npage A under M, B under N\nframe f, g\nswap s0\npmd M -> T, N -> f rw huge\nmap A -> f rw\ncpu C\n";

#[test]
fn an_upper_entry_names_one_table_or_maps_a_huge_frame() {
    let source = format!("{HEAD}agent C\n  set_pmd M -> U; set_pmd M -> g rw\n  set_pmd N -> s0\n");
    let expected = r#"
error: `M` names another page-table page elsewhere
  --> a.scn:10:16
   |
10 |   set_pmd M -> U; set_pmd M -> g rw
   |                ^
   |
   = help: an upper entry can name one; give the other one an upper entry of its own

error: an upper entry that maps a frame is huge
  --> a.scn:10:32
   |
10 |   set_pmd M -> U; set_pmd M -> g rw
   |                                ^^^^
   |
   = help: write `g rw huge`, or name a page-table page

error: an upper entry names no swap slot
  --> a.scn:11:16
   |
11 |   set_pmd N -> s0
   |                ^^
   |
   = help: name a frame or a page-table page
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn the_entry_of_a_page_is_small_and_lies_in_a_table() {
    let source = format!(
        "{HEAD}agent C\n  set_pte A -> T; set_pte A -> g rw huge\n  pte_modify A huge; pte_read B; pmd_modify N -huge\n  gup_fast B => h\n"
    );
    let expected = r#"
error: the entry of a page names no page-table page
  --> a.scn:10:16
   |
10 |   set_pte A -> T; set_pte A -> g rw huge
   |                ^
   |
   = help: write `set_pmd M -> T`

error: the entry of a page is not huge
  --> a.scn:10:32
   |
10 |   set_pte A -> T; set_pte A -> g rw huge
   |                                ^^^^^^^^^
   |
   = help: leave `huge` out, or write an upper entry

error: no step makes an entry huge, or small
  --> a.scn:11:3
   |
11 |   pte_modify A huge; pte_read B; pmd_modify N -huge
   |   ^^^^^^^^^^^^^^^^^
   |
   = help: write the new entry with `set_pmd`

error: `B` has no entry: nothing above it names a page-table page
  --> a.scn:11:31
   |
11 |   pte_modify A huge; pte_read B; pmd_modify N -huge
   |                               ^
   |
   = help: use the upper entry: `pmd_read`, `set_pmd`, …

error: no step makes an entry huge, or small
  --> a.scn:11:34
   |
11 |   pte_modify A huge; pte_read B; pmd_modify N -huge
   |                                  ^^^^^^^^^^^^^^^^^^
   |
   = help: write the new entry with `set_pmd`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_table_has_no_bits_and_is_not_migrated() {
    let source = format!("{HEAD}agent C\n  set_pmd M -> T rw; set_pmd M -> migration T\n");
    let expected = r#"
error: a `table` entry has no bit `rw`
  --> a.scn:10:16
   |
10 |   set_pmd M -> T rw; set_pmd M -> migration T
   |                ^^^^
   |
   = help: leave the bits out

error: a page-table page cannot be migrated
  --> a.scn:10:35
   |
10 |   set_pmd M -> T rw; set_pmd M -> migration T
   |                                   ^^^^^^^^^^^
   |
   = help: name the frame that is migrated
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn upper_entries_must_be_declared_and_may_share_a_table() {
    let source = "scenario s\ntable T\npage A under M, B under N, D under O\nframe f\npmd M -> T, N -> T, P -> f rw\nmap A -> f rw, B -> f rw\nmap D -> f rw\ncpu C\nagent C\n  pmd_read K\n";
    let expected = r#"
error: there is no upper entry `O`
 --> a.scn:3:36
  |
3 | page A under M, B under N, D under O
  |                                    ^
  |
  = help: declare it: `pmd O -> T`

error: an upper entry that maps a frame is huge
 --> a.scn:5:26
  |
5 | pmd M -> T, N -> T, P -> f rw
  |                          ^^^^
  |
  = help: write `f rw huge`, or name a page-table page

error: `B` has the entry of another page: their upper entries name one table
 --> a.scn:6:16
  |
6 | map A -> f rw, B -> f rw
  |                ^
  |
  = help: say what the first page under that table is mapped to

error: there is no upper entry `K`
  --> a.scn:10:12
   |
10 |   pmd_read K
   |            ^
   |
   = help: declare it: `pmd K -> T`
"#;
    assert_eq!(shown(source), expected.trim_matches('\n'));
}

#[test]
fn what_walks_in_software_keeps_no_upper_entry() {
    let source =
        format!("{HEAD}vcpu V\nagent C\n  if pwc(V, M): end\n  if pmd(A): end\n  if pmd_same A: end\n");
    let expected = r#"
error: `V` has no paging-structure cache
  --> a.scn:11:10
   |
11 |   if pwc(V, M): end
   |          ^
   |
   = help: ask a `cpu` or a `device`

error: there is no upper entry `A`
  --> a.scn:12:10
   |
12 |   if pmd(A): end
   |          ^
   |
   = help: declare it: `pmd A -> T`

error: there is no upper entry `A`
  --> a.scn:13:15
   |
13 |   if pmd_same A: end
   |               ^
   |
   = help: declare it: `pmd A -> T`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_property_that_is_switched_off_cannot_be_asked_for() {
    let source = format!(
        "{HEAD}agent C\n  when pte(A)\nnever walk of a freed page-table page\noption walk_after_free = off\n"
    );
    let expected = r#"
error: an option switches this property off
  --> a.scn:11:7
   |
11 | never walk of a freed page-table page
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: leave the property out, or the option that switches it off
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_upper_entry_like_another_says_that_it_is_huge() {
    let source = format!(
        "{HEAD}agent C\n  set_pmd N -> g like orig rw huge; set_pmd N -> g like orig rw\n  \
         set_pmd N -> g rw -huge; set_pmd N -> orig -huge\n"
    );
    let expected = r#"
error: an upper entry that maps a frame is huge
  --> a.scn:10:50
   |
10 |   set_pmd N -> g like orig rw huge; set_pmd N -> g like orig rw
   |                                                  ^^^^^^^^^^^^^^
   |
   = help: write `g like orig rw huge`, or name a page-table page

error: no step makes an entry huge, or small
  --> a.scn:11:16
   |
11 |   set_pmd N -> g rw -huge; set_pmd N -> orig -huge
   |                ^^^^^^^^^^
   |
   = help: name the frame that it is to map

error: no step makes an entry huge, or small
  --> a.scn:11:41
   |
11 |   set_pmd N -> g rw -huge; set_pmd N -> orig -huge
   |                                         ^^^^^^^^^^
   |
   = help: name the frame that it is to map
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_page_table_page_has_no_content() {
    let source = format!(
        "{HEAD}agent C\n  write T = 1; read T\n  copy f -> T\n  wp_page_copy A T -> g\nalways content(T) == 0\n"
    );
    let found = shown(&source);
    let message = "error: `T` is a page-table page: it holds entries, and no content";
    assert_eq!(found.matches(message).count(), 5, "{found}");
    assert!(shown(&format!("{HEAD}agent C\n  get T; write s0 = 1\n")).is_empty());
}

#[test]
fn a_shadow_entry_names_a_page_of_the_shadow_page_table_alone() {
    let said = |lines: &str| {
        let source = format!(
            "scenario s\ntable T, S\npage A under M, B under N\nframe f\n{lines}\nagent C\n  pmd_read M\n"
        );
        shown(&source)
    };
    let both = "pmd M -> T, N -> f rw huge\nmap A -> f rw\ncpu C\nvcpu V\n";
    let orig =
        said(&format!("{both}shadow M -> S\nagent K\n  set_spmd M -> orig\n  set_spmd M -> migration orig"));
    assert_eq!(
        orig.matches("`orig` can name `T`, which is no page of the shadow page table").count(),
        2,
        "{orig}"
    );
    let shared = said(&format!("{both}shadow M -> none\nagent K\n  set_spmd M -> T"));
    assert!(shared.contains("`T` lies in the page table and in the shadow page table"), "{shared}");
    // What the upper entry maps itself, KVM maps too.
    let huge = said(&format!("{both}shadow N -> none\nagent K\n  set_spmd N -> orig"));
    assert!(!huge.contains("orig"), "{huge}");
}
