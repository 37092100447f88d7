//! Debian packages: which tools must be there, and the kernels and their headers, which are downloaded by name and
//! unpacked, never installed.
//!
//! Invariant: what is unpacked is whole; what was cut off while it was unpacked is unpacked again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use thiserror::Error;

use crate::apt::Apt;
use crate::kernel::Kernel;

const TEXT: &str = include_str!("../packages.toml");

/// Commands that must be there, each with its package.
const TOOLS: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packages {
    kernels: BTreeMap<String, KernelPackage>,
    host: HostPackages,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelPackage {
    /// What depends on the newest of its release.
    package: String,
    /// The suite that it is in, if it is not the machine's own.
    #[serde(default)]
    suite: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostPackages {
    kernel: String,
}

/// What is kept between runs.
pub(crate) struct Store {
    folder: PathBuf,
    packages: Packages,
}

/// A package that cannot be had.
#[derive(Error, Debug)]
pub(crate) enum PackageError {
    #[error("{} missing; `apt-get install {}` brings what is", .0.join(", "), .1.join(" "))]
    Tools(Vec<&'static str>, Vec<&'static str>),
    #[error("packages.toml: {0}")]
    Text(#[from] toml::de::Error),
    #[error("apt's sources name no mirror of Debian, from which a suite could be taken")]
    Mirror,
    #[error("packages.toml has no kernel {0}")]
    Release(String),
    #[error("no package of a kernel is found behind {0}; `apt-get update` may help")]
    Nothing(String),
    #[error("no headers of the kernel {0} are found; without {1}, the newest kernel is taken")]
    Headers(String, PathBuf),
    #[error("`{0}` failed: {1}")]
    Command(String, String),
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
}

/// Whether all tools are there.
pub(crate) fn demand_tools() -> Result<(), PackageError> {
    let missing: Vec<_> = TOOLS.into_iter().filter(|(tool, _)| which(tool).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (tools, packages) = missing.into_iter().unzip();
    Err(PackageError::Tools(tools, packages))
}

/// Where a tool is.
pub(crate) fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file())
}

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Self, PackageError> {
        let packages = toml::from_str(TEXT)?;
        fs::create_dir_all(folder).map_err(|error| PackageError::File(folder.to_owned(), error))?;
        let folder =
            fs::canonicalize(folder).map_err(|error| PackageError::File(folder.to_owned(), error))?;
        Ok(Self { folder, packages })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel of the host.
    pub(crate) fn host_kernel(&self) -> Result<Kernel, PackageError> {
        self.kernel(&self.packages.host.kernel)
    }

    /// The kernel of a release, as 6.1; it is downloaded if it is not here.
    pub(crate) fn kernel(&self, release: &str) -> Result<Kernel, PackageError> {
        let kept = self.folder.join("kernels").join(release);
        if !kept.is_dir() {
            let (apt, newest) = self.found(release)?;
            apt.or_updated(|| unpack(&apt, &image_behind(&apt, newest)?, &kept))?;
        }
        Kernel::of(&kept).map_err(|error| PackageError::File(kept, error))
    }

    /// Where a release is looked up, and by which name.
    fn found(&self, release: &str) -> Result<(Apt, &str), PackageError> {
        let found = self.packages.kernels.get(release);
        let KernelPackage { package, suite } =
            found.ok_or_else(|| PackageError::Release(release.to_owned()))?;
        let apt = suite.as_deref().map_or(Ok(Apt::own()), |suite| Apt::of_suite(suite, &self.folder))?;
        Ok((apt, package))
    }

    /// Where the headers of a release's kernel are, as they would lie below `/`; they are downloaded if they are not here.
    pub(crate) fn headers(&self, release: &str) -> Result<PathBuf, PackageError> {
        let version = self.kernel(release)?.version;
        let kept = self.folder.join("headers").join(&version);
        if kept.is_dir() {
            return Ok(kept);
        }
        let own = format!("linux-headers-{version}");
        let (apt, _) = self.found(release)?;
        apt.or_updated(|| {
            let mut packages = apt.depends(&own)?;
            packages
                .retain(|name| ["linux-headers-", "linux-kbuild-"].iter().any(|kind| name.starts_with(kind)));
            if packages.is_empty() {
                let kernel = self.folder.join("kernels").join(release);
                return Err(PackageError::Headers(version.clone(), kernel));
            }
            packages.push(own.clone());
            unpack(&apt, &packages, &kept)
        })?;
        Ok(kept)
    }
}

/// Under another name first: what has the name is whole.
fn unpack(apt: &Apt, packages: &[String], to: &Path) -> Result<(), PackageError> {
    let failed = |error| PackageError::File(to.to_owned(), error);
    // Not `with_extension`: a release ends in `.1`.
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(failed)?;
    }
    fs::create_dir_all(&partial).map_err(failed)?;
    say(apt.command("apt-get").arg("download").args(packages).current_dir(&partial))?;
    let found = fs::read_dir(&partial).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut archives: Vec<_> = found.iter().map(fs::DirEntry::path).collect();
    archives.retain(|path| path.extension().is_some_and(|end| end == "deb"));
    if archives.len() != packages.len() {
        return Err(PackageError::Nothing(packages.join(" ")));
    }
    for archive in &archives {
        say(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&partial))?;
        fs::remove_file(archive).map_err(failed)?;
    }
    fs::rename(&partial, to).map_err(failed)
}

/// The image that a package depends on, `linux-image-6.1.0-57-cloud-amd64`, and what of it is in packages of its own.
fn image_behind(apt: &Apt, newest: &str) -> Result<Vec<String>, PackageError> {
    let is_image = |package: &String| package.starts_with("linux-image-");
    let found = apt.depends(newest)?.into_iter().find(is_image);
    let image = found.ok_or_else(|| PackageError::Nothing(newest.to_owned()))?;
    let parts = ["linux-binary-", "linux-modules-", "linux-base-"];
    let is_part = |package: &String| parts.iter().any(|part| package.starts_with(part));
    let mut packages: Vec<_> = apt.depends(&image)?.into_iter().filter(is_part).collect();
    packages.push(image);
    Ok(packages)
}

/// Its standard output; what it complains of is the error.
pub(crate) fn say(command: &mut Command) -> Result<String, PackageError> {
    let name = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|error| PackageError::Command(name.clone(), error.to_string()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PackageError::Command(name, complaint));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
