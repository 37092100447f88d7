//! The grammar without what is hidden, and for shells with the words that arguments can be.
//!
//! Invariant: what `--help` does not list is in no page and is completed by no shell. clap_complete leaves out hidden
//! arguments alone, so hidden subcommands are taken out before.

use clap::Command;
use clap::builder::{PossibleValuesParser, StyledStr};

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

/// The same with the words that an argument can be: a page of three hundred names would be read by nobody, and a shell
/// offers those that begin as what was typed.
pub(crate) fn offered(shown: &Command) -> Command {
    let kept = |text: String| -> &'static str { text.leak() };
    vmm::command::words().into_iter().fold(shown.clone(), |whole, (command, argument, words)| {
        let words: Vec<_> = words.into_iter().map(kept).collect();
        whole.mut_subcommand(command, |one| {
            one.mut_arg(argument, |argument| argument.value_parser(PossibleValuesParser::new(words)))
        })
    })
}
