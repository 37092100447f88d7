//! An unpacked kernel: its image, and its modules with what they need.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Error, Read};
use std::path::{Path, PathBuf};

use lzma_rust2::XzReader;

/// A kernel's files.
pub(crate) struct Kernel {
    /// bzImage.
    pub(crate) image: PathBuf,
    /// As `uname -r` has it.
    pub(crate) version: String,
    /// By name, with `_` for `-`.
    modules: BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
}

/// A module, not compressed.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Kernel {
    /// The kernel of a package that was unpacked at `root`.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let modules = [root.join("lib/modules"), root.join("usr/lib/modules")];
        let modules = modules.iter().find(|folder| folder.is_dir());
        let modules = only(modules.ok_or_else(|| Error::other("it has no modules"))?, "")?;
        let version = modules.file_name().map(|name| name.to_string_lossy().into_owned());
        let version = version.ok_or_else(|| Error::other("its modules have no version"))?;
        // Beside its modules in the packages of newer releases.
        let beside = modules.join("vmlinuz");
        let image = if beside.is_file() { beside } else { only(&root.join("boot"), "vmlinuz-")? };
        let built_in = fs::read_to_string(modules.join("modules.builtin"))?;
        let built_in = built_in.lines().filter_map(|line| module_name(Path::new(line))).collect();
        let mut found = BTreeMap::new();
        find_modules(&modules, &mut found)?;
        Ok(Self { image, version, modules: found, built_in })
    }

    /// The modules, each behind those that it needs; none of those that the kernel has built in.
    pub(crate) fn with_needs(&self, names: &[String]) -> io::Result<Vec<Module>> {
        let mut loaded = Vec::new();
        for name in names {
            self.load(&name.replace('-', "_"), &mut loaded)?;
        }
        Ok(loaded)
    }

    fn load(&self, name: &str, loaded: &mut Vec<Module>) -> io::Result<()> {
        let is_known = self.built_in.iter().any(|known| known == name);
        if is_known || loaded.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let path = self.modules.get(name).ok_or_else(|| Error::other(format!("no module {name}")))?;
        let bytes = unpacked(path)?;
        for need in needs(&bytes) {
            self.load(&need, loaded)?;
        }
        loaded.push(Module { name: name.to_owned(), bytes });
        Ok(())
    }
}

/// The only entry of a folder whose name begins so.
fn only(folder: &Path, beginning: &str) -> io::Result<PathBuf> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut found = entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning));
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry.path()),
        (None, _) | (Some(_), Some(_)) => {
            Err(Error::other(format!("{} has not one {beginning}*", folder.display())))
        }
    }
}

fn find_modules(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Not through links: `build` and `source` name folders of other packages.
        if entry.file_type()?.is_dir() {
            find_modules(&path, found)?;
        } else if let Some(name) = module_name(&path) {
            found.insert(name, path);
        }
    }
    Ok(())
}

/// `virtio_rng` of `.../virtio-rng.ko.xz`.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".xz").unwrap_or(name);
    Some(name.strip_suffix(".ko")?.replace('-', "_"))
}

fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if path.extension().is_none_or(|end| end != "xz") {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    XzReader::new(bytes.as_slice(), true).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// The modules that a module names in its `.modinfo`, as `depends=virtio,virtio_ring`.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Path, module_name, needs};

    #[test]
    fn a_module_has_one_name_however_its_file_is_called() {
        for file in ["kernel/char/virtio-rng.ko", "virtio-rng.ko.xz", "virtio_rng.ko"] {
            assert_eq!(module_name(Path::new(file)).as_deref(), Some("virtio_rng"));
        }
        assert_eq!(module_name(Path::new("modules.order")), None);
    }

    #[test]
    fn what_a_module_needs_stands_in_it() {
        assert_eq!(
            needs(b"..\0license=GPL\0depends=virtio,virtio-ring\0name=x\0"),
            ["virtio", "virtio_ring"]
        );
        assert!(needs(b"..\0depends=\0name=x\0").is_empty());
        assert!(needs(b"nothing").is_empty());
    }
}
