//! `afterimage zoo --save DIR`: the catalogue's files, to be read, changed and checked.
//!
//! Invariant: the folder was empty or not there, so nothing is written over; what is in it checks as the catalogue
//! does.

use std::fs;
use std::io;
use std::path::Path;

use ordering::catalogue::FILES;

use crate::remedy::remedy;

/// Why there is no copy.
pub(super) enum NoCopy {
    /// The folder has something in it.
    Unusable(String),
    /// The host refuses it.
    Host(String),
}

/// Writes all files below `folder`; what there is to say.
pub(super) fn write(folder: &Path) -> Result<String, NoCopy> {
    let shown = folder.display();
    if fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_some()) {
        return Err(NoCopy::Unusable(format!(
            "{shown} is not empty, and nothing is written over; name another folder"
        )));
    }
    for file in FILES {
        let path = folder.join(file.path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, file.text)).map_err(|error: io::Error| {
            let remedy = remedy(&error, "name a folder that can be written, on a disk with room");
            NoCopy::Host(format!("cannot write {}: {error}; {remedy}", path.display()))
        })?;
    }
    Ok(format!("{} files; `afterimage check {shown}` checks them", FILES.len()))
}
