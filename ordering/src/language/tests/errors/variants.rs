//! Errors of variants: each is reported once, where it belongs.

use super::{HEAD, shown};

const BASE: &str = "agent p\n  lock ptl(A)\n  check pte_same A\n  unlock ptl(A)\nout:\n\n";

#[test]
fn an_error_in_a_line_that_is_taken_over_names_the_variant_once() {
    let source = format!("{HEAD}{BASE}scenario t\nlike s\ndrop p.4\n\nscenario u\nlike t\n");
    let expected = r"
error: there is no label `out`
  --> a.scn:9:3
   |
 9 |   check pte_same A
   |   ^^^^^^^^^^^^^^^^
   |
  ::: a.scn:13:10
   |
13 | scenario t
   |          - `t` takes that line over
   |
   = help: put `out:` on a line of its own
";
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_error_of_the_base_is_its_own() {
    let source = format!("{HEAD}agent p\n  put g\n  laod A\n\nscenario t\nlike s\n\nscenario u\nlike t\n");
    let found = shown(&source);
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    assert!(found.contains("there is no step `laod`") && !found.contains("takes that line over"), "{found}");
    let found = shown(&source.replace("  laod A\n", ""));
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    assert!(found.contains("there is no frame `g`") && !found.contains("takes that line over"), "{found}");
}

#[test]
fn a_block_that_a_variant_leaves_empty_names_the_variant() {
    let base = "agent p\n  repeat 0..2:\n    get old\n  fence\n\n";
    let found = shown(&format!("{HEAD}{base}scenario t\nlike s\ndrop p.2\n"));
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    assert!(
        found.contains("nothing follows this `:`") && found.contains("`t` takes that line over"),
        "{found}"
    );
}
