//! Errors as they are shown: place, line, caret, help.
//!
//! Invariant: the whole rendered text is compared, so that a change of words is a change of this file.

mod devices;
mod entries;
mod files;
mod rows;
mod tables;
mod tags;
mod twice;
mod variants;

use crate::engine::{Biggest, TooLarge};
use crate::language::render_all;
use crate::lowering::{load, too_large};

const HEAD: &str = "scenario s\npage A\nframe old = 0\nmap A -> old rw\ncpu CPU\ndevice IOMMU\n";

/// What is shown for `source`, without blanks at the ends of lines.
fn shown(source: &str) -> String {
    load(source)
        .map_or_else(|diagnostics| clean(&render_all(&diagnostics, "a.scn", source)), |_| String::new())
}

/// Without codes, which the examples of `explain` hold, and without blanks at the ends of lines.
fn clean(text: &str) -> String {
    let plain = |line: &str| match line.strip_prefix("error[AI").and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => format!("error{rest}"),
        None => line.to_owned(),
    };
    text.lines().map(|line| plain(line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// A scenario in which `step` is the second step of a CPU's column.
fn in_column(step: &str) -> String {
    format!("{HEAD}\nrace\nCPU         | IOMMU\nlock ptl(A) | walk A\n{step} |\nunlock ptl(A) |\n\n")
}

#[test]
fn a_step_that_does_not_exist_is_named_with_its_neighbour() {
    let source = in_column("pte_claer A");
    let expected = r#"
error: there is no step `pte_claer`
  --> a.scn:11:1
   |
11 | pte_claer A |
   | ^^^^^^^^^
   |
   = help: did you mean `pte_clear`?
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_row_with_too_many_cells_is_counted() {
    let source = in_column("pte_clear A | walk A");
    let expected = r#"
error: this row has 3 columns, the table has 2
  --> a.scn:11:1
   |
11 | pte_clear A | walk A |
   | ^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: put a `|` for every border of the head; a choice is written `or` in a table
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn all_undeclared_names_are_reported_at_once() {
    let source = format!("{HEAD}\nrace\nCPU | DEV\nload B | walk A\nset_pte A -> odl rw |\n\n");
    let expected = r#"
error: there is no CPU or device `DEV`
 --> a.scn:9:7
  |
9 | CPU | DEV
  |       ^^^
  |
  = help: declare it: `cpu DEV`

error: there is no page `B`
  --> a.scn:10:6
   |
10 | load B | walk A
   |      ^
   |
   = help: declare it: `page B`

error: there is no frame `odl`
  --> a.scn:11:14
   |
11 | set_pte A -> odl rw |
   |              ^^^
   |
   = help: did you mean `old`?
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_device_step_in_a_cpu_column_names_the_step_to_use() {
    let source = in_column("dma_read A");
    let expected = r#"
error: `dma_read` is a step of a device, and `CPU` is none
  --> a.scn:11:1
   |
11 | dma_read A |
   | ^^^^^^^^^^
   |
   = help: write `load`, or declare `device CPU`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_kernel_step_in_a_device_column_is_refused() {
    let source = format!("{HEAD}\nrace\nCPU | IOMMU\nload A | pte_clear A\n\n");
    let expected = r#"
error: `pte_clear` is no step of a device, and `IOMMU` is one
  --> a.scn:10:10
   |
10 | load A | pte_clear A
   |          ^^^^^^^^^^^
   |
   = help: a device can walk, dma_read and dma_write; put the step into another column
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_unlock_of_a_lock_that_nobody_takes_is_refused() {
    let source = format!("{HEAD}\nrace\nCPU\nlock ptl(A)\nunlock page(old)\n\n");
    let expected = r#"
error: nobody ever takes the lock `page(old)`
  --> a.scn:11:1
   |
11 | unlock page(old)
   | ^^^^^^^^^^^^^^^^
   |
   = help: take it before: `lock page(old)`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_repeat_needs_a_bound() {
    let source = format!("{HEAD}\nrace\nCPU\nrepeat:\n  load A\nrepeat 0..:\n  load A\n\n");
    let expected = r#"
error: this `repeat` has no bound
  --> a.scn:10:1
   |
10 | repeat:
   | ^^^^^^
   |
   = help: a proof needs a finite scenario: write how often at least and at most, `repeat 0..2:`

error: this `repeat` has no bound
  --> a.scn:12:1
   |
12 | repeat 0..:
   | ^^^^^^^^^^
   |
   = help: a proof needs a finite scenario: write how often at least and at most, `repeat 0..2:`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_property_whose_event_never_happens_can_never_fail() {
    let source = format!("{}never IOMMU reads A == 3 after CPU lock ptl(A)\n", in_column("load A"));
    let expected = r#"
error: this property can never fail: no step of any program is this
  --> a.scn:14:7
   |
14 | never IOMMU reads A == 3 after CPU lock ptl(A)
   |       ^^^^^^^^^^^^^^^^^^ never happens
   |
   = help: name an agent, a step and a value that occur in the programs
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_condition_that_always_holds_can_never_fail() {
    let source = format!("{}always content(old) < 7\n", in_column("load A"));
    let expected = r#"
error: this always holds: it can never fail
  --> a.scn:14:8
   |
14 | always content(old) < 7
   |        ^^^^^^^^^^^^^^^^
   |
   = help: compare with a value that it can have
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_trace_row_that_must_wait_says_for_what() {
    let source = format!(
        "{}trace\nCPU | IOMMU | state change\nlock ptl(A) | |\npte_clear A | | pte[A]: none\n | walk A |\n\n",
        in_column("pte_clear A")
    );
    let expected = r#"
error: `IOMMU` cannot take this step here
  --> a.scn:18:4
   |
18 |  | walk A |
   |    ^^^^^^ waits for pte[A] to be old rw: pte[A] is none
   |
   = help: put the step that it waits for on a row above
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_trace_row_out_of_order_says_what_comes_next() {
    let source = format!("{}trace\nCPU | IOMMU\npte_clear A |\n\n", in_column("pte_clear A"));
    let expected = r#"
error: `CPU` cannot take this step here
  --> a.scn:16:1
   |
16 | pte_clear A |
   | ^^^^^^^^^^^
   |
   = help: its next step is `lock ptl(A)`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_verdict_needs_a_property() {
    let source = format!("{}expect proved\n", in_column("pte_clear A"));
    let expected = r#"
error: a verdict is expected, and no property is asked for
  --> a.scn:14:8
   |
14 | expect proved
   |        ^^^^^^
   |
   = help: add `never …`, `always …` or `finally …`; `never use of a freed frame` names a built-in one
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_option_is_one_of_those_that_exist() {
    let source = format!("{}option wlak = split\noption walk = thrice\n", in_column("pte_clear A"));
    let expected = r#"
error: there is no option `wlak`
  --> a.scn:14:8
   |
14 | option wlak = split
   |        ^^^^
   |
   = help: did you mean `walk`?

error: option `walk` has no value `thrice`
  --> a.scn:15:15
   |
15 | option walk = thrice
   |               ^^^^^^
   |
   = help: write one of whole, split
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_jump_needs_its_label() {
    let source = in_column("if pte_same A: goto oot");
    let expected = r#"
error: there is no label `oot`
  --> a.scn:11:21
   |
11 | if pte_same A: goto oot |
   |                     ^^^
   |
   = help: put `oot:` on a line of its own
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_order_of_an_operation_is_one_of_its_names() {
    let source = format!("{HEAD}frame new = 0 free\nagent mm\n  wp_page_copy \"no-flsh\" A old -> new\n");
    let expected = r#"
error: `wp_page_copy` has no order "no-flsh"
 --> a.scn:9:16
  |
9 |   wp_page_copy "no-flsh" A old -> new
  |                ^^^^^^^^^
  |
  = help: did you mean `no-flush`?
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_operation_without_orders_takes_none() {
    let source = format!("{HEAD}agent mm\n  ksm_stabilize \"nonsense\" A old\n  ptep_clear_flush \"x\" A\n");
    let expected = r#"
error: `ksm_stabilize` has no orders
 --> a.scn:8:17
  |
8 |   ksm_stabilize "nonsense" A old
  |                 ^^^^^^^^^^
  |
  = help: write `ksm_stabilize PAGE FRAME`, or `ksm_merge`, which has some

error: "x" stands where a page is expected
 --> a.scn:9:20
  |
9 |   ptep_clear_flush "x" A
  |                    ^^^
  |
  = help: write `ptep_clear_flush PAGE`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn an_agent_without_a_cpu_cannot_load() {
    let source = format!("{HEAD}agent mm\n  load A\n");
    let expected = r#"
error: `load` needs a TLB, and agent `mm` runs on no CPU
 --> a.scn:8:3
  |
8 |   load A
  |   ^^^^^^
  |
  = help: declare `cpu mm`, or write `agent mm on CPU0`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_variant_names_its_base_and_rows_that_are_there() {
    let source = format!("{}scenario t\nlike s\ndrop CPU.9\n\nscenario u\nlike r\n", in_column("load A"));
    let expected = r#"
error: CPU has no row 9, it has 3 rows
  --> a.scn:16:6
   |
16 | drop CPU.9
   |      ^^^^^
   |
   = help: rows are counted from 1

error: there is no scenario `r`
  --> a.scn:19:6
   |
19 | like r
   |      ^
   |
   = help: it must stand above, in the same file
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn what_cannot_be_read_costs_one_line_only() {
    let source = format!(
        "{HEAD}farme new = 1\nframe x = $\nframe y = 1\nagent mm\n  put y 3\n  store A\n  atomic {{ put y\n"
    );
    let expected = r#"
error: no line begins with `farme`
 --> a.scn:7:1
  |
7 | farme new = 1
  | ^^^^^
  |
  = help: did you mean `frame`?

error: `$` means nothing here
 --> a.scn:8:11
  |
8 | frame x = $
  |           ^
  |
  = help: leave it out, or put it behind `#` if it is a remark

error: `3` stands where the end of the line is expected
  --> a.scn:11:9
   |
11 |   put y 3
   |         ^
   |
   = help: write `one statement, or several with `;` between them`

error: the line ends where `=` is expected
  --> a.scn:12:10
   |
12 |   store A
   |          ^
   |
   = help: write `store PAGE = VALUE`

error: the line ends where `}` is expected
  --> a.scn:13:17
   |
13 |   atomic { put y
   |                 ^
   |
   = help: write `{ pte_clear A; flush_tlb A }`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_state_that_does_not_fit_names_its_largest_variables() {
    let source = in_column("pte_clear A");
    let (scenario, _) = load(&source).unwrap().remove(0);
    let biggest = Biggest(vec![("refs[old]".to_owned(), 90), ("x".to_owned(), 60)]);
    let error = TooLarge::Bits { bits: 153, limit: 127, biggest };
    let expected = r"
error: a state of `s` needs 153 bits, and 127 can be packed
 --> a.scn:1:10
  |
1 | scenario s
  |          ^
  |
  = help: leave out what no property needs; the largest are refs[old] (90), x (60)
";
    let found = too_large(&scenario, &error).render("a.scn", &source);
    assert_eq!(clean(&found), expected.trim_matches('\n'));
}

#[test]
fn a_trylock_says_where_to_go_on() {
    let source = format!("{HEAD}agent p\n  trylock mmap_lock shared\n");
    let expected = r#"
error: the line ends where `else` is expected
 --> a.scn:8:27
  |
8 |   trylock mmap_lock shared
  |                           ^
  |
  = help: write `trylock LOCK [shared] else LABEL`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn any_is_no_name_of_a_page() {
    let source = format!("{HEAD}page any\nagent p\n  lock m\n");
    let expected = r#"
error: `any` stands for every page, and is no name of one
 --> a.scn:7:6
  |
7 | page any
  |      ^^^
  |
  = help: give the page another name
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn hardware_that_acts_by_itself_keeps_its_name() {
    let source = format!("{HEAD}option speculation = on\nagent CPU\n  load A\nagent CPU_walker\n  lock m\n");
    let expected = r#"
error: `CPU_walker` is hardware that acts by itself
  --> a.scn:10:7
   |
10 | agent CPU_walker
   |       ^^^^^^^^^^
   |
   = help: give the agent another name
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}
