//! Orders as scenario files in a folder.
//!
//! Invariant: a folder that cannot be written is said before anything is explored; files are named after their orders, so
//! that nothing else in the folder is written over.

use std::fs;
use std::io;
use std::path::Path;

use ordering::generate::{Generated, Order, Request, saved};

use crate::command::pictures::Opened;

/// Makes the folder, and sees whether a file can be written there.
pub(super) fn prepare(folder: &Path) -> Result<(), String> {
    let unwritable = |error: io::Error| format!("cannot write {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(unwritable)?;
    Opened::new(&folder.join("orders.scn")).map(drop)
}

/// Writes the files of these orders; what there is to say.
pub(super) fn write(
    folder: &Path,
    request: &Request<'_>,
    found: &Generated,
    orders: &[&Order],
) -> Result<String, String> {
    let files: Vec<_> = orders.iter().filter_map(|order| saved(request, found, order)).collect();
    for file in &files {
        Opened::new(&folder.join(&file.name))?.write(&file.text)?;
    }
    let without = orders.len() - files.len();
    let rest =
        if without == 0 { String::new() } else { format!("; {without} orders say nothing of anybody") };
    Ok(format!(
        "{} files in {folder}{rest}; `afterimage check {folder}` decides them again",
        files.len(),
        folder = folder.display()
    ))
}
