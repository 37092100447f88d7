//! What is wrong with a scenario file, and how it is shown: place, line, caret, one line of help.
//!
//! Invariant: a diagnostic names one place and one remedy, and a second place where two do not fit together. Rendering
//! never fails, whatever the source holds, and looks at no line but those that it shows.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use super::code::Code;
use super::span::Span;

/// Errors at most that are shown of one file.
const MOST_SHOWN: usize = 200;

/// Another place that has to do with an error.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Second {
    /// Where.
    pub span: Span,
    /// What is there.
    pub label: String,
}

/// One error.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Diagnostic {
    /// Which error it is: what `afterimage explain` tells more of.
    pub code: Code,
    /// What is wrong, lower case, with the values.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is said beside the caret; may be empty.
    pub label: String,
    /// The other place, if two do not fit together.
    pub second: Option<Box<Second>>,
    /// What to do about it.
    pub help: String,
}

impl Diagnostic {
    /// An error at `span` with its remedy.
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: span.in_source(),
            label: String::new(),
            second: None,
            help: help.into(),
        }
    }

    /// The same with words beside the caret.
    #[must_use]
    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Line and column of its place in `source`, both from 1; a column is a letter.
    #[must_use]
    pub fn place(&self, source: &str) -> (u32, usize) {
        let start = boundaries(self.span, source).start;
        let line = source[..start].rfind('\n').map_or(0, |end| end + 1);
        (self.span.line, source[line..start].chars().count() + 1)
    }

    /// Line and column behind its end in `source`, both from 1.
    #[must_use]
    pub fn end(&self, source: &str) -> (u32, usize) {
        let range = boundaries(self.span, source);
        let last = source[..range.end].rfind('\n').map_or(0, |end| end + 1);
        let ends = source[range.clone()].matches('\n');
        let line = ends.fold(self.span.line, |line, _| line.saturating_add(1));
        (line, source[last..range.end].chars().count() + 1)
    }

    /// The same with another place, and words beside that.
    #[must_use]
    pub(crate) fn with_second(mut self, span: Span, label: impl Into<String>) -> Self {
        self.second = Some(Box::new(Second { span: span.in_source(), label: label.into() }));
        self
    }

    /// As it is shown, without a line end behind it and without colour.
    #[must_use]
    pub fn render(&self, file: &str, source: &str) -> String {
        self.render_with(&Renderer::plain(), file, source)
    }

    /// As it is shown on a terminal.
    #[must_use]
    pub(crate) fn render_coloured(&self, file: &str, source: &str) -> String {
        self.render_with(&Renderer::styled(), file, source)
    }

    fn render_with(&self, renderer: &Renderer, file: &str, source: &str) -> String {
        let code = self.code.to_string();
        let title = Level::ERROR.primary_title(self.message.as_str()).id(code.as_str());
        let mut group = title.element(excerpt(AnnotationKind::Primary, self.span, &self.label, file, source));
        if let Some(second) = &self.second {
            group = group.element(excerpt(AnnotationKind::Context, second.span, &second.label, file, source));
        }
        renderer.render(&[group.element(Level::HELP.message(self.help.as_str()))])
    }
}

/// The lines that `span` covers, with it marked.
fn excerpt<'t>(
    kind: AnnotationKind,
    span: Span,
    label: &'t str,
    file: &'t str,
    source: &'t str,
) -> Snippet<'t, Annotation<'t>> {
    let place = boundaries(span, source);
    let start = source[..place.start].rfind('\n').map_or(0, |end| end + 1);
    let end = source[place.end..].find('\n').map_or(source.len(), |length| place.end + length);
    // A byte-order mark belongs to no line.
    let mark =
        source[start..place.start].len() - source[start..place.start].trim_start_matches('\u{feff}').len();
    let from = start + mark;
    let caret = kind.span(place.start - from..place.end - from).label(label);
    Snippet::source(&source[from..end]).line_start(span.line as usize).path(file).annotation(caret)
}

/// All of `diagnostics` in the order of their places, with an empty line between two.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], file: &str, source: &str) -> String {
    render_all_by(diagnostics, |one| one.render(file, source))
}

/// The same as it is shown on a terminal.
#[must_use]
pub fn render_all_coloured(diagnostics: &[Diagnostic], file: &str, source: &str) -> String {
    render_all_by(diagnostics, |one| one.render_coloured(file, source))
}

fn render_all_by(diagnostics: &[Diagnostic], render: impl Fn(&Diagnostic) -> String) -> String {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.span);
    let mut shown: Vec<_> = sorted.iter().take(MOST_SHOWN).map(|one| render(one)).collect();
    if let more @ 1.. = sorted.len().saturating_sub(MOST_SHOWN) {
        shown.push(format!("and {more} more errors"));
    }
    shown.join("\n\n")
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
