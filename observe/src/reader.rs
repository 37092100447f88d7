//! Lines of a trace as ftrace (`trace`, `trace_pipe`), `trace-cmd report`, `perf script` and bpftrace programs print them.
//!
//! Invariant: any line is read, and none makes it panic. A line looks like one format or another by itself, so that a file
//! may hold several.

mod bracket;
mod event;
mod keyed;
mod short;

use crate::line::Line;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    /// `trace-cmd record`.
    TraceDat,
    /// `perf record`.
    PerfData,
    /// Something packed.
    Packed,
    /// Bytes that are no text.
    Other,
}

impl Binary {
    /// What a file that begins with these bytes is; none if it may be text.
    #[must_use]
    pub fn of(first: &[u8]) -> Option<Self> {
        const PACKED: [&[u8]; 3] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ"];
        if first.starts_with(b"\x17\x08\x44tracing") {
            return Some(Self::TraceDat);
        }
        if first.starts_with(b"PERFILE2") || first.starts_with(b"PERFFILE") {
            return Some(Self::PerfData);
        }
        if PACKED.iter().any(|magic| first.starts_with(magic)) {
            return Some(Self::Packed);
        }
        first.contains(&0).then_some(Self::Other)
    }

    /// What it is, and how its text is got.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TraceDat => {
                "it is trace-cmd's own format; print it as text: trace-cmd report -i FILE > FILE.txt"
            }
            Self::PerfData => {
                "it is perf's own format; print it as text: perf script --header -i FILE > FILE.txt"
            }
            Self::Packed => "it is packed; unpack it first: gzip -d, zstd -d or xz -d",
            Self::Other => "it is no text; print it as text, with trace-cmd report or perf script",
        }
    }
}

/// What to do with a file in which no line is an event.
pub const NO_EVENT: &str = "no line of it is an event of a kernel trace; what is read is the text of tracefs (trace, \
trace_pipe), of `trace-cmd report`, of `perf script`, and lines of words like `func=NAME pid=N cpu=N addr=0xN`";

/// Reads a line. What a thread is called can look like a remark, so a line that has a thread, a CPU and a time is an event.
#[must_use]
pub fn read(text: &str) -> Line<'_> {
    let text = without_number(text.trim_end());
    let start = text.trim_start();
    if let Some(rest) = text.strip_prefix('#') {
        return heading(rest);
    }
    if let Some(behind) = lost(start) {
        let number = behind.split(|other: char| !other.is_ascii_digit()).find(|word| !word.is_empty());
        return Line::Lost(number.and_then(|digits| digits.parse().ok()));
    }
    let with_cpu = || bracket::read(text).map(Line::Event);
    let other = || [short::read, keyed::read].iter().find_map(|read| read(text)).map(Line::Event);
    with_cpu().or_else(|| remark(text, start)).or_else(other).unwrap_or(Line::Unreadable)
}

/// A line as `grep -n` prints it has its number before it.
fn without_number(text: &str) -> &str {
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    match text[digits..].strip_prefix([':', '-']) {
        Some(rest) if digits > 0 && rest.starts_with(' ') => rest,
        Some(_) | None => text,
    }
}

/// A line that begins with `#`, without that.
fn heading(rest: &str) -> Line<'_> {
    let overwritten = rest.trim().strip_prefix("entries-in-buffer/entries-written:").and_then(|behind| {
        let (kept, written) = behind.split_whitespace().next()?.split_once('/')?;
        Some(written.parse::<u64>().ok()?.saturating_sub(kept.parse().ok()?))
    });
    match (overwritten, version(rest)) {
        (Some(number), _) => Line::Overwritten(number),
        (None, Some(version)) => Line::Kernel(version),
        (None, None) => Line::Remark,
    }
}

fn remark<'t>(text: &'t str, start: &'t str) -> Option<Line<'t>> {
    if let Some(rest) = start.strip_prefix('#') {
        return Some(heading(rest));
    }
    if start == "..." {
        return Some(Line::Cut);
    }
    if let Some(rest) = text.strip_prefix("P=0x") {
        let digits = rest.split(' ').next()?;
        return Some(u64::from_str_radix(digits, 16).map_or(Line::Unreadable, Line::Watched));
    }
    if let Some(rest) = text.strip_prefix("---").or_else(|| text.strip_prefix("TRACE ")) {
        return Some(Line::Section(rest.trim_start_matches(['-', ' '])));
    }
    let head = ["version = ", "cpus=", "trace-cmd version", "Attaching "];
    (start.is_empty()
        || head.iter().any(|head| start.starts_with(head))
        || is_empty_cpu(start)
        || is_call_chain(start))
    .then_some(Line::Remark)
}

/// `CPU 3 is empty`, of trace-cmd.
fn is_empty_cpu(start: &str) -> bool {
    let number = start.strip_prefix("CPU ").and_then(|behind| behind.strip_suffix(" is empty"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What says how many events were lost, of a line that says that some were: `CPU:1 [LOST 5 EVENTS]` of tracefs, `CPU:1 [5
/// EVENTS DROPPED]` of trace-cmd, `PERF_RECORD_LOST lost 5` of perf, `Lost 5 events` of bpftrace.
fn lost(start: &str) -> Option<&str> {
    if let Some((cpu, behind)) = start.strip_prefix("CPU:").and_then(|behind| behind.split_once('[')) {
        let is_number = cpu.trim_end().bytes().all(|byte| byte.is_ascii_digit());
        return (is_number && (behind.contains("LOST") || behind.contains("DROPPED"))).then_some(behind);
    }
    if let Some((_, behind)) = start.split_once(": PERF_RECORD_LOST") {
        return Some(behind);
    }
    start.strip_prefix("Lost ").filter(|behind| behind.ends_with("events"))
}

/// A line of the call chain that perf prints below an event.
fn is_call_chain(start: &str) -> bool {
    let word = start.split(' ').next().unwrap_or_default();
    word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) && start.ends_with(')')
}

/// The kernel that a remark names: of perf's header, of a latency tracer's, or written by hand.
fn version(remark: &str) -> Option<&str> {
    let remark = remark.trim();
    let behind = remark.strip_prefix("os release :").or_else(|| remark.strip_prefix("kernel:"));
    let behind = behind.or_else(|| {
        remark.contains(" trace v").then(|| remark.rsplit_once(" on ")).flatten().map(|(_, behind)| behind)
    });
    behind?.split_whitespace().next()
}

#[cfg(test)]
mod tests;
