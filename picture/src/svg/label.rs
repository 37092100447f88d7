//! Texts of a picture.
//!
//! Invariant: every text has its length told, and is cut where it has no room.

use crate::layout::{self, ADVANCE, MOST_LETTERS};
use crate::markup::Markup;

/// A text and its place: the left end of its base line.
pub(super) struct Label<'a> {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) class: &'static str,
    pub(super) text: &'a str,
    pub(super) most: usize,
}

/// A text.
pub(super) fn label(markup: &mut Markup, label: &Label<'_>) {
    label_in(markup, label, ADVANCE);
}

/// A text whose letters are `advance` tenths wide.
pub(super) fn label_in(markup: &mut Markup, label: &Label<'_>, advance: usize) {
    let text = layout::clipped(label.text, label.most);
    if text.is_empty() {
        return;
    }
    let length = layout::pixels(text.chars().count(), advance);
    let attributes: [(&str, &dyn std::fmt::Display); 5] = [
        ("x", &label.x),
        ("y", &label.y),
        ("class", &label.class),
        ("textLength", &length),
        ("lengthAdjust", &"spacingAndGlyphs"),
    ];
    markup.leaf("text", &attributes, text);
}

/// A text that belongs to a row or a name, which has [`MOST_LETTERS`].
pub(super) fn short(markup: &mut Markup, x: usize, y: usize, class: &'static str, text: &str) {
    label(markup, &Label { x, y, class, text, most: MOST_LETTERS });
}
