//! Pages and completions are held against the grammar.

use std::path::Path;
use std::process::Command as Process;
use std::sync::OnceLock;

use clap::Command;
use clap_complete::Shell;

use crate::{completions, grammar, pages};

fn command() -> Command {
    grammar::shown(&vmm::command::grammar())
}

/// The command with the words that shells offer: they are those of all scenarios, and are read once.
fn offered() -> &'static Command {
    static OFFERED: OnceLock<Command> = OnceLock::new();
    OFFERED.get_or_init(|| grammar::offered(&command()))
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
    let shells = completions::SHELLS.map(|(shell, _)| completions::text(offered(), shell));
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
        let text = completions::text(offered(), shell);
        for word in ["minimize", "stale-report", "cross-check"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}

/// What bash offers for the last of these words.
fn offered_by_bash(folder: &Path, words: &[&str]) -> Vec<String> {
    let script = folder.join("afterimage.bash");
    std::fs::write(&script, completions::text(offered(), Shell::Bash)).expect("it can be written");
    let asked = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p afterimage | sed 's/.*-F \([^ ]*\) .*/\1/')
        "$function" afterimage "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Process::new("bash")
        .args(["--norc", "-c", asked, "bash"])
        .arg(&script)
        .arg("afterimage")
        .args(words)
        .current_dir(folder)
        .output()
        .expect("there is bash");
    assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).expect("words are text");
    shown.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_options_values_names_and_scenario_files() {
    let folder = std::env::temp_dir().join(format!("afterimage-completions-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sub")).expect("a folder is made");
    for file in ["one.scn", "two.txt"] {
        std::fs::write(folder.join(file), "").expect("a file is written");
    }
    for (words, offered) in [
        (&["ch"][..], &["check"][..]),
        (&["check", "--fo"], &["--format"]),
        (&["check", "--format", "j"], &["json", "junit"]),
        (&["check", "--format", "=", "g"], &["github", "gitlab"]),
        (
            &["check", "--format", "="],
            &["text", "json", "github", "gitlab", "junit", "sarif", "tap", "markdown"],
        ),
        (&["check", ""], &["one.scn", "sub"]),
        (&["check", "--traces", "o"], &["one.scn"]),
        (&["--color", "always", "check", ""], &["one.scn", "sub"]),
        (&["--color", "n"], &["never"]),
        (&["race", "--mode", "f"], &["free"]),
        (&["boot", "--guest", "vtd-d"], &["vtd-driver", "vtd-detach"]),
        (&["zoo", "cow-notify-b"], &["cow-notify-before-clear"]),
        (&["explain", "AI0012"], &["AI0012"]),
        (&["help", "ch"], &["check"]),
        (&["keep"], &[]),
    ] {
        assert_eq!(offered_by_bash(&folder, words), offered, "{words:?}");
    }
    std::fs::remove_dir_all(folder).expect("it was made");
}

/// What zsh and fish were seen to offer nothing for without these.
#[test]
fn zsh_and_fish_offer_scenario_files_and_fish_the_names_of_the_catalogue() {
    let zsh = completions::text(offered(), Shell::Zsh);
    assert_eq!(zsh.matches(":_files -g \"*.scn\"'").count(), 5, "check, race, replay, minimize, fmt");
    let fish = completions::text(offered(), Shell::Fish);
    for part in [
        "using_subcommand check race replay minimize fmt\" -k -f -a \"(__fish_complete_suffix .scn)\"",
        "using_subcommand zoo\" -f -a \"contpte-",
        "    or return 0\n",
        "using_subcommand help; and not __fish_seen_subcommand_from demo ",
    ] {
        assert!(fish.contains(part), "no {part}");
    }
    assert!(!fish.contains(" help\" -f -a \"check\""), "what was chosen is not `help` itself");
}

#[test]
fn what_comes_with_the_program_is_completed_by_its_name() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = completions::text(offered(), shell);
        for word in ["vtd-bug-wrong-domain", "AI0012", "cow-notify-before-clear"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let error = crate::write(Path::new("/dev/null/pages")).expect_err("it is no folder");
    assert!(error.path.starts_with("/dev/null"), "{error:?}");
}
