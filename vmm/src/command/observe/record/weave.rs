//! Writes of a watched entry among the lines of a trace, where they happened.
//!
//! Both are by CLOCK_MONOTONIC in ns; a trace shows µs, within which a whole operation can lie, so its times are given apart.
//!
//! Invariant: a write is never placed by a time that the trace does not have.

use super::instance::is_event;
use super::symbols::places;
use super::watch::Written;

/// The lines of a trace with the writes of a thread among them.
///
/// # Errors
/// Why they cannot be placed.
pub(super) fn weave(text: &str, times: &[u64], written: &[Written], thread: i32) -> Result<String, String> {
    let addresses: Vec<u64> = written.iter().map(|written| written.place).collect();
    woven(text, times, written, &places(&addresses)?, thread)
}

/// The same, with the functions that wrote.
pub(super) fn woven(
    text: &str,
    times: &[u64],
    written: &[Written],
    functions: &[String],
    thread: i32,
) -> Result<String, String> {
    let name = name(text, thread);
    let mut writes = written.iter().zip(functions).peekable();
    let all = times;
    let mut times = times.iter();
    let mut woven = String::new();
    for line in text.lines() {
        if is_event(line) {
            let time = *times.next().ok_or("the trace has more lines than times")?;
            if shown(line) != Some(micros(time)) {
                return Err(format!("a line of the trace is of another time than {time} ns: {line}"));
            }
            while let Some((written, function)) = writes.next_if(|(written, _)| written.time_ns <= time) {
                woven.push_str(&row(&name, *written, function));
            }
        }
        woven.push_str(line);
        woven.push('\n');
    }
    if times.next().is_some() {
        return Err("the trace has fewer lines than times".to_owned());
    }
    // Each is made between two marks, which the trace has.
    let is_within = |written: &Written| {
        let (first, last) = (all.first(), all.last());
        first.is_some_and(|first| *first <= written.time_ns)
            && last.is_some_and(|last| written.time_ns <= *last)
    };
    if !written.iter().all(is_within) {
        return Err(
            "perf's times are not those of the trace, so that no write can be placed in it".to_owned()
        );
    }
    Ok(woven)
}

/// As the trace calls the thread.
fn name(text: &str, thread: i32) -> String {
    let number = format!("-{thread}");
    let mut tasks = text.lines().filter_map(|line| line.split_once(" [")).map(|(task, _)| task.trim());
    tasks.find(|task| task.ends_with(&number)).map_or_else(|| format!("thread{number}"), str::to_owned)
}

/// The time of a line, in µs.
fn shown(line: &str) -> Option<u64> {
    let (_, behind) = line.split_once("] ")?;
    let word = behind.split_whitespace().find_map(|word| word.strip_suffix(':'))?;
    let (seconds, micros) = word.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?)
}

/// Rounded as the trace does.
const fn micros(time_ns: u64) -> u64 {
    (time_ns + 500) / 1000
}

fn row(name: &str, written: Written, function: &str) -> String {
    let micros = micros(written.time_ns);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    format!("{name} [{:03}] ..... {seconds}.{micros:06}: **PTE WRITE** at {function}\n", written.cpu)
}
