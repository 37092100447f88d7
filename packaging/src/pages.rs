//! Man pages: `afterimage.1`, and one for each subcommand. Source: man-pages(7).
//!
//! Invariant: a table of exit statuses stays a table, and each page names the others that belong to it.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::{Unwritable, put};

/// How `--help` begins the table of exit statuses.
const STATUSES: &str = "Exit status:\n";

/// Writes all pages into `folder`.
pub(crate) fn write(command: &Command, folder: &Path) -> Result<(), Unwritable> {
    all(command)
        .map_err(Unwritable::at(folder))?
        .into_iter()
        .try_for_each(|(name, text)| put(folder, &name, &text))
}

/// Each page by the name of its file.
pub(crate) fn all(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut built = command.clone().disable_help_subcommand(true);
    built.build();
    let whole = built.get_name().to_owned();
    let names = built.get_subcommands().map(|one| one.get_name().to_owned());
    let below: Vec<String> = names.map(|name| format!("{whole}-{name}")).collect();
    let mut pages = vec![page(&built, &below)?];
    for one in built.get_subcommands() {
        pages.push(page(one, std::slice::from_ref(&whole))?);
    }
    Ok(pages)
}

/// The page of `command`, with the `others` that it names.
fn page(command: &Command, others: &[String]) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command.clone()).source("Afterimage").manual("Afterimage");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let help = command.get_after_help().map(ToString::to_string);
    own_sections(help.as_deref(), others).to_writer(&mut text)?;
    Ok((man.get_filename(), text))
}

/// The exit statuses, line by line, and the pages beside this one.
fn own_sections(help: Option<&str>, others: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    match help {
        Some(help) => {
            roff.control("nf", []);
            for line in help.strip_prefix(STATUSES).unwrap_or(help).lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        }
        None => {
            roff.text([roman("As "), bold("afterimage"), roman("(1) says.")]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut named = Vec::new();
    for other in others {
        named.extend([bold(other.as_str()), roman("(1), ")]);
    }
    named.extend([bold("/usr/share/doc/afterimage"), roman(".")]);
    roff.text(named);
    roff
}
