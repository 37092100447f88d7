//! The remapping unit on the command line: `none`, or `vtd` and `key=value` after commas.
//!
//! Invariant: [`KEYS`] is all there is: what is understood, what `help` lists and what an error offers come from it.

use std::fmt::Write;
use std::time::Duration;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::knobs::Fault;
use iommu::vtd::options::{CacheSizes, CachingMode, LargePages};

use super::super::say;
use crate::machine::options::{AnswerTimeOut, Answers, IommuKind, QueueRuns, UnitOptions};

/// An hour.
const MOST_TIME_OUT: Duration = Duration::from_secs(3_600);
/// Entries of a cache at most.
const MOST_ENTRIES: usize = 1 << 20;

/// One thing that can be set.
struct Key {
    name: &'static str,
    values: &'static str,
    about: &'static str,
    /// None if there is no such value.
    set: fn(&mut UnitOptions, &str) -> Option<()>,
}

const fn key(
    name: &'static str,
    values: &'static str,
    about: &'static str,
    set: fn(&mut UnitOptions, &str) -> Option<()>,
) -> Key {
    Key { name, values, about, set }
}

const KEYS: [Key; 22] = [
    key("caching-mode", "on|off", "what is not present is cached too (CAP.CM)", |unit, value| {
        unit.vtd.caching_mode = if on(value)? { CachingMode::AlsoAbsent } else { CachingMode::PresentOnly };
        Some(())
    }),
    key("scalable", "on|off", "scalable mode, with first stage, nesting and PASIDs", |unit, value| {
        put(&mut unit.vtd.scalable_mode, on(value))
    }),
    key("five-levels", "on|off", "first-stage tables of five levels", |unit, value| {
        put(&mut unit.vtd.five_levels, on(value))
    }),
    key("device-tlbs", "on|off", "devices may translate ahead (ATS)", |unit, value| {
        put(&mut unit.vtd.device_tlb, on(value))
    }),
    key("page-requests", "on|off", "devices may ask for pages (PRI)", |unit, value| {
        put(&mut unit.vtd.page_requests, on(value))
    }),
    key("interrupt-remapping", "on|off", "interrupts are remapped", |unit, value| {
        put(&mut unit.vtd.interrupt_remapping, on(value))
    }),
    key(
        "split-large",
        "on|off",
        "of large pages caches keep the 4 KiB pieces that are used",
        |unit, value| {
            let is_split = on(value)?;
            unit.vtd.large_pages = if is_split { LargePages::InPieces } else { LargePages::Whole };
            Some(())
        },
    ),
    key(
        "caches",
        "off|never-evict",
        "all caches of the unit: none, or all that is read stays",
        |unit, value| put(&mut unit.vtd.caches, caches(value)),
    ),
    key("iotlb", "ENTRIES", "size of the IOTLB; 0 for none, as with all sizes", |unit, value| {
        put(&mut unit.vtd.caches.iotlb, entries(value))
    }),
    key("paging", "ENTRIES", "size of the cache of entries above the leaves", |unit, value| {
        put(&mut unit.vtd.caches.paging, entries(value))
    }),
    key("context", "ENTRIES", "size of the cache of context entries", |unit, value| {
        put(&mut unit.vtd.caches.context, entries(value))
    }),
    key("pasid", "ENTRIES", "size of the cache of PASID entries", |unit, value| {
        put(&mut unit.vtd.caches.pasid, entries(value))
    }),
    key("interrupt", "ENTRIES", "size of the cache of interrupt entries", |unit, value| {
        put(&mut unit.vtd.caches.interrupt, entries(value))
    }),
    key("device-tlb", "ENTRIES", "size of each device's TLB", |unit, value| {
        put(&mut unit.device_tlb_entries, entries(value))
    }),
    key("drop", "N", "the Nth invalidation is not carried out (instead of postpone)", |unit, value| {
        put(&mut unit.fault, nth(value).map(|nth| Some(Fault::Drop { nth })))
    }),
    key(
        "postpone",
        "N",
        "the Nth invalidation is carried out after the next, or before a wait",
        |unit, value| put(&mut unit.fault, nth(value).map(|nth| Some(Fault::Postpone { nth }))),
    ),
    key("hold-queue", "N", "the queue stands still after N descriptors", |unit, value| {
        put(&mut unit.queue, value.parse().ok().map(QueueRuns::UpTo))
    }),
    key(
        "queue",
        "at-once|when-asked",
        "when it runs: at the doorbell, or not before FSTS or IQH is read",
        |unit, value| put(&mut unit.queue, queue(value)),
    ),
    key("answers", "prompt|late|never", "when devices answer invalidations of their TLBs", |unit, value| {
        put(&mut unit.answers, answers(value))
    }),
    key(
        "answer-timeout",
        "TIME|off",
        "when the unit gives up a device that has not answered (FSTS.ITE): 500ms, 2s; 1s if they never answer, else off",
        |unit, value| put(&mut unit.answer_time_out, answer_time_out(value)),
    ),
    key(
        "report",
        "late|first-use|one-in-N",
        "a stale use counts if no invalidation follows, or at once; or late, in a sample",
        |unit, value| report(&mut unit.vtd.stale, value),
    ),
    key(
        "patience",
        "TIME",
        "how long that may take, such as 50ms; 250ms, with report=late",
        |unit, value| put(&mut unit.vtd.stale.judging, time(value).map(Judging::Late)),
    ),
];

/// A kind and its keys, which are understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words(String);

impl Words {
    /// What they describe, where `own` holds unless they say otherwise.
    pub(super) fn on_top_of(&self, own: &str) -> Result<IommuKind, String> {
        match self.0.strip_prefix("vtd") {
            Some(added) if !own.is_empty() => kind(&format!("vtd,{own}{added}")),
            _ => kind(&self.0),
        }
    }
}

/// Looks whether `text` describes a kind. `help` lists the keys and ends the program, as `--help` does.
pub(super) fn parse(text: &str) -> Result<Words, String> {
    if text == "help" {
        say(help());
        std::process::exit(0);
    }
    kind(text).map_err(|wrong| format!("{wrong}; `--iommu help` lists what there is"))?;
    Ok(Words(text.to_owned()))
}

fn kind(text: &str) -> Result<IommuKind, String> {
    let mut words = text.split(',');
    let kind = words.next().unwrap_or_default();
    let mut iommu = match kind {
        "none" => IommuKind::None,
        "vtd" => IommuKind::default(),
        other => return Err(format!("no kind `{other}`; give none or vtd[,KEY=VALUE]...")),
    };
    for word in words {
        let IommuKind::Vtd(unit) = &mut iommu else { return Err(format!("{kind} takes no `{word}`")) };
        set(unit, word)?;
    }
    Ok(iommu)
}

fn set(unit: &mut UnitOptions, word: &str) -> Result<(), String> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| format!("vtd has no key `{name}`"))?;
    (key.set)(unit, value).ok_or_else(|| format!("`{word}`: give {name}={}", key.values))
}

/// All keys, a line each.
fn help() -> String {
    let mut text = "none                                    devices reach memory without a unit\n\
         vtd[,KEY=VALUE]...                      a VT-d unit; of a key given twice the last counts"
        .to_owned();
    for Key { name, values, about, .. } in &KEYS {
        let usage = format!("{name}={values}");
        write!(text, "\n  {usage:37} {about}").unwrap_or_else(|_| unreachable!("a string takes everything"));
    }
    text
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn caches(value: &str) -> Option<CacheSizes> {
    match value {
        "off" => Some(CacheSizes::OFF),
        "never-evict" => Some(CacheSizes::NEVER_EVICT),
        _ => None,
    }
}

fn queue(value: &str) -> Option<QueueRuns> {
    match value {
        "at-once" => Some(QueueRuns::AtOnce),
        "when-asked" => Some(QueueRuns::WhenAsked),
        _ => None,
    }
}

fn answers(value: &str) -> Option<Answers> {
    match value {
        "prompt" => Some(Answers::Prompt),
        "late" => Some(Answers::Late),
        "never" => Some(Answers::Never),
        _ => None,
    }
}

fn answer_time_out(value: &str) -> Option<AnswerTimeOut> {
    if value == "off" {
        return Some(AnswerTimeOut::Never);
    }
    let limit = time(value)?;
    (Duration::from_millis(1)..=MOST_TIME_OUT).contains(&limit).then_some(AnswerTimeOut::After(limit))
}

fn report(stale: &mut StaleOptions, value: &str) -> Option<()> {
    let judging = match stale.judging {
        Judging::AtOnce => Judging::default(),
        late @ Judging::Late(_) => late,
    };
    let late = StaleOptions { watching: Watching::EveryUse, judging };
    *stale = match value {
        "late" => late,
        "first-use" => StaleOptions { judging: Judging::AtOnce, ..late },
        sample => StaleOptions {
            watching: Watching::Sampled(sample.strip_prefix("one-in-")?.parse().ok()?),
            ..late
        },
    };
    Some(())
}

/// A number of milliseconds or seconds with its unit.
fn time(value: &str) -> Option<Duration> {
    let (number, unit) = value.split_at(value.find(|it: char| !it.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// Counted from 1.
fn nth(value: &str) -> Option<u64> {
    value.parse().ok().filter(|nth| *nth > 0)
}

fn entries(value: &str) -> Option<usize> {
    value.parse().ok().filter(|entries| *entries <= MOST_ENTRIES)
}

fn on(value: &str) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
