//! Lines of `key=value`, as a bpftrace program or a test can print them: `func=ptep_clear_flush pid=7 cpu=1 addr=0x1000`.

use std::borrow::Cow;

use super::event;
use crate::line::Event;

/// Reads one. Of the words, `func`, `event` or `probe` says what happened, and `pid`, `tid` or `cpu` who.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    let value = |key: &str| {
        let words = text.split_whitespace().filter_map(|word| word.split_once('='));
        words.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value.trim_matches(['"', ',']))
    };
    let name =
        ["func", "event", "probe"].iter().find_map(|key| value(key)).filter(|name| !name.is_empty())?;
    let number = ["tid", "pid"].iter().find_map(|key| value(key));
    let thread = match (value("comm"), number, value("cpu")) {
        (Some(comm), Some(number), _) => Cow::Owned(format!("{comm}-{number}")),
        (None, Some(number), _) => Cow::Borrowed(number),
        (_, None, Some(cpu)) => Cow::Owned(format!("cpu{cpu}")),
        (_, None, None) => return None,
    };
    let time = ["time", "ts", "nsecs"].iter().find_map(|key| value(key)).unwrap_or_default();
    let (function, returns) = match name.strip_prefix("kretprobe:") {
        Some(function) => (function, true),
        None => (name.rsplit(':').next()?, false),
    };
    let written = value("by").map(|place| event::read_place(name, place));
    let name = written.map_or(Some(Cow::Borrowed(function)), |found| found.map(Cow::Owned))?;
    Some(Event { thread, time, name, returns, caller: value("caller"), arguments: text })
}
