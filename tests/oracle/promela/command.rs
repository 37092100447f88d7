//! A command: who takes a step, from where to where, when it can, and what it does.
//!
//! Invariant: guards look at the state before the step; what breaks and what an event sees is computed before the
//! effects that stand behind it.

/// What a step reads or writes.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub(super) is_write: bool,
    /// An expression: through which page, counted from 1, if through one.
    pub(super) page: Option<String>,
    /// An expression: the number of the frame.
    pub(super) frame: String,
    /// An expression: what is read or written.
    pub(super) value: String,
    /// An expression: whether it happens at all.
    pub(super) happens: String,
}

/// A line of a command, in the order in which they are done.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// A step of several that are taken as one begins.
    Begin,
    Effect(String),
    /// The step as it is written, and an expression: whether it happens at all.
    Named(String, String),
    Touch(Touch),
}

/// A guarded command.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    /// None: the hardware.
    pub(super) agent: Option<usize>,
    pub(super) from: Vec<usize>,
    /// Where the agent is behind it; None: where it was.
    pub(super) to: Option<usize>,
    pub(super) guards: Vec<String>,
    pub(super) lines: Vec<Line>,
}

impl Command {
    pub(super) fn when(mut self, guard: &str) -> Self {
        self.guards.push(format!("({guard})"));
        self
    }

    pub(super) fn begin(mut self) -> Self {
        self.lines.push(Line::Begin);
        self
    }

    pub(super) fn effect(mut self, line: &str) -> Self {
        self.lines.push(Line::Effect(line.to_owned()));
        self
    }

    pub(super) fn effects(self, lines: &[String]) -> Self {
        lines.iter().fold(self, |command, line| command.effect(line))
    }

    /// Breaks a built-in property if this holds.
    pub(super) fn bad(self, condition: &str) -> Self {
        self.effect(&format!("bad = (bad || ({condition}))"))
    }

    pub(super) fn named(self, text: &str) -> Self {
        self.named_if(text, "true")
    }

    pub(super) fn named_if(mut self, text: &str, happens: &str) -> Self {
        self.lines.push(Line::Named(text.to_owned(), happens.to_owned()));
        self
    }

    pub(super) fn touch(mut self, touch: Touch) -> Self {
        self.lines.push(Line::Touch(touch));
        self
    }
}
