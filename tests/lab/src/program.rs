//! Programs that the host runs: the one under test, and QEMU beside it; each with the libraries that it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archive::Archive;
use crate::emulator::QEMU;
use crate::packages::{PackageError, say, which};

/// Where QEMU is told to look for firmware.
pub(crate) const FIRMWARE: &str = "firmware";
/// Each by its package's folder: the BIOS, what loads a kernel, what KVM wants for its APIC.
const FIRMWARE_FILES: [(&str, &str); 3] =
    [("seabios", "bios-256k.bin"), ("qemu", "linuxboot_dma.bin"), ("qemu", "kvmvapic.bin")];

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

/// QEMU, and what it looks for in [`FIRMWARE`] for a machine `q35` that is given its kernel.
pub(crate) fn pack_qemu(archive: &mut Archive) -> Result<(), PackageError> {
    let path = which(QEMU).ok_or_else(|| PackageError::Tools(vec![QEMU], vec!["qemu-system-x86"]))?;
    pack(&path, QEMU, archive)?;
    let failed = |path: &Path, error| PackageError::File(path.to_owned(), error);
    archive.folder(FIRMWARE).map_err(|error| failed(&path, error))?;
    for (folder, name) in FIRMWARE_FILES {
        let path = Path::new("/usr/share").join(folder).join(name);
        let bytes = fs::read(&path).map_err(|error| failed(&path, error))?;
        archive.file(&format!("{FIRMWARE}/{name}"), &bytes).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Puts a program into `/bin` under this name, and its libraries where they are looked for.
pub(crate) fn pack(program: &Path, name: &str, archive: &mut Archive) -> Result<(), PackageError> {
    let failed = |path: &Path, error| PackageError::File(path.to_owned(), error);
    let read = |path: &Path| fs::read(path).map_err(|error| failed(path, error));
    archive.file(&format!("bin/{name}"), &read(program)?).map_err(|error| failed(program, error))?;
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
