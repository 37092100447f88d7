//! Completions for shells.
//!
//! Invariant: each file has the name under which its shell looks for it: bash-completion, zsh's `compinit`, fish.
//! What comes with the program is completed by its name: guests, codes of errors, scenarios of the catalogue.

use std::path::Path;

use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::{Shell, generate};
use guest_images::guest::GUESTS;
use ordering::catalogue;
use ordering::language::Code;

use crate::{Unwritable, put};

/// Shells, each with the name of its file.
pub(crate) const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "afterimage.bash"), (Shell::Zsh, "_afterimage"), (Shell::Fish, "afterimage.fish")];

/// Writes a file a shell.
pub(crate) fn write(command: &Command, folder: &Path) -> Result<(), Unwritable> {
    SHELLS.into_iter().try_for_each(|(shell, name)| put(folder, name, &text(command, shell)))
}

/// What `shell` reads.
pub(crate) fn text(command: &Command, shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, &mut with_names(command.clone()), "afterimage", &mut text);
    text
}

/// The command, with the names that these arguments take.
///
/// `check` and `race` take names, too, and are left as they are: files are what they mostly get.
fn with_names(command: Command) -> Command {
    let guests = GUESTS.iter().map(|guest| guest.name.to_owned());
    let codes = Code::ALL.iter().map(Code::to_string);
    let scenarios = catalogue::entries().into_iter().map(|entry| entry.scenario.name.node);
    let (guests, codes, scenarios) = (one_of(guests), one_of(codes), one_of(scenarios));
    command
        .mut_subcommand("boot", |boot| boot.mut_arg("guest", |guest| guest.value_parser(guests)))
        .mut_subcommand("explain", |explain| explain.mut_arg("code", |code| code.value_parser(codes)))
        .mut_subcommand("zoo", |zoo| zoo.mut_arg("name", |name| name.value_parser(scenarios)))
}

/// What takes one of `names`, which are kept until the program ends, as clap wants them.
fn one_of(names: impl Iterator<Item = String>) -> PossibleValuesParser {
    PossibleValuesParser::new(names.map(|name| -> &'static str { name.leak() }))
}
