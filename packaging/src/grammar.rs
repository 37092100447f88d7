//! The grammar without what is hidden.
//!
//! Invariant: what `--help` does not list is in no page and is completed by no shell. clap_complete leaves out hidden
//! arguments alone, so hidden subcommands are taken out before.

use clap::Command;
use clap::builder::StyledStr;

/// The command as its users see it. Names are kept until the program ends, as clap wants them.
pub(crate) fn shown(whole: &Command) -> Command {
    let kept = |text: &str| -> &'static str { text.to_owned().leak() };
    let styled = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    let subcommands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new(kept(whole.get_name()))
        .version(kept(whole.get_version().unwrap_or_default()))
        .about(styled(whole.get_about()))
        .after_help(styled(whole.get_after_help()))
        .args(whole.get_arguments())
        .groups(whole.get_groups())
        .subcommands(subcommands)
}
