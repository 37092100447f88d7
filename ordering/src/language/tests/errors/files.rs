//! What is wrong with a file as a whole, or with its bytes: one error each.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{HEAD, shown};
use crate::language::parse;
use crate::lowering::load;

const GOOD: &str =
    "scenario s\npage A\nframe f = 0\nmap A -> f rw\ncpu C\n\nrace\nC\nload A\n\nnever C reads A == 0\n";

fn errors(source: &str) -> Vec<String> {
    load(source).map_or_else(|found| found.into_iter().map(|one| one.message).collect(), |_| Vec::new())
}

#[test]
fn a_file_without_a_scenario_is_an_error() {
    for source in ["", "\n", "# a remark\n", "\u{feff}", "\u{feff}# a remark\n\n  \n"] {
        assert_eq!(errors(source), ["there is no scenario in this file"], "{source:?}");
        assert!(shown(source).contains("help: begin with `scenario NAME`"), "{source:?}");
    }
    assert_eq!(errors("scenario s\nscenario t\n").len(), 2, "scenarios that say nothing have no program");
}

#[test]
fn a_byte_order_mark_and_the_line_ends_of_other_systems_are_read_over() {
    for source in [format!("\u{feff}{GOOD}"), GOOD.replace('\n', "\r\n")] {
        assert_eq!(errors(&source), [""; 0], "{source:?}");
        let wrong = source.replace("load A", "laod A");
        let place = shown(&wrong);
        assert!(place.contains("a.scn:9:1") && place.contains("did you mean `load`?"), "{place}");
    }
    assert!(shown("\u{feff}scenari s").contains("--> a.scn:1:1\n"), "the mark is no column");
}

#[test]
fn a_carriage_return_alone_is_one_error() {
    let old = GOOD.replace('\n', "\r");
    assert_eq!(errors(&old), ["a carriage return stands here, and no line feed behind it"]);
    assert_eq!(errors(&GOOD.replacen("page A", "page\rA", 1)).len(), 1);
}

#[test]
fn tabs_and_blanks_in_one_program_are_one_error() {
    let source = format!("{HEAD}agent p\n  repeat 0..1:\n\t\tfence\n\tfence\n");
    let expected = r"
error: tabs and blanks are mixed at the beginning of the rows of one program
 --> a.scn:9:3
  |
9 |         fence
  |         ^^^^^ tabs
  |
 ::: a.scn:8:3
  |
8 |   repeat 0..1:
  |   ------------ blanks
  |
  = help: use blanks alone
";
    assert_eq!(shown(&source), expected.trim_matches('\n'));
    assert_eq!(errors(&format!("{HEAD}agent p\n\trepeat 0..1:\n\t\tfence\n")), [""; 0], "tabs alone");
}

#[test]
fn a_number_that_is_too_large_is_one_error() {
    for line in ["frame g = 99999999999\nagent p\n  put g", "agent p\n  repeat 99999999999:\n    fence"] {
        assert_eq!(errors(&format!("{HEAD}{line}\n")), ["the number 99999999999 is too large"], "{line}");
    }
    let row = format!("{HEAD}agent p\n  if old == 99999999999:\n    fence\n  else:\n    fence\n");
    assert_eq!(errors(&row), ["the number 99999999999 is too large"]);
}

#[test]
fn a_text_that_never_ends_is_one_error() {
    assert_eq!(errors(&format!("{HEAD}about \"# no end\nagent p\n  fence\n")), ["this text has no end"]);
    let bare = errors(&format!("{HEAD}about words\nagent p\n  fence\n"));
    assert_eq!(bare, ["`words` stands where a text in quotes is expected"]);
}

#[test]
fn lines_before_the_first_scenario_are_one_error() {
    assert_eq!(errors("page A\nframe f\nmap A -> f rw\n"), ["this line belongs to no scenario"]);
}

#[test]
fn reading_takes_time_in_proportion_to_the_file() {
    let file = |count: u32| {
        let mut text = String::new();
        for number in 0..count {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", GOOD.replacen("scenario s", &format!("scenario s{number}"), 1));
            let _ = writeln!(text, "scenario v{number}\nlike s{number}\nmap A -> f ro\n");
        }
        text
    };
    let time = |text: &str| {
        let begun = Instant::now();
        assert!(load(text).is_ok());
        begun.elapsed()
    };
    let (small, large) = (file(100), file(1600));
    time(&small);
    let (few, many) = (time(&small), time(&large));
    // Sixteen times as much, and as much again for a busy machine; a quadratic reading takes 256 times as long.
    assert!(many < few * 64 + Duration::from_millis(50), "{few:?}, then {many:?}");
}

#[test]
fn a_program_of_too_many_rows_is_refused_at_once() {
    let begun = Instant::now();
    for program in [
        format!("agent p\n{}", "  fence\n".repeat(30_000)),
        format!("agent p\n  {}\n", "fence; ".repeat(30_000)),
        format!("race\nCPU\n{}", "load A\n".repeat(30_000)),
        format!("trace\nCPU\n{}", "load A\n".repeat(30_000)),
    ] {
        let found = errors(&format!("{HEAD}{program}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("too many to explore"), "{found:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn variants_that_take_over_too_much_are_refused() {
    let mut text = format!("{HEAD}agent p\n{}", "  fence\n".repeat(4000));
    for number in 0..100 {
        let _ = writeln!(text, "scenario v{number}\nlike s");
    }
    let found = parse(&text).diagnostics;
    assert!(found.iter().all(|one| one.message.ends_with("take over too much to be explored")), "{found:?}");
    assert!((30..100).contains(&found.len()), "{}", found.len());
}

#[test]
fn of_very_many_errors_the_first_are_shown() {
    let shown = shown(&format!("{HEAD}{}", "nonsense\n".repeat(1000)));
    assert_eq!(shown.matches("error: ").count(), 200);
    assert!(shown.ends_with("and 800 more errors"));
}
