//! What stands behind the time of a line: a tracepoint with its arguments, a function with its caller, a probe.
//!
//! Source: kernel/trace/trace_output.c, trace_functions.c, trace_kprobe.c; tools/perf/builtin-script.c.

use std::borrow::Cow;

/// What happened, without who and when.
pub(super) struct What<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) returns: bool,
    pub(super) caller: Option<&'t str>,
    pub(super) arguments: &'t str,
}

impl<'t> What<'t> {
    fn plain(name: &'t str, arguments: &'t str) -> Self {
        Self { name: Cow::Borrowed(name), returns: false, caller: None, arguments }
    }
}

/// Reads it.
pub(super) fn read(text: &str) -> Option<What<'_>> {
    let text = text.trim();
    watched(text).or_else(|| called(text)).or_else(|| tracepoint(text))
}

/// `**HOST-PTE WRITE** at FUNCTION+0x1`, a data watchpoint.
fn watched(text: &str) -> Option<What<'_>> {
    let (kind, place) = text.strip_prefix("**")?.split_once("** at ")?;
    let prefix = if kind.contains("SPTE") { "spte@" } else { "pte@" };
    let function = plain_function(place)?;
    let name = Cow::Owned(format!("{prefix}{function}"));
    Some(What { name, returns: false, caller: None, arguments: "" })
}

/// `FUNCTION <-CALLER`, which trace-cmd prints with `<--` and blanks.
fn called(text: &str) -> Option<What<'_>> {
    let (function, caller) = text.split_once("<-")?;
    let function = plain_function(function.trim())?;
    let caller = plain_function(caller.trim_start_matches('-').trim())?;
    Some(What { caller: Some(caller), ..What::plain(function, "") })
}

fn tracepoint(text: &str) -> Option<What<'_>> {
    let (head, arguments) =
        text.split_once(": ").or_else(|| text.strip_suffix(':').map(|head| (head, "")))?;
    // perf counts events before their name.
    let name = head.split_whitespace().last()?;
    let arguments = arguments.trim();
    let extra = head.split_whitespace().count();
    if extra > 2 || extra == 2 && !head.trim_start().starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if let Some(place) = name.strip_prefix("mem:") {
        return breakpoint(place, arguments, name);
    }
    let name = name.rsplit(':').next()?;
    if name == "function" {
        return called(arguments);
    }
    if name.is_empty() || name.contains(['(', ')', '=']) {
        return None;
    }
    match arguments.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
        Some((place, rest)) if is_place(place) => probe(name, place, rest),
        Some(_) | None => Some(What::plain(name, arguments)),
    }
}

/// What a probe says of its place: an address, a function with an offset, or a return.
fn is_place(place: &str) -> bool {
    place.contains("+0x") || place.contains(" <- ") || super::super::line::hexadecimal(place).is_some()
}

/// `(FUNCTION+0x0/0x60 [module])`, `(CALLER+0x1/0x2 <- FUNCTION)`, or addresses alone.
fn probe<'t>(name: &'t str, place: &'t str, arguments: &'t str) -> Option<What<'t>> {
    let arguments = arguments.trim();
    let by_name = || {
        let plain = name.strip_suffix("__return");
        What { returns: plain.is_some(), ..What::plain(plain.unwrap_or(name), arguments) }
    };
    let is_address = |word: &str| super::super::line::hexadecimal(word).is_some();
    if let Some((caller, function)) = place.split_once(" <- ") {
        if is_address(function) {
            return Some(by_name());
        }
        let caller = plain_function(caller)?;
        return Some(What {
            returns: true,
            caller: Some(caller),
            ..What::plain(plain_function(function)?, arguments)
        });
    }
    if is_address(place) { Some(by_name()) } else { Some(What::plain(plain_function(place)?, arguments)) }
}

/// perf's data breakpoint: its address is its name, and the function that wrote stands behind it.
fn breakpoint<'t>(place: &'t str, arguments: &'t str, name: &'t str) -> Option<What<'t>> {
    let address = place.split(['/', ':']).next()?;
    let function = arguments.split_whitespace().find(|word| word.contains('+')).and_then(plain_function);
    let function =
        function.map_or(Cow::Borrowed(name), |function| Cow::Owned(format!("mem:{address}@{function}")));
    Some(What { name: function, returns: false, caller: None, arguments })
}

/// A function without its offset and its module.
fn plain_function(text: &str) -> Option<&str> {
    let name = text.split(['+', ' ', '/', '\t']).next()?;
    let good = |character: char| character.is_ascii_alphanumeric() || "_.".contains(character);
    (!name.is_empty() && name.chars().all(good)).then_some(name)
}

/// A write of a watched entry, `event=pte by=FUNCTION`.
pub(super) fn read_place(name: &str, place: &str) -> Option<String> {
    let function = plain_function(place)?;
    matches!(name, "pte" | "spte").then(|| format!("{name}@{function}"))
}
