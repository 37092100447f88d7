//! Scenario files: those of the catalogue, with lines and words that stand where they should not, and any text.
//!
//! Rules: what is wrong is said, each error with a place in the text, and shown without a failure; a scenario that is read
//! whole is lowered, or what is wrong with it is said.

use ordering::catalogue::FILES;
use ordering::language::{Diagnostic, parse, render_all};
use ordering::lowering;

use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] = &["read", "wrong", "lowered", "refused", "any text"];

/// Edits of one input at most.
const MOST_EDITS: u64 = 8;
/// Lines of a file that are kept at most.
const MOST_LINES: usize = 120;
/// Bytes of any text at most.
const MOST_BYTES: usize = 400;
/// What stands in no file, or seldom.
const STRANGE: [&str; 12] = [
    "",
    "\t",
    "\u{0}",
    "\u{202e}\u{1f980}",
    "999999999999999999999",
    "repeat 0..4294967295:",
    "(((((((((((((((((((((((((((((((((",
    "|",
    "expect violation",
    "race",
    "A",
    "-> ->",
];

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let text = if choices.one_in(8) { any(choices, census) } else { edited(choices) };
    let file = parse(&text);
    census.note(if file.diagnostics.is_empty() { "read" } else { "wrong" });
    check(&file.diagnostics, &text);
    match lowering::load(&text) {
        Ok(found) if !found.is_empty() => census.note("lowered"),
        Ok(_) => {}
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "nothing is wrong with what is refused:\n{text}");
            check(&diagnostics, &text);
            census.note("refused");
        }
    }
}

fn check(diagnostics: &[Diagnostic], text: &str) {
    for diagnostic in diagnostics {
        let (line, column) = diagnostic.place(text);
        let lines = text.lines().count().max(1);
        // The end of a file is the line behind its last one.
        assert!(line >= 1 && column >= 1 && line as usize <= lines + 1, "{line}:{column} is not in:\n{text}");
        assert!(!diagnostic.message.is_empty() && !diagnostic.message.contains('\n'), "{diagnostic:?}");
    }
    let shown = render_all(diagnostics, "fuzz.scn", text);
    assert_eq!(shown.is_empty(), diagnostics.is_empty(), "what is wrong is shown:\n{text}");
}

/// A text that nobody wrote.
fn any(choices: &mut Choices<'_>, census: &mut Census) -> String {
    census.note("any text");
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BYTES && !choices.is_over() {
        bytes.push(choices.byte());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A file of the catalogue with some edits.
fn edited(choices: &mut Choices<'_>) -> String {
    let file = choices.of(FILES);
    let mut lines: Vec<String> = file.text.lines().take(MOST_LINES).map(str::to_owned).collect();
    for _ in 0..choices.below(MOST_EDITS) {
        edit(&mut lines, choices);
    }
    lines.join("\n")
}

fn edit(lines: &mut Vec<String>, choices: &mut Choices<'_>) {
    let at = place(choices, lines.len());
    let Some(line) = lines.get(at).cloned() else { return };
    match choices.below(6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, line),
        2 => {
            let other = place(choices, lines.len());
            lines.swap(at, other);
        }
        3 => lines.insert(at, choices.of(&STRANGE).to_owned()),
        _ => lines[at] = with_a_word_changed(&line, choices),
    }
}

/// A word less, another one, or one from elsewhere in the line.
fn with_a_word_changed(line: &str, choices: &mut Choices<'_>) -> String {
    let indent = &line[..line.len() - line.trim_start().len()];
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let at = place(choices, words.len());
    let Some(word) = words.get(at).copied() else { return choices.of(&STRANGE).to_owned() };
    match choices.below(4) {
        0 => drop(words.remove(at)),
        1 => words.insert(at, word),
        2 => words[at] = choices.of(&STRANGE),
        _ => words[at] = words[place(choices, words.len())],
    }
    format!("{indent}{}", words.join(" "))
}

fn place(choices: &mut Choices<'_>, len: usize) -> usize {
    usize::try_from(choices.below(len as u64)).unwrap_or_default()
}
