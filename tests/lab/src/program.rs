//! The program under test: the file, and the libraries that it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archive::Archive;
use crate::packages::{PackageError, say};

/// The given program, or the one of this workspace, built now.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf, PackageError> {
    if let Some(given) = given {
        return fs::canonicalize(given).map_err(|error| PackageError::File(given.to_owned(), error));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--release", "--package", "afterimage-vmm", "--message-format", "json"]);
    let told = say(build.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    let program = told.lines().rev().find_map(executable);
    let silent = || PackageError::Command("cargo build".to_owned(), "no program was named".to_owned());
    program.ok_or_else(silent)
}

/// Puts the program and its libraries where they are looked for.
pub(crate) fn pack(program: &Path, archive: &mut Archive) -> Result<(), PackageError> {
    let failed = |path: &Path, error| PackageError::File(path.to_owned(), error);
    let read = |path: &Path| fs::read(path).map_err(|error| failed(path, error));
    archive.file("bin/afterimage", &read(program)?).map_err(|error| failed(program, error))?;
    let told = say(Command::new("ldd").arg(program))?;
    let words = told.split_whitespace().filter(|word| word.starts_with('/'));
    for library in words.map(Path::new) {
        let mut folders: Vec<&Path> = library.ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            let folder = folder.to_string_lossy();
            let folder = folder.trim_start_matches('/');
            if !folder.is_empty() {
                archive.folder(folder).map_err(|error| failed(library, error))?;
            }
        }
        let path = library.to_string_lossy();
        archive
            .file(path.trim_start_matches('/'), &read(library)?)
            .map_err(|error| failed(library, error))?;
    }
    Ok(())
}
