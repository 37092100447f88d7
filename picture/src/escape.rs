//! Text that anybody may have written, made harmless.
//!
//! Invariant: what comes out is XML text, fit for an attribute in double quotes too, and reads in the order in which it is
//! written: control characters, marks that turn or hide text, and what XML has no place for are shown by their numbers.
//! Source: XML 1.0, 2.2 Characters; UAX 9, explicit formatting characters.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with what cannot be seen made visible.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_hidden(letter) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Writes `text` as XML.
pub(crate) fn write(text: &str, out: &mut String) {
    for letter in visible(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// The text as a string of the DOT language, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let text = visible(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// Whether a letter does something else than to be seen. Tabs and line feeds are layout.
fn is_hidden(letter: char) -> bool {
    let control = letter.is_control() && letter != '\t' && letter != '\n';
    let other = matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    control || other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        write(text, &mut out);
        out
    }

    #[test]
    fn nothing_that_is_written_is_markup() {
        let text = r#"</text><script>alert('1')</script>" onload="x" &lt; ]]>"#;
        let escaped = escaped(text);
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert!(escaped.contains("&amp;lt;"), "an entity is text, too: {escaped}");
    }

    #[test]
    fn what_turns_or_hides_text_is_shown_by_its_number() {
        let shown = escaped("a\u{202e}b\u{2066}c\u{0}d\u{1b}[31m\u{200b}e\u{85}f\u{feff}\r\u{e0041}");
        assert_eq!(
            shown,
            "a⟨U+202E⟩b⟨U+2066⟩c⟨U+0000⟩d⟨U+001B⟩[31m⟨U+200B⟩e⟨U+0085⟩f⟨U+FEFF⟩⟨U+000D⟩⟨U+E0041⟩"
        );
        assert_eq!(escaped("pte_clear A → ü\tb"), "pte_clear A → ü\tb");
    }

    #[test]
    fn a_string_of_dot_ends_where_it_ends() {
        assert_eq!(quoted("a\"; b\\\" [x]\n"), r#""a\"; b\\\" [x]\n""#);
    }
}
