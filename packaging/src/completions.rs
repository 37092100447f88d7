//! Completions for shells.
//!
//! Invariant: each file has the name under which its shell looks for it: bash-completion, zsh's `compinit`, fish. Where
//! a command takes scenarios, files that end in `.scn` are offered, and folders; what clap_complete writes otherwise is
//! changed only where a shell was seen to offer nothing. Source: bash(1), "Programmable Completion"; zshcompsys(1),
//! `_files`; fish, `complete`.

use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};

use crate::grammar::offered;
use crate::{Unwritable, put};

/// Shells, each with the name of its file.
pub(crate) const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "afterimage.bash"), (Shell::Zsh, "_afterimage"), (Shell::Fish, "afterimage.fish")];

/// Commands that take scenario files.
const TAKE_SCENARIOS: [&str; 5] = ["check", "race", "replay", "minimize", "fmt"];

/// Writes a file a shell.
pub(crate) fn write(command: &Command, folder: &Path) -> Result<(), Unwritable> {
    let offered = offered(command);
    SHELLS.into_iter().try_for_each(|(shell, name)| put(folder, name, text(&offered, shell).as_bytes()))
}

/// What `shell` reads of a command with the words that it offers.
pub(crate) fn text(command: &Command, shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut command.clone(), "afterimage", &mut text);
    let text = String::from_utf8(text).expect("clap_complete writes text");
    match shell {
        Shell::Bash => text + &bash(),
        Shell::Zsh => zsh(&text),
        Shell::Fish => fish(&text, command),
        other => unreachable!("there is no file for {other}"),
    }
}

/// Around clap's function, which offers no file beside options, and nothing behind `=`, at which bash parts words.
fn bash() -> String {
    let commands = TAKE_SCENARIOS.join("|");
    format!(
        r#"
_afterimage_scenarios() {{
    local now=$2 before=$3 word
    [[ $now == = ]] && now= before=${{COMP_WORDS[COMP_CWORD-1]}}
    [[ $before == = ]] && before=${{COMP_WORDS[COMP_CWORD-2]}}
    _afterimage "$1" "$now" "$before"
    [[ $now == -* ]] && return
    [[ $before == -* && ${{#COMPREPLY[@]}} -gt 0 && ${{COMPREPLY[0]}} != -* ]] && return
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in
            {commands})
                local IFS=$'\n'
                COMPREPLY=( $(compgen -f -X '!*.scn' -- "$now"; compgen -d -- "$now") )
                return
                ;;
            -*|=|auto|always|never) ;;
            *) return ;;
        esac
    done
}}

complete -o filenames -o bashdefault -o default -o nosort -F _afterimage_scenarios afterimage
"#
    )
}

/// zsh has `_files` already, for any file.
fn zsh(text: &str) -> String {
    let mut command = None;
    let line = |line: &str| {
        let label = line.trim().strip_prefix('(').and_then(|label| label.strip_suffix(')'));
        command = label.map(str::to_owned).or_else(|| command.take());
        let takes = command.as_deref().is_some_and(|command| TAKE_SCENARIOS.contains(&command));
        let is_place = line.starts_with("'*::path") || line.starts_with("':path");
        let changed = if takes && is_place {
            line.replace(":_files'", ":_files -g \"*.scn\"'")
        } else {
            line.to_owned()
        };
        changed + "\n"
    };
    text.lines().map(line).collect()
}

/// fish offers nothing behind a global option that lacks its value, nor behind `help`, which clap_complete lists among
/// the words that were chosen already, nor the words that an argument without a name can be.
fn fish(text: &str, command: &Command) -> String {
    let begun = "argparse -s (__fish_afterimage_global_optspecs) -- $cmd 2>/dev/null\n    or return\n";
    let text = text.replace(begun, &begun.replace("or return", "or return 0"));
    let line =
        |line: &str| match line.split_once("using_subcommand help; and not __fish_seen_subcommand_from ") {
            Some(_) => line.replacen(" help\" -f", "\" -f", 1) + "\n",
            None => line.to_owned() + "\n",
        };
    let commands = TAKE_SCENARIOS.join(" ");
    let scenarios = format!(
        "complete -c afterimage -n \"__fish_afterimage_using_subcommand {commands}\" -k -f -a \"(__fish_complete_suffix .scn)\"\n"
    );
    let words =
        command.get_subcommands().flat_map(|one| one.get_positionals().map(move |argument| (one, argument)));
    let words = words.filter_map(|(one, argument)| {
        let words: Vec<String> =
            argument.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        let (name, words) = ((!words.is_empty()).then(|| one.get_name())?, words.join(" "));
        Some(format!(
            "complete -c afterimage -n \"__fish_afterimage_using_subcommand {name}\" -f -a \"{words}\"\n"
        ))
    });
    text.lines().map(line).chain([scenarios]).chain(words).collect()
}
