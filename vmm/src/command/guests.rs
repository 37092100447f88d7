//! `afterimage guests`: what `boot --guest` takes.

use std::process::ExitCode;

use guest_images::guest::GUESTS;

use super::columns::{Place, laid_out};
use super::say;

/// Lists them, a line each.
pub(super) fn run() -> ExitCode {
    let rows: Vec<_> =
        GUESTS.iter().map(|guest| vec![guest.name.to_owned(), guest.about.to_owned()]).collect();
    say(laid_out(&rows, Place::here()));
    ExitCode::SUCCESS
}
