//! Rows by number, and rows of tables that begin like lines.

use super::{HEAD, shown};
use crate::language::parse;
use crate::language::syntax::{Expect, Node, Rows, Unreached};

const BASE: &str = "agent p\n  lock m\n  put old\n  get old\n  put old\n  unlock m\n\n";

/// What the rows of the last scenario's first agent say.
fn rows(edits: &str) -> Vec<String> {
    let source = format!("{HEAD}{BASE}scenario t\nlike s\n{edits}\n");
    let file = parse(&source);
    assert_eq!(file.diagnostics, [], "{edits}");
    file.scenarios[1].agents[0].rows.iter().map(|row| row.span.text(&source).to_owned()).collect()
}

#[test]
fn edits_name_the_first_and_the_last_row() {
    assert_eq!(rows("drop p.2 to 4"), ["lock m", "unlock m"]);
    assert_eq!(rows("drop p.3"), ["lock m", "put old", "put old", "unlock m"]);
    assert_eq!(rows("replace p.2 to 4\n  fence"), ["lock m", "fence", "unlock m"]);
    assert_eq!(rows("move p.1 to 2 before 6"), ["get old", "put old", "unlock m", "lock m", "put old"]);
    let own = ["lock m", "put old", "get old", "put old", "unlock m"];
    assert_eq!(rows("move p.2 before 2"), own, "before itself");
    assert_eq!(rows("move p.2 before 3"), own, "behind itself");
}

#[test]
fn what_replaces_a_row_stands_as_far_to_the_right() {
    let base = "agent p\n  repeat 0..2:\n    get old\n    put old\n\n";
    let file = parse(&format!("{HEAD}{base}scenario t\nlike s\nreplace p.2\n  fence\n"));
    assert_eq!(file.diagnostics, []);
    let body = &file.scenarios[1].agents[0].body;
    assert!(matches!(&body[..], [one] if matches!(&one.node, Node::Repeat(0, 2, inner) if inner.len() == 2)));
}

#[test]
fn a_range_that_leaves_out_its_end_is_refused_with_the_rows_it_meant() {
    for (edit, meant) in [("drop p.2..4", "`p.2 to 3`"), ("drop p.2..3", "`p.2`"), ("drop p.4..", "`p.4`")] {
        let found = shown(&format!("{HEAD}{BASE}scenario t\nlike s\n{edit}\n"));
        assert!(found.contains("rows are no range with `..`"), "{found}");
        assert!(found.contains(&format!("write {meant}")), "{found}");
    }
}

#[test]
fn rows_that_no_order_takes_are_said_with_a_reason() {
    let line = "unreached p.4, q.2 to 3 \"nobody else takes the lock\"";
    let source = format!("{HEAD}{BASE}{line}\n");
    let file = parse(&source);
    assert_eq!(file.diagnostics, []);
    let [Unreached { rows, reason, .. }] = file.scenarios[0].unreached.as_slice() else { panic!("one line") };
    let named = |rows: &Rows| (rows.agent.node.clone(), rows.first, rows.last);
    assert_eq!(rows.iter().map(named).collect::<Vec<_>>(), [("p".to_owned(), 4, 4), ("q".to_owned(), 2, 3)]);
    assert_eq!(reason, "nobody else takes the lock");
    let found = shown(&source.replace(" \"nobody else takes the lock\"", ""));
    assert!(found.contains("the line ends where a reason in quotes is expected"), "{found}");
}

#[test]
fn an_expected_violation_may_name_its_property() {
    let expected = |line: &str| {
        let file = parse(&format!("{HEAD}{BASE}{line}\n"));
        assert_eq!(file.diagnostics, [], "{line}");
        file.scenarios[0].expect.clone().expect("it is said").node
    };
    let named = |steps| match expected(steps) {
        Expect::Violation { of, steps } => (of.map(|of| of.node), steps),
        Expect::Proved => panic!("a violation is expected"),
    };
    let deadlock = Some("never deadlock".to_owned());
    assert_eq!(named("expect violation of never deadlock in 3 steps"), (deadlock.clone(), Some(3)));
    assert_eq!(named("expect violation of never deadlock"), (deadlock, None));
    assert_eq!(named("expect violation in 1 step"), (None, Some(1)));
    let found = shown(&format!("{HEAD}{BASE}expect violation of deadlock in 3 steps\n"));
    assert!(found.contains("`deadlock` is no property"), "{found}");
}

#[test]
fn a_word_that_begins_a_step_and_a_line_is_a_step_in_a_table_of_one_column() {
    for row in ["map old", "lock m", "page = 1", "source += 1", "drop:"] {
        let source = format!(
            "{HEAD}var page = 0..1, source = 0..9\n\nrace\nCPU\n{row}\n{row}\nload A\nalways old == 0\n"
        )
        .replace("drop:\ndrop:", "drop:");
        let file = parse(&source);
        assert_eq!(file.diagnostics, [], "{row}");
        let body = &file.scenarios[0].agents[0].body;
        assert!(matches!(body.last().expect("it has rows").node, Node::Step(_)), "{row}");
        assert_eq!(file.scenarios[0].properties.len(), 1, "another line ends the table: {row}");
    }
}

#[test]
fn a_declaration_below_several_columns_ends_the_table() {
    let source = "scenario s\npage A\nframe f\ncpu C, D\n\nrace\nC | D\nload A | load A\nmap A -> f ro\n";
    assert_eq!(parse(source).diagnostics, []);
}
