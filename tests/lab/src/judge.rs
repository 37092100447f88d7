//! Whether what came of a run is what must come of it.
//!
//! Invariant: what is not there is wrong.

use crate::job::Job;

/// What one boot, or one command, has left.
#[derive(Default)]
pub(crate) struct Boot {
    /// Standard output: the guest's console.
    pub(crate) said: Option<String>,
    /// Standard error.
    pub(crate) reports: Option<String>,
    /// As a shell has it.
    pub(crate) status: Option<i32>,
}

/// What is wrong with a run of the job; nothing is wrong with a right one.
pub(crate) fn faults(job: &Job, boots: &[Boot]) -> Vec<String> {
    let mut faults = Vec::new();
    if boots.len() != job.boots {
        faults.push(format!("{} results, {} are wanted", boots.len(), job.boots));
    }
    for (number, boot) in boots.iter().enumerate() {
        let again = if number == 0 { &[][..] } else { &job.says_again };
        let (Some(said), Some(reports), Some(status)) = (&boot.said, &boot.reports, boot.status) else {
            faults.push(format!("boot {}: it has left no result", number + 1));
            continue;
        };
        let mut fault = |what: String| faults.push(format!("boot {}: {what}", number + 1));
        if status != job.status {
            fault(format!("status {status}, {} is wanted", job.status));
        }
        for line in job.says.iter().chain(again).filter(|line| !said.contains(line.as_str())) {
            fault(format!("`{line}` is not said"));
        }
        for line in job.reports.iter().filter(|line| !reports.contains(line.as_str())) {
            fault(format!("`{line}` is not reported"));
        }
        for word in &job.never {
            for line in said.lines().chain(reports.lines()).filter(|line| line.contains(word.as_str())) {
                fault(format!("never `{word}`: {}", line.trim()));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests;
