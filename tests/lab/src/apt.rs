//! apt, by the machine's own sources, or by one more suite of the Debian mirror that these name.
//!
//! Invariant: no package of the machine's changes, and its lists only where they are too old to bring one; what a suite of ours
//! needs is kept in a folder of ours.
//! Source: apt.conf(5), sources.list(5), apt-get(8) `indextargets`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::{PackageError, say};

/// Of the package debian-archive-keyring.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where packages are looked up and taken from.
pub(crate) struct Apt {
    /// What apt is told; none: the machine's own.
    config: Option<PathBuf>,
}

impl Apt {
    /// By the machine's own sources.
    pub(crate) const fn own() -> Self {
        Self { config: None }
    }

    /// By a suite, such as `trixie-backports`, whose lists are kept in `folder`; they are fetched if they are not there.
    pub(crate) fn of_suite(suite: &str, folder: &Path) -> Result<Self, PackageError> {
        let folder = folder.join("apt").join(suite);
        let config = folder.join("apt.conf");
        let apt = Self { config: Some(config.clone()) };
        if config.is_file() {
            return Ok(apt);
        }
        let failed = |error| PackageError::File(folder.clone(), error);
        for inner in ["lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(folder.join(inner)).map_err(failed)?;
        }
        let sources = folder.join("sources.list");
        let line = format!("deb [signed-by={KEYS}] {} {suite} main\n", mirror()?);
        fs::write(&sources, line).map_err(failed)?;
        // Written last: what is there has its lists.
        let partial = folder.join("partial.conf");
        fs::write(&partial, configuration(&folder)).map_err(failed)?;
        say(Self { config: Some(partial.clone()) }.command("apt-get").arg("update"))?;
        fs::rename(&partial, &config).map_err(failed)?;
        Ok(apt)
    }

    /// What `bring` brings; if it cannot, once more behind new lists: a mirror keeps no package that a newer one has
    /// replaced, and lists of last month name just that.
    pub(crate) fn or_updated<T>(
        &self,
        bring: impl Fn() -> Result<T, PackageError>,
    ) -> Result<T, PackageError> {
        bring().or_else(|_perhaps_old| {
            say(self.command("apt-get").arg("update"))?;
            bring()
        })
    }

    /// A program of apt that looks there.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(config) = &self.config {
            command.env("APT_CONFIG", config);
        }
        command
    }

    /// What a package depends on, as far as it is named; nothing if there is no such package.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>, PackageError> {
        let output = self.command("apt-cache").args(["depends", package]).output();
        let output =
            output.map_err(|error| PackageError::Command("apt-cache".to_owned(), error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned).collect())
    }
}

fn configuration(folder: &Path) -> String {
    let of = |key: &str, place: &str| format!("{key} \"{}\";\n", folder.join(place).display());
    [
        of("Dir::Etc::SourceList", "sources.list"),
        of("Dir::Etc::SourceParts", "parts"),
        of("Dir::State::Lists", "lists"),
        of("Dir::Cache", "cache"),
    ]
    .concat()
}

/// The mirror of Debian that the machine uses.
fn mirror() -> Result<String, PackageError> {
    let told = say(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(ORIGIN) $(CODENAME)",
        "Created-By: Packages",
    ]))?;
    mirror_among(&told).ok_or(PackageError::Mirror)
}

/// The one of Debian's releases, not of their updates.
fn mirror_among(told: &str) -> Option<String> {
    let of_debian = |line: &str| {
        let mut words = line.split(' ');
        let (uri, origin, codename) = (words.next()?, words.next()?, words.next()?);
        (origin == "Debian" && !codename.contains('-')).then(|| uri.to_owned())
    };
    told.lines().find_map(of_debian)
}

#[cfg(test)]
mod tests {
    use super::mirror_among;

    #[test]
    fn a_mirror_is_one_of_debian_s_releases_and_of_nothing_else() {
        let told = "https://example.com/tools tools stable\nhttp://example.org/security/ Debian bookworm-security\n\
                    http://example.org/debian/ Debian bookworm\n";
        assert_eq!(mirror_among(told).as_deref(), Some("http://example.org/debian/"));
        assert_eq!(mirror_among("http://example.org/security/ Debian bookworm-security\n"), None);
    }
}
