//! Tells the program which commit a release is built of.
//!
//! Invariant: what is told is the sources' commit, with `-dirty` where they had changed since; nothing where Git knows none,
//! and nothing in a debug build, which would be built anew after each commit.

use std::env;
use std::fs;
use std::io::{self, Write, stdout};
use std::path::Path;
use std::process::Command;

fn main() -> io::Result<()> {
    writeln!(stdout(), "cargo::rerun-if-changed=build.rs")?;
    let release = env::var_os("PROFILE").is_some_and(|profile| profile == "release");
    let commit = if release { commit() } else { None };
    writeln!(stdout(), "cargo::rustc-env=AFTERIMAGE_COMMIT={}", commit.unwrap_or_default())?;
    if release { look_again_when_sources_change() } else { Ok(()) }
}

/// Has Cargo ask again when a crate of the workspace changes, or what Git says of them.
fn look_again_when_sources_change() -> io::Result<()> {
    for entry in fs::read_dir("..")? {
        let path = entry?.path();
        if path.join("Cargo.toml").exists() {
            writeln!(stdout(), "cargo::rerun-if-changed={}", path.display())?;
        }
    }
    for file in ["../Cargo.toml", "../Cargo.lock"] {
        writeln!(stdout(), "cargo::rerun-if-changed={file}")?;
    }
    // Wherever they lie.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            writeln!(stdout(), "cargo::rerun-if-changed={path}")?;
        }
    }
    Ok(())
}

/// The commit in short, if these are the sources of one.
fn commit() -> Option<String> {
    // An archive of the sources may lie in somebody else's repository.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// What Git says, without the line's end; none if it says no.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
