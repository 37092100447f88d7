//! `afterimage explain`: what the code of an error means.
//!
//! Invariant: what is printed is the language's own entry, whose examples are tested.

use std::process::ExitCode;

use clap::Args;
use ordering::language::explain::explain;
use ordering::language::{Code, did_you_mean};

use super::pager::{PagingArguments, say_long};
use super::voice::{UNUSABLE, complain};

/// What can be asked.
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// A code such as AI0012, which stands in `error[AI0012]`; without it all of them, in a line each
    code: Option<String>,
    #[command(flatten)]
    paging: PagingArguments,
}

/// Prints the entry of a code, or the list.
pub(super) fn run(arguments: &ExplainArguments) -> ExitCode {
    let Some(word) = &arguments.code else {
        let lines: Vec<String> = Code::ALL.iter().map(|code| format!("{code}  {}", code.about())).collect();
        say_long(&lines.join("\n"), arguments.paging.wanted());
        return ExitCode::SUCCESS;
    };
    // As it stands in a message, `error[AI0012]`, or in a sentence.
    let bare = word.strip_prefix("error[").unwrap_or(word).trim_end_matches([']', ':', ',', '.']);
    let Ok(code) = bare.parse::<Code>() else {
        let all: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
        let known: Vec<&str> = all.iter().map(String::as_str).collect();
        let help = did_you_mean(&word.to_ascii_uppercase(), &known, "`afterimage explain` lists all codes");
        complain(format_args!("there is no code `{}`: {help}", word.escape_debug()));
        return UNUSABLE.into();
    };
    say_long(explain(code).to_string().trim_end(), arguments.paging.wanted());
    ExitCode::SUCCESS
}
