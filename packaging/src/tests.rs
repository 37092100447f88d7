//! Pages and completions are held against the grammar.

use clap::Command;
use clap_complete::Shell;

use crate::{completions, grammar, pages};

fn command() -> Command {
    grammar::shown(&vmm::command::grammar())
}

/// The text of each page without its markup of fonts.
fn read() -> Vec<(String, String)> {
    let plain = |text: Vec<u8>| {
        let text = String::from_utf8(text).expect("a page is text");
        text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-")
    };
    let pages = pages::all(&command()).expect("memory takes pages");
    pages.into_iter().map(|(name, text)| (name, plain(text))).collect()
}

#[test]
fn each_subcommand_has_a_page_and_each_option_is_on_it() {
    let (pages, mut built) = (read(), command());
    built.build();
    let text = |name: &str| {
        let page = pages.iter().find(|(file, _)| file == name);
        page.map(|(_, text)| text).unwrap_or_else(|| panic!("there is no page {name}"))
    };
    let mut options = 0;
    for one in built.get_subcommands().filter(|one| one.get_name() != "help") {
        let page = text(&format!("afterimage-{}.1", one.get_name()));
        for option in one.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{option}")), "{}: no --{option}", one.get_name());
            options += 1;
        }
        assert!(text("afterimage.1").contains(&format!("afterimage-{}(1)", one.get_name())));
    }
    assert!(options > 50, "{options} options: not the whole grammar");
}

#[test]
fn what_is_hidden_is_on_no_page_and_is_not_completed() {
    let hidden: Vec<String> = vmm::command::grammar()
        .get_subcommands()
        .filter(|one| one.is_hide_set())
        .map(|one| one.get_name().to_owned())
        .collect();
    assert!(!hidden.is_empty(), "nothing is hidden, and this test says nothing");
    let shells = completions::SHELLS.map(|(shell, _)| completions::text(&command(), shell));
    let shells = shells.map(|text| String::from_utf8(text).expect("a completion is text"));
    for name in hidden {
        assert!(read().iter().all(|(file, text)| !file.contains(&name) && !text.contains(&name)), "{name}");
        assert!(shells.iter().all(|text| !text.contains(&name)), "{name}");
    }
}

#[test]
fn the_exit_statuses_of_a_guests_run_are_lines_of_their_own() {
    let pages = read();
    let (_, boot) = pages.iter().find(|(file, _)| file == "afterimage-boot.1").expect("boot has a page");
    let (_, table) = boot.split_once(".SH \"EXIT STATUS\"\n.nf\n").expect("a table that is not filled");
    assert!(table.lines().next().is_some_and(|line| line.trim_start().starts_with("0 ")), "{table}");
    assert!(table.contains("\n  141") || table.contains("141 if whoever"), "{table}");
}

#[test]
fn each_shell_completes_what_the_grammar_has() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = String::from_utf8(completions::text(&command(), shell)).expect("a completion is text");
        for word in ["minimize", "stale-report", "cross-check"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn what_comes_with_the_program_is_completed_by_its_name() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = String::from_utf8(completions::text(&command(), shell)).expect("a completion is text");
        // What clap_complete writes for fish has options alone.
        let words = ["vtd-bug-wrong-domain", "AI0012", "cow-notify-before-clear"];
        for word in words.into_iter().take(if shell == Shell::Fish { 1 } else { 3 }) {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let error = crate::write(std::path::Path::new("/dev/null/pages")).expect_err("it is no folder");
    assert!(error.path.starts_with("/dev/null"), "{error:?}");
}
