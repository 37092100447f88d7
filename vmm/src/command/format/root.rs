//! The root of the repository, from which those that show what was found count their paths.
//!
//! Invariant: a file outside of it keeps the name by which it was given.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Where it is; none if nobody says.
pub(super) struct Root(Option<PathBuf>);

impl Root {
    /// The folder that this variable of the environment names.
    pub(super) fn of(variable: &str) -> Self {
        Self(env::var_os(variable).and_then(|root| fs::canonicalize(root).ok()))
    }

    /// The name of a file from there on.
    pub(super) fn below(&self, file: &str) -> String {
        let whole = fs::canonicalize(file).ok();
        let below = self.0.as_deref().and_then(|root| whole.as_deref()?.strip_prefix(root).ok());
        below.map_or_else(|| file.to_owned(), |path| path.display().to_string())
    }
}
