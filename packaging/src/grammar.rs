//! The grammar without what is hidden.
//!
//! Invariant: what `--help` does not list is in no page and is completed by no shell. clap_complete leaves out hidden
//! arguments alone, so hidden subcommands are taken out before.

use clap::Command;

/// The command as its users see it.
pub(crate) fn shown(whole: &Command) -> Command {
    let subcommands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new(whole.get_name().to_owned())
        .version(whole.get_version().unwrap_or_default().to_owned())
        .about(whole.get_about().cloned())
        .long_about(whole.get_long_about().cloned())
        .after_help(whole.get_after_help().cloned())
        .args_conflicts_with_subcommands(whole.is_args_conflicts_with_subcommands_set())
        .args(whole.get_arguments())
        .groups(whole.get_groups())
        .subcommands(subcommands)
}
