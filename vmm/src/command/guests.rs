//! `afterimage guests`: what `boot --guest` takes.

use std::process::ExitCode;

use guest_images::guest::GUESTS;

use super::say;

/// Lists them, a line each.
pub(super) fn run() -> ExitCode {
    let width = GUESTS.map(|guest| guest.name.len()).into_iter().max().unwrap_or_default();
    for guest in GUESTS {
        say(format_args!("{:width$}  {}", guest.name, guest.about));
    }
    ExitCode::SUCCESS
}
