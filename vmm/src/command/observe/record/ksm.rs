//! KSM's settings, for as long as it is to merge.
//!
//! Invariant: what they were before comes back when this is dropped, or, if the program was killed, with the next recording.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::host::first_line;

const FOLDER: &str = "/sys/kernel/mm/ksm";
/// Before the settings, in the name of an instance.
const NOTE: &str = "-ksm-";
/// What merges two pages soon.
const SETTINGS: [(&str, &str); 3] = [("pages_to_scan", "2000"), ("sleep_millisecs", "5"), ("run", "1")];

/// Settings as they were, which come back.
pub(super) struct Settings {
    before: Vec<String>,
}

impl Settings {
    /// What they are now; nothing is changed yet.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn read() -> Result<Self, String> {
        let read = |(name, _)| fs::read_to_string(path(name)).map_err(|error| refusal(name, &error));
        let all = SETTINGS.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { before: all.iter().map(|text| text.trim().to_owned()).collect() })
    }

    /// As they are written where whoever finds it after this program was killed reads it.
    pub(super) fn note(&self) -> String {
        format!("{NOTE}{}", self.before.join("-"))
    }

    /// Switches KSM on.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn switch_on(&self) -> Result<(), String> {
        SETTINGS
            .iter()
            .try_for_each(|(name, value)| fs::write(path(name), value).map_err(|error| refusal(name, &error)))
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for ((name, _), before) in SETTINGS.iter().zip(&self.before).rev() {
            if fs::read_to_string(path(name)).is_ok_and(|now| now.trim() == before) {
                continue;
            }
            if let Err(error) = fs::write(path(name), before) {
                log::error!("{} was {before} and is not again: {error}", path(name).display());
            }
        }
    }
}

/// Puts back what somebody has left who was killed, if it is still as he has set it.
pub(super) fn put_back(note: &str) {
    let Some((_, before)) = note.split_once(NOTE) else { return };
    let before: Vec<String> = before.split('-').map(str::to_owned).collect();
    let is_number = |text: &String| text.parse::<u32>().is_ok();
    if before.len() != SETTINGS.len() || !before.iter().all(is_number) {
        return;
    }
    let is_left =
        |(name, value): &(&str, &str)| fs::read_to_string(path(name)).is_ok_and(|text| text.trim() == *value);
    if SETTINGS.iter().all(is_left) {
        drop(Settings { before });
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}

fn refusal(name: &str, error: &io::Error) -> String {
    format!("KSM cannot be switched on: {}: {error}; it needs root and CONFIG_KSM", path(name).display())
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
