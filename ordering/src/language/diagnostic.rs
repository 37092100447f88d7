//! What is wrong with a scenario file, and how it is shown: place, line, caret, one line of help.
//!
//! Invariant: a diagnostic names one place and one remedy. Rendering never fails, whatever the source holds.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::span::Span;

/// One error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// What is wrong, lower case, with the values.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is said beside the caret; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: String,
}

impl Diagnostic {
    /// An error at `span` with its remedy.
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: String::new(), help: help.into() }
    }

    /// The same with words beside the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Line and column of its place in `source`, both from 1; a column is a letter.
    #[must_use]
    pub fn place(&self, source: &str) -> (u32, usize) {
        let start = boundaries(self.span, source).start;
        let line = source[..start].rfind('\n').map_or(0, |end| end + 1);
        (self.span.line(source), source[line..start].chars().count() + 1)
    }

    /// As it is shown, without a line end behind it and without colour.
    #[must_use]
    pub fn render(&self, file: &str, source: &str) -> String {
        self.render_with(&Renderer::plain(), file, source)
    }

    /// As it is shown on a terminal.
    #[must_use]
    pub fn render_coloured(&self, file: &str, source: &str) -> String {
        self.render_with(&Renderer::styled(), file, source)
    }

    fn render_with(&self, renderer: &Renderer, file: &str, source: &str) -> String {
        let caret = AnnotationKind::Primary.span(boundaries(self.span, source)).label(self.label.as_str());
        let snippet = Snippet::source(source).path(file).annotation(caret);
        let title = Level::ERROR.primary_title(self.message.as_str());
        let group = title.element(snippet).element(Level::HELP.message(self.help.as_str()));
        renderer.render(&[group])
    }
}

/// All of `diagnostics` in the order of their places, with an empty line between two.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], file: &str, source: &str) -> String {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.span);
    sorted.iter().map(|one| one.render(file, source)).collect::<Vec<_>>().join("\n\n")
}

/// The nearest range of `source` that can be cut out of it.
fn boundaries(span: Span, source: &str) -> Range<usize> {
    let down = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = down(span.start);
    start..down(span.end).max(start)
}
