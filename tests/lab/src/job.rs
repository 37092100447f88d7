//! What runs, and what must come of it: `jobs.toml`.
//!
//! Invariant: a key that nobody knows is an error, and a job that demands nothing is one, too.

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;
use thiserror::Error;

const TEXT: &str = include_str!("../jobs.toml");

/// Everything that can run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jobs {
    job: Vec<Job>,
}

/// In which set a job is, and which jobs are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Set {
    /// Those that CI runs
    Short,
    /// All that are right or wrong, whatever the machine does besides
    Whole,
    /// Those that measure, for a machine that does nothing besides
    Speed,
}

impl Set {
    /// Whether a job of `own` is one of these.
    const fn has(self, own: Self) -> bool {
        match self {
            Self::Short => matches!(own, Self::Short),
            Self::Whole => matches!(own, Self::Short | Self::Whole),
            Self::Speed => matches!(own, Self::Speed),
        }
    }
}

/// Under what a guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Machine {
    #[default]
    Afterimage,
    /// For comparison: QEMU in software emulation, with its own unit.
    Qemu,
    /// The same on the KVM of the host, in the program's place.
    #[serde(rename = "qemu-in-host")]
    QemuInHost,
}

/// One job: its file's comment says what each key is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    pub(crate) name: String,
    set: Set,
    /// What the guest is; none: `command`.
    #[serde(default)]
    pub(crate) script: Option<String>,
    #[serde(default)]
    machine: Machine,
    #[serde(default)]
    kernels: Vec<String>,
    #[serde(default)]
    pub(crate) modules: Vec<String>,
    /// Our own modules, which the guest's script loads.
    #[serde(default)]
    pub(crate) built: Vec<String>,
    /// Our own programs.
    #[serde(default)]
    pub(crate) programs: Vec<String>,
    #[serde(default)]
    told: Vec<String>,
    #[serde(default)]
    units: Vec<String>,
    #[serde(default)]
    pub(crate) options: Vec<String>,
    #[serde(default = "one")]
    pub(crate) boots: usize,
    /// What each boot has, until the program ends it.
    #[serde(default = "usual_seconds")]
    pub(crate) seconds: u32,
    /// What the host does first.
    #[serde(default)]
    pub(crate) prepares: Vec<String>,
    #[serde(default)]
    pub(crate) disk_mib: Option<u32>,
    /// For how long the host looks what the program takes of its processors, from the line `LAB idles` on.
    #[serde(default)]
    pub(crate) idle_seconds: Option<u32>,
    #[serde(default = "usual_memory")]
    pub(crate) memory_mib: u32,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    pub(crate) status: i32,
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// Said by each boot but the first.
    #[serde(default)]
    pub(crate) says_again: Vec<String>,
    #[serde(default)]
    pub(crate) reports: Vec<String>,
    #[serde(default)]
    pub(crate) never: Vec<String>,
}

/// One run of a job.
pub(crate) struct Run<'a> {
    pub(crate) job: &'a Job,
    pub(crate) what: What<'a>,
}

/// What runs.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    /// A stock kernel.
    Guest { release: &'a str, script: &'a str, told: &'a str, unit: &'a str, machine: Machine },
    /// The program alone.
    Command(&'a [String]),
}

/// What is wrong with the file, or with what was asked for.
#[derive(Error, Debug)]
pub(crate) enum JobError {
    #[error("jobs.toml: {0}")]
    Text(#[from] toml::de::Error),
    #[error("jobs.toml: job `{0}` has {1}")]
    Empty(String, &'static str),
    #[error("there is no job `{0}`; `--list --set whole` lists them")]
    Unknown(String),
}

const fn one() -> usize {
    1
}

/// A guest's memory.
const fn usual_memory() -> u32 {
    384
}

/// A boot's time.
const fn usual_seconds() -> u32 {
    240
}

impl Jobs {
    pub(crate) fn read() -> Result<Self, JobError> {
        Self::of(TEXT)
    }

    pub(crate) fn of(text: &str) -> Result<Self, JobError> {
        let jobs: Self = toml::from_str(text)?;
        for job in &jobs.job {
            job.check().map_err(|fault| JobError::Empty(job.name.clone(), fault))?;
        }
        Ok(jobs)
    }

    /// The jobs of these names; without a name, those of a set.
    pub(crate) fn chosen(&self, names: &[String], set: Set) -> Result<Vec<&Job>, JobError> {
        if names.is_empty() {
            return Ok(self.job.iter().filter(|job| set.has(job.set)).collect());
        }
        let named = |name: &String| {
            let found = self.job.iter().find(|job| job.name == *name);
            found.ok_or_else(|| JobError::Unknown(name.clone()))
        };
        names.iter().map(named).collect()
    }
}

impl Job {
    fn check(&self) -> Result<(), &'static str> {
        let is_guest = self.script.is_some();
        let has_variants = [&self.kernels, &self.told, &self.units].map(|list| !list.is_empty());
        match (is_guest, self.command.is_empty()) {
            (true, false) | (false, true) => return Err("neither a script nor a command, or both"),
            (true, true) if has_variants != [true; 3] => return Err("a script, and no kernel, told or unit"),
            (false, false) if has_variants != [false; 3] => {
                return Err("a command, and a kernel, told or unit");
            }
            (true, true) | (false, false) => {}
        }
        if self.boots == 0 {
            return Err("no boot");
        }
        if self.machine == Machine::Qemu && (!is_guest || self.boots > 1 || self.disk_mib.is_some()) {
            return Err("QEMU, and more than one boot of a guest without a disk");
        }
        if self.says.is_empty() && self.reports.is_empty() {
            return Err("no line that must come");
        }
        Ok(())
    }

    /// Each kernel with each `told` and unit.
    pub(crate) fn runs<'a>(&'a self) -> Vec<Run<'a>> {
        let Some(script) = &self.script else {
            return vec![Run { job: self, what: What::Command(&self.command) }];
        };
        let mut runs = Vec::new();
        for release in &self.kernels {
            for told in &self.told {
                let guest = |unit: &'a String| Run {
                    job: self,
                    what: What::Guest { release, script, told, unit, machine: self.machine },
                };
                runs.extend(self.units.iter().map(guest));
            }
        }
        runs
    }
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.job.name)?;
        match self.what {
            What::Guest { release, told, unit, machine, .. } => {
                let kind = match machine {
                    Machine::Afterimage => "vtd",
                    Machine::Qemu => "intel-iommu",
                    Machine::QemuInHost => "QEMU in the host: intel-iommu",
                };
                write!(f, ": Linux {release}, `{told}`, unit `{kind}{}{unit}`", comma(unit))
            }
            What::Command(arguments) => write!(f, ": afterimage {}", arguments.join(" ")),
        }
    }
}

/// What stands between `vtd` and what is appended.
pub(crate) const fn comma(unit: &str) -> &str {
    if unit.is_empty() { "" } else { "," }
}

#[cfg(test)]
mod tests;
