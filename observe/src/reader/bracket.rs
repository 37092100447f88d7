//! Lines with the CPU in brackets: tracefs, trace-cmd report and perf script.

use std::borrow::Cow;

use super::event;
use crate::line::Event;

/// `TASK-PID [CPU] FLAGS TIME: EVENT`; trace-cmd leaves the flags out, perf has a blank before the number of the thread.
pub(super) fn read(text: &str) -> Option<Event<'_>> {
    let (task, behind) = split_at_cpu(text)?;
    let thread = thread(task)?;
    let (time, what) = time(behind)?;
    let event::What { name, returns, caller, arguments } = event::read(what)?;
    Some(Event { thread, time, name, returns, caller, arguments })
}

/// What stands before and behind `[CPU]`.
fn split_at_cpu(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find('[') {
        let open = from + found;
        let inside = &text[open + 1..];
        let close = inside.find(']')?;
        let digits = &inside[..close];
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some((text[..open].trim(), &inside[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// `comm-123`, also for `comm 123`, `comm 123/124` and `comm-123 (tgid)`.
fn thread(task: &str) -> Option<Cow<'_, str>> {
    let task = match task.rsplit_once('(') {
        Some((before, group)) if group.ends_with(')') => before.trim_end(),
        Some(_) | None => task,
    };
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((name, number)) = task.rsplit_once(char::is_whitespace) {
        let number = number.rsplit('/').next()?;
        if is_number(number) {
            return Some(Cow::Owned(format!("{}-{number}", name.trim())));
        }
    }
    let (_, number) = task.rsplit_once('-')?;
    is_number(number).then_some(Cow::Borrowed(task))
}

/// The time, which ends with a colon, behind the flags or at once.
fn time(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.trim_start();
    for _ in 0..2 {
        let (word, behind) = rest.split_once(char::is_whitespace)?;
        if let Some(time) = word.strip_suffix(':')
            && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && !time.is_empty()
        {
            return Some((time, behind));
        }
        rest = behind.trim_start();
    }
    None
}
