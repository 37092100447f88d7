//! A line of a trace, whatever program has printed it.
//!
//! Invariant: nothing is added to what the line says; what it does not say is none.

use std::borrow::Cow;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line<'t> {
    /// Something happened.
    Event(Event<'t>),
    /// A heading: what comes below is another recording.
    Section(&'t str),
    /// Lines were left out here.
    Cut,
    /// So many events were lost here, as far as that is said.
    Lost(Option<u64>),
    /// So many events were overwritten before the first one that is here.
    Overwritten(u64),
    /// All writes to the entry of this page are shown below.
    Watched(u64),
    /// The kernel's version.
    Kernel(&'t str),
    /// A remark, a heading of columns, an empty line.
    Remark,
    /// None of these.
    Unreadable,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'t> {
    /// Who: name and number of a thread, or a CPU if the trace does not say more.
    pub thread: Cow<'t, str>,
    /// When, as it is written.
    pub time: &'t str,
    /// A function or a tracepoint; `pte@FUNCTION` for a write of a watched entry, `spte@FUNCTION` for one of KVM's.
    pub name: Cow<'t, str>,
    /// Whether it is the return from the function.
    pub returns: bool,
    /// The function that called it.
    pub caller: Option<&'t str>,
    /// What it was given.
    pub arguments: &'t str,
}

impl Event<'_> {
    /// The word behind `key`, which is followed by `=`, `:` or a blank.
    #[must_use]
    pub fn word(&self, key: &str) -> Option<&str> {
        let text = self.arguments;
        let part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let mut from = 0;
        while let Some(found) = text.get(from..)?.find(key) {
            let (begin, end) = (from + found, from + found + key.len());
            let (before, rest) = (&text[..begin], &text[end..]);
            let begins = !before.ends_with(part);
            if begins && (key.ends_with(':') || rest.starts_with(['=', ':', ' '])) {
                let rest = rest.trim_start_matches(['=', ':', ' ']);
                return rest.split([' ', ',', ')', '\t']).next().filter(|word| !word.is_empty());
            }
            from = end;
        }
        None
    }

    /// The number behind `key`, hexadecimal.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        hexadecimal(self.word(key)?)
    }

    /// The two numbers behind `key`, with `--` or `-` between them.
    #[must_use]
    pub fn range(&self, key: &str) -> Option<(u64, u64)> {
        let first = self.word(key)?;
        let behind = self.arguments.split_once(key)?.1.split_once(first)?.1;
        let second = behind.trim_start_matches([' ', '-']).split([' ', ',', ')']).next()?;
        Some((hexadecimal(first)?, hexadecimal(second)?))
    }
}

/// A hexadecimal number, perhaps behind `0x`.
pub(crate) fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// Whether a character has no shape of its own, and may change how others are shown. Source: Unicode 16, Cc and Cf.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0x1_10bd | 0x1_10cd
            | 0x1_3430..=0x1_343f | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_007f)
}
