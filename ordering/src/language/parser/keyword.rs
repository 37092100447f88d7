//! The words that a line at the left margin may begin with.
//!
//! Invariant: this table is the only list of them; a word that also begins a step is one inside of a program.

use steps::table::{find, find_operation};

use super::super::line::Line;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Keyword {
    Scenario,
    /// For which values of its parameters it is checked.
    Sweep,
    /// Lines for each value of an index.
    For,
    Like,
    About,
    Source,
    Declares(Declared),
    Option,
    Race,
    Trace,
    Agent,
    Asks(Asked),
    Expect,
    Unreached,
    Edits(Edited),
    /// No line, but a step that beginners put there.
    Lock,
}

/// What a line declares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Declared {
    Page,
    Mm,
    Tag,
    Pasid,
    Context,
    Frame,
    Swap,
    Table,
    Pmd,
    Shadow,
    Map,
    Refs,
    Cpu,
    Vcpu,
    Device,
    Var,
}

/// What a property asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Asked {
    Never,
    Always,
    Finally,
}

/// What a variant does to rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Edited {
    Replace,
    Drop,
    Move,
}

/// All of them.
const KEYWORDS: &[(&str, Keyword)] = &[
    ("scenario", Keyword::Scenario),
    ("sweep", Keyword::Sweep),
    ("for", Keyword::For),
    ("like", Keyword::Like),
    ("about", Keyword::About),
    ("source", Keyword::Source),
    ("page", Keyword::Declares(Declared::Page)),
    ("mm", Keyword::Declares(Declared::Mm)),
    ("tag", Keyword::Declares(Declared::Tag)),
    ("pasid", Keyword::Declares(Declared::Pasid)),
    ("context", Keyword::Declares(Declared::Context)),
    ("frame", Keyword::Declares(Declared::Frame)),
    ("swap", Keyword::Declares(Declared::Swap)),
    ("table", Keyword::Declares(Declared::Table)),
    ("pmd", Keyword::Declares(Declared::Pmd)),
    ("shadow", Keyword::Declares(Declared::Shadow)),
    ("map", Keyword::Declares(Declared::Map)),
    ("refs", Keyword::Declares(Declared::Refs)),
    ("cpu", Keyword::Declares(Declared::Cpu)),
    ("vcpu", Keyword::Declares(Declared::Vcpu)),
    ("device", Keyword::Declares(Declared::Device)),
    ("var", Keyword::Declares(Declared::Var)),
    ("option", Keyword::Option),
    ("race", Keyword::Race),
    ("trace", Keyword::Trace),
    ("agent", Keyword::Agent),
    ("never", Keyword::Asks(Asked::Never)),
    ("always", Keyword::Asks(Asked::Always)),
    ("finally", Keyword::Asks(Asked::Finally)),
    ("expect", Keyword::Expect),
    ("unreached", Keyword::Unreached),
    ("replace", Keyword::Edits(Edited::Replace)),
    ("drop", Keyword::Edits(Edited::Drop)),
    ("move", Keyword::Edits(Edited::Move)),
    ("lock", Keyword::Lock),
];

impl Keyword {
    /// The keyword that is written so.
    pub(in super::super) fn named(word: &str) -> Option<Self> {
        KEYWORDS.iter().find(|(known, _)| *known == word).map(|(_, keyword)| *keyword)
    }

    /// The words of all.
    pub(in super::super) fn words() -> Vec<&'static str> {
        KEYWORDS.iter().map(|(word, _)| *word).collect()
    }

    /// Whether a scenario has one such line, whatever its parameters are.
    pub(super) const fn stands_once(self) -> bool {
        match self {
            Self::Scenario
            | Self::Sweep
            | Self::Like
            | Self::About
            | Self::Source
            | Self::Trace
            | Self::Expect => true,
            Self::For
            | Self::Declares(_)
            | Self::Option
            | Self::Race
            | Self::Agent
            | Self::Asks(_)
            | Self::Unreached
            | Self::Edits(_)
            | Self::Lock => false,
        }
    }

    /// Whether a line ends a table of so many columns: it begins like a line, and cannot be a row.
    pub(super) fn ends_a_table(line: &Line<'_>, columns: usize) -> bool {
        let may_be_a_row =
            line.indent() > 0 || line.cells().len() > 1 || (columns == 1 && is_statement(line));
        !may_be_a_row && Self::named(line.first_word()).is_some_and(|keyword| keyword != Self::Lock)
    }
}

impl Declared {
    /// How it is written.
    pub(super) const fn form(self) -> &'static str {
        match self {
            Self::Page => "page A in P at B under M, C",
            Self::Mm => "mm P, C",
            Self::Tag => "tag X, Y",
            Self::Pasid => "pasid X -> P",
            Self::Context => "context E -> P",
            Self::Frame => "frame old = 0, new = 0 free",
            Self::Swap => "swap s0 = 0",
            Self::Table => "table T, U free",
            Self::Pmd => "pmd M -> T",
            Self::Shadow => "shadow M -> S",
            Self::Map => "map A -> old ro",
            Self::Refs => "refs old = 2",
            Self::Cpu => "cpu CPU0, CPU1",
            Self::Vcpu => "vcpu V0",
            Self::Device => "device IOMMU ats",
            Self::Var => "var pending = 0..3",
        }
    }
}

impl Edited {
    /// How it is written.
    pub(super) const fn form(self) -> &'static str {
        match self {
            Self::Replace => "replace CPU.4 to 7",
            Self::Drop => "drop CPU.7",
            Self::Move => "move CPU.7 before 4",
        }
    }
}

/// Whether a line begins as a statement does: with a step, with a label, or with what is assigned to.
fn is_statement(line: &Line<'_>) -> bool {
    let (word, rest) = (line.first_word(), line.rest().text);
    let assigns = ["+=", "-="].iter().any(|sign| rest.starts_with(sign))
        || (rest.starts_with('=') && !rest.starts_with("=="));
    word == "for" || find(word).is_some() || find_operation(word).is_some() || rest == ":" || assigns
}
