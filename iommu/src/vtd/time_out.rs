//! Devices that do not answer: what is given up, and who is named.
//!
//! Invariant: with [`VtdOptions::answer_time_out`] an invalidation of a device's TLB is given up once it has been unanswered
//! for so long, and never carried out; without it, never. One device is given up at a time: the next one when software
//! has cleared FSTS.ITE. Source: VT-d 6.5.2.9 (ITE, pending waits are aborted), 11.4.9.9 (ITESID); PCIe 10.3.4 (time).
//!
//! [`VtdOptions::answer_time_out`]: crate::vtd::options::VtdOptions::answer_time_out

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::spec::descriptor::words::InWords;
use crate::spec::descriptor::{Descriptor, DeviceScope};
use crate::spec::register::Register;
use crate::spec::status;
use crate::vtd::Vtd;
use crate::vtd::queue::WaitFate;

/// Time-outs that wait to be taken at most; a driver that tries for ever makes one each time.
const MOST_TIME_OUTS: usize = 64;

/// A device that did not answer in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeOut {
    /// The oldest invalidation that it left unanswered. It does not carry out the later ones either.
    pub invalidation: DeviceScope,
    /// How long it was given.
    pub after: Duration,
    /// Whether a wait was pending, which is aborted: its status is never written.
    pub has_aborted_wait: bool,
}

impl Vtd {
    /// Gives up the device that has left an invalidation unanswered for too long, if there is one. To be called now and
    /// then: software may wait for what it sees in memory alone, and ask nobody.
    pub fn give_up_unanswered(&self) {
        if let Some(limit) = self.options.answer_time_out {
            self.give_up_unanswered_at(Instant::now(), limit);
        }
    }

    /// The time-outs since this was asked last, oldest first.
    #[must_use]
    pub fn take_time_outs(&self) -> Vec<TimeOut> {
        std::mem::take(&mut self.time_outs.lock())
    }

    /// The same at a moment of the caller's choice.
    pub(super) fn give_up_unanswered_at(&self, now: Instant, limit: Duration) {
        let is_overdue = |told: Instant| now.saturating_duration_since(told) >= limit;
        let devices = self.devices.read();
        let late = devices.values().filter_map(|device| Some((device.oldest_unanswered()?, device)));
        let oldest = late.min_by_key(|((_, told), device)| (*told, device.source().0));
        let device = oldest.filter(|((_, told), _)| is_overdue(*told)).map(|(_, device)| device.clone());
        drop(devices);
        let Some(device) = device else { return };
        let mut queue = self.queue.lock();
        let is_told_of_another =
            self.registers.lock().word(Register::FAULT_STATUS) & status::TIME_OUT_ERROR != 0;
        // It may have answered meanwhile, or somebody else may have given it up.
        let overdue = device.oldest_unanswered().filter(|(_, told)| is_overdue(*told));
        let Some((invalidation, _)) = overdue.filter(|_| !is_told_of_another) else { return };
        let has_aborted_wait = self.abort_waits(&mut queue, &device) == WaitFate::Aborted;
        let mut time_outs = self.time_outs.lock();
        if time_outs.len() < MOST_TIME_OUTS {
            time_outs.push(TimeOut { invalidation, after: limit, has_aborted_wait });
        }
    }
}

impl TimeOut {
    /// As one line for tools.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "event": "time-out",
            "source": self.invalidation.source.to_string(),
            "invalidation": InWords(&Descriptor::DeviceTlb(self.invalidation)).to_string(),
            "after_ms": self.after.as_secs_f64() * 1e3,
            "aborted_wait": self.has_aborted_wait,
        })
        .to_string()
    }
}

impl fmt::Display for TimeOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invalidation = Descriptor::DeviceTlb(self.invalidation);
        let (invalidation, after) = (InWords(&invalidation), self.after);
        write!(f, "time-out: invalidation of {invalidation}, not answered after {after:?}: FSTS.ITE")?;
        f.write_str(if self.has_aborted_wait { ", and the wait behind it is aborted" } else { "" })
    }
}

#[cfg(test)]
mod tests;
