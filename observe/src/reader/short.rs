//! Lines that begin with the time since the beginning: `36us cpu1 labtest-128 EVENT`, `+38.79us cpu0 tid 14940 EVENT`.
//!
//! Invariant: where the number of a thread is not in every line, the CPU stands for it.

use std::borrow::Cow;

use super::event;
use crate::line::Event;

/// Reads one.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    let (time, rest) = text.trim_start().split_once("us cpu")?;
    let relative = time.strip_prefix('+');
    if !relative.unwrap_or(time).bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let (cpu, rest) = rest.split_once(' ')?;
    if cpu.is_empty() || !cpu.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    let (task, rest) = match rest.strip_prefix("tid ") {
        Some(behind) => behind.split_once(' ')?,
        None => rest.split_once(' ')?,
    };
    let thread = match relative {
        Some(_) => Cow::Owned(format!("cpu{cpu}")),
        None => Cow::Borrowed(task),
    };
    let event::What { name, returns, caller, arguments } = event::read(rest)?;
    Some(Event { thread, time, name, returns, caller, arguments })
}
