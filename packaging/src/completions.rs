//! Completions for shells.
//!
//! Invariant: each file has the name under which its shell looks for it: bash-completion, zsh's `compinit`, fish.

use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};

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
    generate(shell, &mut command.clone(), "afterimage", &mut text);
    text
}
