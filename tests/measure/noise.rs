//! How much of the machine others had, by /proc/stat.
//!
//! Invariant: time that this process spent, or has told another one to spend, is not noise; all other time in which a
//! processor was not idle is, and so is time that the machine's own host took.
//! Source: proc_stat(5), proc_pid_stat(5).

use std::fs;
use std::thread;
use std::time::Duration;

/// The share of the machine that others may have before nothing is said to be met.
pub const MOST_BUSY: f64 = 0.05;
/// p90 / p10 of a row's samples from which on nothing is said of it.
pub const MOST_SPREAD: f64 = 1.5;

/// How long the machine is looked at before and after.
const LOOK: Duration = Duration::from_millis(300);

/// Ticks since the machine started.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    all: u64,
    /// Idle, and waiting for a disk.
    idle: u64,
    /// This process and the children that it has waited for.
    own: u64,
}

/// What others had of the machine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Noise {
    /// Before the first round: 0 to 1.
    pub before: f64,
    /// While measuring.
    pub during: f64,
    /// After the last round.
    pub after: f64,
}

impl Ticks {
    /// As they are; none where there is no /proc.
    #[must_use]
    pub fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Self::read(&machine, &own)
    }

    /// From the texts of /proc/stat and /proc/self/stat.
    #[must_use]
    pub fn read(machine: &str, own: &str) -> Option<Self> {
        let line = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guest time is in user already.
        let all = ticks.get(..8)?.iter().sum();
        Some(Self { all, idle: ticks[3] + ticks[4], own: spent(own)? })
    }

    /// With so many ticks that another process spent because this one told it to: a peer in the kernel.
    #[must_use]
    pub fn and_own(self, ticks: u64) -> Self {
        Self { own: self.own + ticks, ..self }
    }

    /// The share of the machine that others had since `before`; none if no tick went by.
    #[must_use]
    pub fn others_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let busy = all.saturating_sub(self.idle.saturating_sub(before.idle));
        let others = busy.saturating_sub(self.own.saturating_sub(before.own));
        Some(to_f64(others) / to_f64(all))
    }
}

/// The ticks of a process and the children that it has waited for, from the text of its /proc/PID/stat.
#[must_use]
pub fn spent(stat: &str) -> Option<u64> {
    // The name may hold spaces and parentheses: what is counted comes behind the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11..15)?.iter().map_while(|word| word.parse::<u64>().ok()).sum())
}

impl Noise {
    /// Whether it was too much to say anything.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        [self.before, self.during, self.after].into_iter().any(|share| share > MOST_BUSY)
    }
}

/// What others have of the machine while this process sleeps. Where nobody can say, all of it.
#[must_use]
pub fn others_now() -> f64 {
    let before = Ticks::now();
    thread::sleep(LOOK);
    before.and_then(|before| Ticks::now()?.others_since(before)).unwrap_or(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a machine's life fit")]
fn to_f64(ticks: u64) -> f64 {
    ticks as f64
}
