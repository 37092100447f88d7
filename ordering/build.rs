//! Embeds the catalogue: writes the list of all files of `tests/scenarios`, each with its text.
//!
//! Invariant: every `.scn` file below that folder is in the list, in the order of the names; nobody keeps a second list.

use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    // A link into the repository; in the package that is published, the files themselves.
    let root = fs::canonicalize("scenarios")?;
    // Cargo looks at everything below a folder that it is told.
    writeln!(stdout(), "cargo::rerun-if-changed={}", root.display())?;
    let mut paths = Vec::new();
    collect(&root, &mut paths)?;
    paths.sort();
    let entry = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap_or(path);
        format!("File {{ path: {:?}, text: include_str!({:?}) }},\n", name, path)
    };
    let list: String = paths.iter().map(entry).collect();
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("catalogue.rs"), format!("&[\n{list}]\n"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "scn") {
            found.push(path);
        }
    }
    Ok(())
}
