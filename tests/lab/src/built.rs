//! What is built for guests: our own kernel modules, for each kernel by its headers, and our own programs.
//!
//! Invariant: a module is built from `module/` as it is now, outside of it; make builds again only what has changed.
//! Source: Linux, Documentation/kbuild/modules.rst.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kernel::Module;
use crate::packages::{PackageError, Store, say, which};

/// Commands that kernel modules are built with, each with its package.
const TOOLS: [(&str, &str); 2] = [("make", "make"), ("gcc-12", "gcc-12")];
const PROGRAMS: &str = "afterimage-lab-programs";
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn failed(path: &Path) -> impl Fn(io::Error) -> PackageError {
    let path = path.to_owned();
    move |error| PackageError::File(path.clone(), error)
}

/// The modules of `module/`, each in a folder of its name, for the kernel of a release.
pub(crate) fn modules(store: &Store, release: &str, names: &[String]) -> Result<Vec<Module>, PackageError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let missing: Vec<_> = TOOLS.into_iter().filter(|(tool, _)| which(tool).is_none()).collect();
    if !missing.is_empty() {
        let (tools, packages) = missing.into_iter().unzip();
        return Err(PackageError::Tools(tools, packages));
    }
    let headers = headers(store, release)?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("module");
    let folder = store.folder().join("modules").join(release);
    copy_changed(&sources, &folder).map_err(failed(&folder))?;
    names.iter().map(|name| module(&headers, &folder.join(name), name)).collect()
}

fn module(headers: &Path, folder: &Path, name: &str) -> Result<Module, PackageError> {
    let mut at = OsString::from("M=");
    at.push(folder);
    let mut make = Command::new("make");
    // Neither is looked at in a guest, and both are large.
    make.args(["CONFIG_DEBUG_INFO=", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
    say(make.arg("-C").arg(headers).arg(at))?;
    let path = folder.join(format!("{name}.ko"));
    let bytes = fs::read(&path).map_err(failed(&path))?;
    Ok(Module { name: name.to_owned(), bytes })
}

/// The folder that make is told, whose Makefile names another one.
fn headers(store: &Store, release: &str) -> Result<PathBuf, PackageError> {
    let root = store.headers(release)?;
    let sources = root.join("usr/src");
    let version = store.kernel(release)?.version;
    let folder = sources.join(format!("linux-headers-{version}"));
    let makefile = folder.join("Makefile");
    // `include /usr/src/linux-headers-6.1.0-57-common/Makefile`: where the package would be installed.
    let text = fs::read_to_string(&makefile).map_err(failed(&makefile))?;
    let here = text.replace("include /usr/src/", &format!("include {}/", sources.display()));
    fs::write(&makefile, here).map_err(failed(&makefile))?;
    Ok(folder)
}

/// Leaves what is the same as it is, so that make does not build it again.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, copy) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if path.is_dir() {
            copy_changed(&path, &copy)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        if fs::read(&copy).ok().as_ref() != Some(&bytes) {
            fs::write(&copy, bytes)?;
        }
    }
    Ok(())
}

/// Our programs of these names with their bytes. They need no libraries.
pub(crate) fn programs(names: &[String]) -> Result<Vec<(String, Vec<u8>)>, PackageError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--package", PROGRAMS, "--target", TARGET, "--message-format", "json"]);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    let told = say(build.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    names.iter().map(|name| program(&told, name)).collect()
}

fn program(told: &str, name: &str) -> Result<(String, Vec<u8>), PackageError> {
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from).filter(|path| path.ends_with(name))
    };
    let silent = || PackageError::Command("cargo build".to_owned(), format!("it has no program {name}"));
    let path = told.lines().find_map(executable).ok_or_else(silent)?;
    let bytes = fs::read(&path).map_err(failed(&path))?;
    Ok((name.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use super::{copy_changed, fs, program};

    #[test]
    fn what_is_the_same_is_not_copied_again() {
        let folder = std::env::temp_dir().join(format!("lab-built-{}", std::process::id()));
        let (from, to) = (folder.join("from/inner"), folder.join("to/inner"));
        fs::create_dir_all(&from).expect("it is ours");
        fs::write(from.join("a"), "1").expect("it is ours");
        fs::write(from.join("b"), "1").expect("it is ours");
        let copy = || copy_changed(&folder.join("from"), &folder.join("to")).expect("it is ours");
        let changed =
            |name: &str| fs::metadata(to.join(name)).and_then(|data| data.modified()).expect("copied");
        copy();
        let before = ["a", "b"].map(changed);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(from.join("b"), "2").expect("it is ours");
        copy();
        let after = ["a", "b"].map(changed);
        assert_eq!((before[0] == after[0], before[1] == after[1]), (true, false));
        assert_eq!(fs::read(to.join("b")).expect("copied"), b"2");
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn a_program_that_cargo_does_not_name_is_missing() {
        let told = "{\"executable\": null}\nnoise\n{\"executable\": \"/nowhere/other\"}\n";
        assert!(program(told, "vfio").expect_err("it is not there").to_string().contains("no program vfio"));
    }
}
