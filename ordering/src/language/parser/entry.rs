//! Page-table entries: what one is made from, and the bits behind it.
//!
//! Invariant: words are taken as long as they are bits; whatever follows belongs to somebody else.

use steps::entry::{Bit, Change, Feature};

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::entry::Written;
use super::super::span::Name;
use super::super::suggest::did_you_mean;
use super::cursor::{Cursor, Parsed};

/// `[migration] NAME [like orig] [BITS]`
pub(super) fn entry(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Written> {
    let word = cursor.name("an entry", form)?;
    after(word, cursor, form)
}

/// The entry that begins with `word`, which is read already.
pub(super) fn after(word: Name, cursor: &mut Cursor<'_>, form: &str) -> Parsed<Written> {
    let start = word.span;
    let migration = word.node == "migration";
    let name = if migration { cursor.name("a frame, a handle or `orig`", form)? } else { word };
    let mut written = Written { migration, ..Written::bare(name) };
    if cursor.eat_word("like") {
        written.like_orig = cursor.eat_word("orig");
        if !written.like_orig {
            return Err(cursor.expected("`orig`", "set_pte A -> new like orig"));
        }
    }
    written.change = change(cursor);
    written.span = cursor.since(start);
    Ok(written)
}

/// Bits, one at least.
pub(super) fn bits(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Change> {
    let found = change(cursor);
    if found.is_empty() {
        return Err(cursor.expected("a bit", &form.replace("BITS", "ro -dirty")));
    }
    Ok(found)
}

fn change(cursor: &mut Cursor<'_>) -> Change {
    let mut found = Change::default();
    loop {
        let mut ahead = cursor.clone();
        let cleared = ahead.eat("-");
        let said = match ahead.peek_word() {
            Some("ro") if !cleared => Some((Bit::Write, false)),
            word => word.and_then(Bit::named).map(|bit| (bit, !cleared)),
        };
        let Some((bit, is_there)) = said else { return found };
        ahead.next();
        *cursor = ahead;
        found = found.say(bit, is_there);
    }
}

/// What stands behind `has`, one at least.
pub(super) fn features(cursor: &mut Cursor<'_>) -> Parsed<Vec<Feature>> {
    let mut found = Vec::new();
    while let Some(feature) = cursor.peek_word().and_then(Feature::named) {
        cursor.next();
        found.push(feature);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let words = Feature::words();
    let word = cursor.name("what an entry can have", "pte(A) has dirty")?;
    let help = did_you_mean(&word.node, &words, &format!("an entry can have {}", words.join(", ")));
    Err(Diagnostic::new(Code::UnknownFeature, word.span, format!("no entry has `{}`", word.node), help))
}
