//! Spin: translates, compiles, searches breadth-first.
//!
//! Invariant: the search is complete and unreduced, or it is an error; files live in a folder of its own, which is removed.
//! Source: spinroot.com, "Pan.c options": -DBFS finds an error of the shortest length.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a search finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    NotViolated,
    /// The steps of a shortest violation.
    Violated(usize),
}

/// The compiler of what Spin writes, the quickest first.
const COMPILERS: [&str; 2] = ["tcc", "gcc"];

/// Transitions before the first step, and from the broken state to the assertion that fails, less one: depths count
/// from 0.
const AROUND: usize = 2;

fn is_there(tool: &str, flag: &str) -> bool {
    Command::new(tool).arg(flag).output().is_ok_and(|output| output.status.success())
}

/// The compiler, if both it and Spin are there.
pub(super) fn compiler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = COMPILERS.into_iter().find(|compiler| is_there(compiler, "-v"));
        found.filter(|_| is_there("spin", "-V"))
    })
}

/// A folder that is removed when it is no longer needed.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("afterimage-oracle-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for Spin's files can be made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for temporary files.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn run(folder: &Path, tool: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{tool}: {error}"))?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// What Spin says of this model.
pub(super) fn decide(promela: &str, compiler: &str) -> Result<Answer, String> {
    let folder = Folder::new();
    let path = &folder.0;
    fs::write(path.join("model.pml"), promela).map_err(|error| error.to_string())?;
    let translated = run(path, "spin", &["-Pcat", "-a", "model.pml"])?;
    if !path.join("pan.c").exists() || translated.contains("error") {
        return Err(format!("spin -a: {translated}"));
    }
    let defines = ["-w", "-DBFS", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DVECTORSZ=2048"];
    let compiled = run(path, compiler, &[&defines[..], &["-o", "pan", "pan.c"]].concat())?;
    if !path.join("pan").exists() {
        return Err(format!("{compiler}: {compiled}"));
    }
    let program = path.join("pan");
    answer(&run(path, &program.display().to_string(), &["-w16", "-E"])?)
}

fn answer(said: &str) -> Result<Answer, String> {
    let wrong = || Err(format!("pan: {said}"));
    if let Some((_, behind)) = said.split_once("assertion violated") {
        let depth = behind.split_once("(at depth ").and_then(|(_, rest)| rest.split(')').next());
        let Some(Ok(depth)) = depth.map(str::parse::<usize>) else { return wrong() };
        return Ok(Answer::Violated(depth.checked_sub(AROUND).ok_or_else(|| said.to_owned())?));
    }
    let is_complete = said.contains("errors: 0") && !said.contains("Search not completed");
    if is_complete { Ok(Answer::NotViolated) } else { wrong() }
}
