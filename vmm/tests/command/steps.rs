//! `afterimage steps`.

use super::{afterimage, text};

#[test]
fn every_kind_of_word_is_listed() {
    let output = afterimage(&["steps"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    for part in ["pte_clear PAGE", "ptep_clear_flush_notify PAGE", "mapcount(FRAME)", "walk = whole|split"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
}

#[test]
fn a_word_or_a_kernel_function_shows_its_entry_only() {
    for (word, part) in [
        ("set_pte", "writes  pte, orig"),
        ("ptep_get_and_clear", "pte_clear PAGE"),
        ("wp_page_copy", "the program of mm/memory.c"),
        ("refs", "the references to a frame"),
        ("inv_drains", "inv_drains = on|off"),
    ] {
        let output = afterimage(&["steps", word]);
        assert_eq!(output.status.code(), Some(0), "{word}");
        let shown = text(&output.stdout);
        assert!(shown.contains(part) && shown.lines().count() < 15, "{word}:\n{shown}");
    }
}

#[test]
fn a_word_that_is_none_gets_the_nearest() {
    let output = afterimage(&["steps", "pte_claer"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean `pte_clear`?"), "{}", text(&output.stderr));
}
