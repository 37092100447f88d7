//! KSM's settings, for as long as it is to merge.
//!
//! Invariant: what they were before comes back when this is dropped.

use std::fs;
use std::path::PathBuf;

use super::host::first_line;

const FOLDER: &str = "/sys/kernel/mm/ksm";
/// What merges two pages soon.
const SETTINGS: [(&str, &str); 3] = [("pages_to_scan", "2000"), ("sleep_millisecs", "5"), ("run", "1")];

/// Settings that come back.
pub(super) struct Settings {
    before: Vec<(PathBuf, String)>,
}

impl Settings {
    /// Switches KSM on.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn set() -> Result<Self, String> {
        let mut settings = Self { before: Vec::new() };
        for (name, value) in SETTINGS {
            let path = PathBuf::from(FOLDER).join(name);
            let wrong = |error| {
                format!(
                    "KSM cannot be switched on: {}: {error}; it needs root and CONFIG_KSM",
                    path.display()
                )
            };
            let before = fs::read_to_string(&path).map_err(wrong)?;
            fs::write(&path, value).map_err(wrong)?;
            settings.before.push((path, before.trim().to_owned()));
        }
        Ok(settings)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for (path, before) in self.before.iter().rev() {
            if let Err(error) = fs::write(path, before) {
                log::error!("{} was {before} and is not again: {error}", path.display());
            }
        }
    }
}

/// The number of KSM's thread.
///
/// # Errors
/// If there is none.
pub(super) fn thread() -> Result<i32, String> {
    let is_ksmd = |number: &i32| first_line(&format!("/proc/{number}/comm")).as_deref() == Some("ksmd");
    let all = fs::read_dir("/proc").map_err(|error| format!("/proc cannot be read: {error}"))?;
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .into_iter()
        .find(is_ksmd)
        .ok_or_else(|| "there is no ksmd; this kernel has no KSM (CONFIG_KSM)".to_owned())
}
