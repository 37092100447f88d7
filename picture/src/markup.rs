//! XML, written so that it cannot be wrong: elements end in the order in which they began, and text is text.
//!
//! Invariant: names of elements and attributes, and what is copied as it is, are parts of this program (`&'static str`);
//! everything else is escaped.

use std::fmt::{Display, Write};

use crate::escape;

/// An attribute with its value.
pub(crate) type Attribute<'a> = (&'static str, &'a dyn Display);

/// A document, or a part of one.
#[derive(Default)]
pub(crate) struct Markup {
    text: String,
}

impl Markup {
    /// What was written.
    pub(crate) fn into_string(self) -> String {
        self.text
    }

    /// Something of this program's own, as it is.
    pub(crate) fn verbatim(&mut self, text: &'static str) {
        self.text.push_str(text);
    }

    /// Text.
    pub(crate) fn text(&mut self, text: impl Display) {
        escape::write(&text.to_string(), &mut self.text);
    }

    /// An element with what `inside` writes.
    pub(crate) fn element(
        &mut self,
        name: &'static str,
        attributes: &[Attribute<'_>],
        inside: impl FnOnce(&mut Self),
    ) {
        self.begin(name, attributes);
        self.text.push('>');
        inside(self);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element with text.
    pub(crate) fn leaf(&mut self, name: &'static str, attributes: &[Attribute<'_>], text: impl Display) {
        self.element(name, attributes, |inside| inside.text(text));
    }

    /// An element without content.
    pub(crate) fn empty(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.begin(name, attributes);
        self.text.push_str("/>");
    }

    /// A line feed, for whoever reads the source.
    pub(crate) fn line(&mut self) {
        self.text.push('\n');
    }

    fn begin(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            // Writing to a string cannot fail.
            let _ = write!(self.text, " {name}=\"");
            escape::write(&value.to_string(), &mut self.text);
            self.text.push('"');
        }
    }
}
