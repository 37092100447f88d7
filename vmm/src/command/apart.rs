//! The files that one call reads and writes, held apart before any of them is touched.
//!
//! Invariant: no file is written over that the same call reads, or writes something else into, however it is named: links
//! lead to one file. What is no regular file, such as a pipe or /dev/null, may serve several.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, with the option that names it.
pub(super) type Named<'a> = (&'static str, &'a Path);

/// Which file it is.
#[derive(PartialEq, Eq, Debug)]
enum Identity {
    /// One that is there: its device and its number there.
    Known(u64, u64),
    /// One that will be there.
    New(PathBuf),
}

/// Holds the files that are written apart from each other, and from those that are read.
///
/// # Errors
/// Which two are one, and what to do.
pub(super) fn apart<'a>(
    written: &[Named<'_>],
    read: impl IntoIterator<Item = &'a Path>,
) -> Result<(), String> {
    let known: Vec<Identity> = read.into_iter().filter_map(identity).collect();
    let mut before: Vec<(&str, Identity)> = Vec::new();
    for (option, path) in written {
        let Some(file) = identity(path) else { continue };
        let shown = path.display();
        if known.contains(&file) {
            return Err(format!("{option} would write over {shown}, which is read; name another file"));
        }
        if let Some((other, _)) = before.iter().find(|(_, other)| *other == file) {
            return Err(format!("{other} and {option} cannot both be written into {shown}; name two files"));
        }
        before.push((option, file));
    }
    Ok(())
}

/// None if it is no regular file, or cannot be looked at, which whoever opens it says.
fn identity(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(known) => known.is_file().then(|| Identity::Known(known.dev(), known.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
            Some(Identity::New(parent.join(path.file_name()?)))
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("afterimage-apart-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_that_is_read_is_not_written_over_by_any_of_its_names() {
        let folder = folder("read");
        let read = folder.join("in.txt");
        fs::write(&read, "page A").unwrap();
        let [link, hard, dots] = ["link", "hard", "./in.txt"].map(|name| folder.join(name));
        symlink(&read, &link).unwrap();
        fs::hard_link(&read, &hard).unwrap();
        for name in [&read, &link, &hard, &dots] {
            let error = apart(&[("--html", name)], [read.as_path()]).unwrap_err();
            assert!(error.contains("--html would write over") && error.contains("another file"), "{error}");
        }
        apart(&[("--html", &folder.join("out"))], [read.as_path()]).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_outputs_are_two_files_unless_they_are_no_files() {
        let folder = folder("written");
        let (one, same) = (folder.join("out"), folder.join(".").join("out"));
        let error = apart(&[("--csv", &one), ("--html", &same)], []).unwrap_err();
        assert!(error.contains("--csv and --html"), "{error}");
        let null = Path::new("/dev/null");
        apart(&[("--csv", null), ("--html", null), ("--trace", &one)], []).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
