//! Page-table entries: what is kept, what hardware does with their bits, what conditions see of them.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\npage A\nframe f = 0, g = 1\nswap s = 2 free\ncpu C, D\nvar x = 0..3\n";

fn found(program: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{program}\n")).remove(0);
    lowered.model.validate().unwrap();
    explore(&lowered.model, MOST)
}

fn is_proved(program: &str) {
    let found = found(program);
    assert!(matches!(found, Found::Proved(_)), "{program}\n{found:?}");
}

fn breaks(property: &str, program: &str) -> Vec<String> {
    match found(program) {
        Found::Violated(broken, steps) if broken == property => steps,
        other => panic!("{program}\n{other:?}"),
    }
}

/// After `steps` of one agent, on an entry that is `start` at first, `end` holds.
fn leads(start: &str, steps: &str, end: &str) {
    is_proved(&format!("map A -> {start}\nagent p\n  {steps}\nfinally {end}"));
    let unless = format!("finally !({end})");
    breaks(&unless, &format!("map A -> {start}\nagent p\n  {steps}\n{unless}"));
}

#[test]
fn an_entry_keeps_the_bits_that_are_not_changed() {
    leads("f rw dirty", "pte_clear A; set_pte A -> orig ro uffd_wp", "pte(A) == f ro dirty uffd_wp");
    leads("f rw dirty", "pte_clear A; set_pte A -> orig", "pte(A) == f rw dirty");
    leads(
        "f rw dirty uffd_wp",
        "pte_read A; set_pte A -> g like orig -dirty",
        "pte(A) == g rw -dirty uffd_wp",
    );
    leads("f rw dirty", "set_pte A -> g ro", "pte(A) == g ro -dirty");
}

#[test]
fn a_migration_entry_carries_the_bits_to_the_new_frame() {
    let there = "pte_clear A; set_pte A -> migration orig";
    leads("f rw young exclusive", there, "pte(A) == migration f rw young exclusive");
    leads("f ro special", there, "pte(A) == migration f ro");
    leads("f rw young", &format!("{there}; set_pte A -> g like orig"), "pte(A) == g rw young");
    leads("none", there, "pte(A) == none");
}

#[test]
fn a_swap_entry_names_its_slot_and_maps_no_frame() {
    let out = "alloc s; pte_clear A; set_pte A -> s like orig; copy f -> s";
    leads("f rw exclusive", out, "pte(A) == s exclusive && pte(A) has swap && content(s) == 0");
    leads("f rw", out, "pte(A) != f && refs(s) == 1 && mapcount(s) == 0");
    breaks("never deadlock", "map A -> s\nagent C\n  load A");
}

#[test]
fn changing_bits_remembers_what_was_there() {
    leads("f rw dirty", "pte_modify A ro -dirty", "pte(A) == f ro -dirty");
    is_proved(
        "map A -> f rw dirty\nagent p\n  pte_modify A -dirty\n  if orig(A) has dirty: x = 1\nfinally x == 1",
    );
    leads("s", "pte_modify A uffd_wp ro", "pte(A) == s uffd_wp");
    leads("marker", "pte_modify A -uffd_wp", "pte(A) == none");
    leads("none", "pte_modify A rw uffd_wp", "pte(A) == none");
}

#[test]
fn hardware_does_not_use_what_is_not_present() {
    for entry in ["f rw protnone", "migration f rw", "marker", "s uffd_wp"] {
        breaks("never deadlock", &format!("map A -> {entry}\nagent C\n  load A"));
    }
    let late = "map A -> f rw\nagent p\n  when x\n  pte_modify A protnone\n  x = 2\nagent C\n  load A\n  x = 1\n  when x == 2\n  \
                store A = 1\nfinally content(f) == 1";
    is_proved(late);
}

#[test]
fn the_first_store_through_a_clean_entry_looks_at_the_table() {
    let program = |start: &str, look: &str| {
        format!(
            "map A -> {start}\nagent p\n  when x\n  pte_clear A\n  x = 2\nagent C spontaneous\n  load A\n  x = 1\n  \
             when x == 2\n  store A = 1\nnever C writes f{look}"
        )
    };
    // Nobody speaks of dirty bits: every store goes through.
    breaks("never C writes f", &program("f rw", ""));
    breaks("never C writes f", &program("f rw dirty", ""));
    is_proved(&program("f rw", "\nalways !pte(A) has dirty"));
}

#[test]
fn a_store_that_is_refused_walks_again() {
    let program = "map A -> f rw -dirty\nagent p\n  when x\n  set_pte A -> g rw\n  x = 2\nagent C\n  load A\n  x = 1\n  \
                   when x == 2\n  store A = 7\n";
    is_proved(&format!("{program}finally content(g) == 7 && content(f) == 0"));
    breaks("finally content(g) != 7", &format!("{program}finally content(g) != 7"));
}

#[test]
fn a_store_makes_the_entry_dirty_before_it_lands() {
    let program = "map A -> f rw\nagent C\n  store A = 1\n";
    is_proved(&format!(
        "{program}finally pte(A) == f rw dirty && tlb(C, A) has dirty\nalways content(f) == 0 || pte(A) has dirty"
    ));
    assert_eq!(breaks("finally !pte(A) has dirty", &format!("{program}finally !pte(A) has dirty")).len(), 3);
    is_proved(
        "device DEV\nmap A -> f rw\nagent DEV\n  dma_write A = 1\nalways content(f) == 0 || pte(A) has dirty",
    );
}

#[test]
fn a_vcpu_stores_only_through_a_shadow_entry_that_is_dirty() {
    let program = |tell: &str| {
        format!(
            "vcpu V\nmap A -> f rw dirty\nagent p\n  when x\n  {tell}pte_modify A -dirty\n  x = 2\nagent V spontaneous\n  load A\n  \
             x = 1\n  when x == 2\n  store A = 1\nalways content(f) == 0 || pte(A) has dirty"
        )
    };
    breaks("always content(f) == 0 || pte(A) has dirty", &program(""));
    is_proved(&program("notify_start A; notify_end A; "));
}

#[test]
fn a_walk_makes_the_entry_young() {
    let program =
        |options: &str| format!("map A -> f ro\nagent C\n  load A\nfinally pte(A) has young{options}");
    is_proved(&program(""));
    is_proved(&program("\noption walk = split"));
}

#[test]
fn a_reference_is_taken_only_of_what_can_be_used_and_counted() {
    let program = |entry: &str, how: &str| {
        format!(
            "map A -> {entry}\nagent p\n  pte_read A\n  try_get A {how}=> h\n  if h == none: x = 1\nfinally x == 0"
        )
    };
    is_proved(&program("f rw", "write "));
    is_proved(&program("f ro", ""));
    for (entry, how) in
        [("f ro", "write "), ("f rw protnone", ""), ("f rw special", ""), ("migration f rw", "")]
    {
        is_proved(&program(entry, how).replace("x == 0", "x == 1"));
        let whole = program(entry, how).replace("pte_read A\n  try_get", "gup_fast");
        is_proved(&whole.replace("x == 0", "x == 1"));
    }
    breaks("finally x == 0", &program("f rw", "").replace("try_get", "free f; try_get"));
}

#[test]
fn a_pin_is_a_reference_too() {
    leads("f rw", "pin f", "pins(f) == 1 && refs(f) == 2");
    leads("f rw", "pin f; unpin f", "pins(f) == 0 && refs(f) == 1");
    leads("f rw", "gup_fast A write pin => h", "pins(f) == 1 && refs(f) == 2");
    leads("f rw", "gup_fast A pin => h; unpin h", "pins(f) == 0 && refs(f) == 1");
    breaks("never out of range", "map A -> f rw\nagent p\n  unpin f");
    is_proved(
        "map A -> f rw\nagent p\n  gup_fast A pin => h\nagent q\n  pte_clear A\nfinally pins(f) + 1 == refs(f)",
    );
}

#[test]
fn a_handle_is_compared_with_what_an_entry_maps() {
    let program = "map A -> f rw dirty\nagent p\n  gup_fast A => h\n";
    is_proved(&format!(
        "{program}  if pte(A) == h: x += 1\n  if orig(A) == h rw: x += 1\n  if pte(A) == h ro: x += 1\nfinally x == 2"
    ));
    is_proved(&format!("{program}  set_pte A -> h ro\nfinally pte(A) == f ro -dirty"));
    // An empty handle writes nothing.
    is_proved(
        "map A -> f rw\nagent p\n  gup_fast A => h\n  put h\n  pte_clear A\n  gup_fast A => h\n  set_pte A -> h ro\nfinally pte(A) == none",
    );
}

#[test]
fn entries_are_compared_as_far_as_both_say() {
    for (entry, condition) in [
        ("f rw dirty", "pte(A) == f"),
        ("f rw dirty", "pte(A) == f dirty"),
        ("f rw protnone", "pte(A) == f && !pte(A) has present"),
        ("migration f ro", "pte(A) != f && pte(A) == migration f && pte(A) has migration"),
        ("marker", "pte(A) != none && pte(A) == marker && pte(A) has marker uffd_wp"),
        ("f ro", "!pte(A) has dirty && pte(A) has present && !pte(A) has present rw"),
    ] {
        leads(entry, "x = 1", condition);
    }
}
