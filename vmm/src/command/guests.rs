//! `afterimage guests`: what `boot --guest` takes.

use std::process::ExitCode;

use guest_images::guest::GUESTS;

use super::say;

/// Lists them, a line each.
pub(super) fn run() -> ExitCode {
    for guest in GUESTS {
        say(format_args!("{:12} {}", guest.name, guest.about));
    }
    ExitCode::SUCCESS
}
