//! The scenario files that were named, folders and patterns opened; what is no file may be the name of a scenario of the
//! catalogue, and `-` is standard input.
//!
//! Invariant: files of a folder come in the order of their names, so that output does not depend on the file system;
//! only regular files are read, and only up to
//! `MAX_BYTES`: a device would never end.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ordering::catalogue;
use ordering::language::did_you_mean;
use thiserror::Error;

/// The longest scenario file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// How standard input is named in the arguments, and as a file.
const DASH: &str = "-";
pub(super) const STANDARD_INPUT: &str = "<stdin>";
/// Folders in folders at most: a link may lead back.
const MAX_DEPTH: usize = 16;

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// As it is shown.
    pub(super) name: String,
    /// What it says.
    pub(super) text: String,
    /// The one of its scenarios that is meant; none if all are.
    pub(super) only: Option<String>,
    /// Where it was read; none if it is the catalogue's.
    pub(super) path: Option<PathBuf>,
}

/// The files that were read.
pub(super) fn paths(sources: &[Source]) -> impl Iterator<Item = &Path> {
    sources.iter().filter_map(|source| source.path.as_deref())
}

/// Why there is nothing to read.
#[derive(Debug, Error)]
pub(super) enum FilesError {
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0} is no file; name scenario files or folders of them")]
    NotAFile(PathBuf),
    #[error("{0} is too long; a scenario file has at most {MAX_BYTES} bytes")]
    TooLong(PathBuf),
    #[error("{name} is no file, no folder and no scenario of the catalogue: {help}")]
    NoSuch { name: String, help: String },
    #[error("no scenario file (*.scn) in {0}")]
    None(PathBuf),
    #[error(
        "{0} matches no file and no folder with scenarios; look at `ls {0}`, or name a folder and choose with --scenario"
    )]
    NoMatch(String),
    #[error("{0} is no pattern: {1}; a file with such letters in its name is named by its folder")]
    NoPattern(String, glob::PatternError),
    #[error("standard input is named twice, and can be read once; leave one `-` out")]
    StandardInputTwice,
}

/// Reads all files, folders recursively.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Source>, FilesError> {
    let mut sources = Vec::new();
    if paths.iter().filter(|path| path.as_os_str() == DASH).count() > 1 {
        return Err(FilesError::StandardInputTwice);
    }
    for path in paths {
        if path.as_os_str() == DASH {
            sources.push(standard_input()?);
            continue;
        }
        if let Some(matching) = matching(path)? {
            for path in &matching {
                sources.push(read_one(path)?);
            }
            continue;
        }
        if let Some(source) = of_no_file(path)? {
            sources.push(source);
            continue;
        }
        let mut found = Vec::new();
        collect(path, MAX_DEPTH, &mut found)?;
        if found.is_empty() {
            return Err(FilesError::None(path.clone()));
        }
        for path in &found {
            sources.push(read_one(path)?);
        }
    }
    Ok(sources)
}

/// What standard input says.
pub(super) fn standard_input() -> Result<Source, FilesError> {
    let text = limited(io::stdin().lock(), Path::new("standard input"))?;
    Ok(Source { name: STANDARD_INPUT.to_owned(), text, only: None, path: None })
}

/// The scenario files that a pattern matches, those in folders among them, each once; none if `path` is no pattern. A file
/// that is called like a pattern is that file.
fn matching(path: &Path) -> Result<Option<Vec<PathBuf>>, FilesError> {
    let Some(pattern) = path.to_str().filter(|name| name.contains(['*', '?', '['])) else { return Ok(None) };
    if fs::symlink_metadata(path).is_ok() {
        return Ok(None);
    }
    let matches = glob::glob(pattern).map_err(|error| FilesError::NoPattern(pattern.to_owned(), error))?;
    let mut found = Vec::new();
    for one in matches {
        let unreadable = |error: glob::GlobError| FilesError::Unreadable {
            path: error.path().to_owned(),
            source: error.into(),
        };
        collect(&one.map_err(unreadable)?, MAX_DEPTH, &mut found)?;
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    if found.is_empty() { Err(FilesError::NoMatch(pattern.to_owned())) } else { Ok(Some(found)) }
}

/// A word that is nothing at all may be a name with a slip of the pen.
fn no_such(path: &Path) -> Option<FilesError> {
    let name = path.to_str().filter(|name| !name.contains(['/', '.']))?;
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound).then(|| {
        let entries = catalogue::entries();
        let known: Vec<&str> = entries.iter().map(|entry| entry.lowered.name.as_str()).collect();
        let help = did_you_mean(name, &known, "`afterimage zoo` lists the names");
        FilesError::NoSuch { name: name.to_owned(), help }
    })
}

/// The scenario of the catalogue with that name, if there is no such file.
fn of_catalogue(name: &Path) -> Option<Source> {
    if fs::symlink_metadata(name).is_ok() {
        return None;
    }
    let name = name.to_str()?;
    let file = catalogue::file_of(name)?;
    Some(Source {
        name: file.path.to_owned(),
        text: file.text.to_owned(),
        only: Some(name.to_owned()),
        path: None,
    })
}

/// What is meant by what is no file: a scenario of the catalogue, or nothing, which is an error. None if there is one.
fn of_no_file(path: &Path) -> Result<Option<Source>, FilesError> {
    match of_catalogue(path) {
        Some(source) => Ok(Some(source)),
        None => no_such(path).map_or(Ok(None), Err),
    }
}

/// Reads the one file of that name, standard input, or the file of the catalogue that has a scenario of that name.
pub(super) fn one(path: &Path) -> Result<Source, FilesError> {
    if path.as_os_str() == DASH {
        return standard_input();
    }
    match of_no_file(path)? {
        Some(source) => Ok(source),
        None => read_one(path),
    }
}

fn collect(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    let unreadable = |source| FilesError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
    let mut inside: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    inside.sort();
    for path in inside {
        let is_scenario = path.extension().is_some_and(|extension| extension == "scn");
        if is_scenario || (depth > 0 && path.is_dir()) {
            collect(&path, depth.saturating_sub(1), found)?;
        }
    }
    Ok(())
}

fn read_one(path: &Path) -> Result<Source, FilesError> {
    let unreadable = |source| FilesError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FilesError::NotAFile(path.to_owned()));
    }
    let text = limited(fs::File::open(path).map_err(unreadable)?, path)?;
    Ok(Source { name: told(path), text, only: None, path: Some(path.to_owned()) })
}

/// A path as it is told: in one line, and without what a terminal or a build log obeys.
fn told(path: &Path) -> String {
    let shown = |letter: char| match letter {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        other if other.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    path.display().to_string().chars().map(shown).collect()
}

/// All that `from` has, up to the limit: a file may grow while it is read, and what is read counts.
fn limited(from: impl Read, path: &Path) -> Result<String, FilesError> {
    let mut text = String::new();
    let unreadable = |source| FilesError::Unreadable { path: path.to_owned(), source };
    let read = from.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > MAX_BYTES {
        return Err(FilesError::TooLong(path.to_owned()));
    }
    Ok(text)
}
