//! Entries: as text of the scenario language, and as numbers of Promela.
//!
//! Invariant: the low four bits of a number are the thing that the entry names (0: nothing), counted over frames, swap
//! slots and tables in this order; the others are bits. Source: docs/language.md, "Entries".

use std::fmt;

/// A bit of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bit {
    Rw,
    Dirty,
    Young,
    Exclusive,
    UffdWp,
    Protnone,
    Special,
    Huge,
}

/// Behind `migration`: the page is on its way.
pub(super) const MIGRATION: u16 = 128;
/// The thing that `marker` names.
pub(super) const MARKER: u16 = 15;

impl Bit {
    pub(super) const fn mask(self) -> u16 {
        match self {
            Self::Rw => 16,
            Self::Dirty => 32,
            Self::Young => 64,
            Self::Protnone => 256,
            Self::UffdWp => 512,
            Self::Exclusive => 1024,
            Self::Special => 2048,
            Self::Huge => 4096,
        }
    }
}

impl fmt::Display for Bit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rw => "rw",
            Self::Dirty => "dirty",
            Self::Young => "young",
            Self::Exclusive => "exclusive",
            Self::UffdWp => "uffd_wp",
            Self::Protnone => "protnone",
            Self::Special => "special",
            Self::Huge => "huge",
        })
    }
}

/// What an entry names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Nothing,
    Marker,
    Frame(usize),
    Slot(usize),
    Table(usize),
    Handle(usize),
    Orig,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Marker => f.write_str("marker"),
            Self::Frame(number) => write!(f, "f{number}"),
            Self::Slot(number) => write!(f, "s{number}"),
            Self::Table(number) => write!(f, "T{number}"),
            Self::Handle(number) => write!(f, "h{number}"),
            Self::Orig => f.write_str("orig"),
        }
    }
}

/// An entry as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) migration: bool,
    pub(super) target: Target,
    pub(super) like_orig: bool,
    /// A bit, and whether it is set.
    pub(super) bits: Vec<(Bit, bool)>,
}

impl Entry {
    pub(super) const fn of(target: Target) -> Self {
        Self { migration: false, target, like_orig: false, bits: Vec::new() }
    }

    pub(super) fn with(mut self, bit: Bit, set: bool) -> Self {
        self.bits.push((bit, set));
        self
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.migration {
            f.write_str("migration ")?;
        }
        write!(f, "{}", self.target)?;
        if self.like_orig {
            f.write_str(" like orig")?;
        }
        for (bit, set) in &self.bits {
            match (bit, set) {
                (Bit::Rw, false) => f.write_str(" ro")?,
                (_, true) => write!(f, " {bit}")?,
                (_, false) => write!(f, " -{bit}")?,
            }
        }
        Ok(())
    }
}

/// How many things there are, so that an entry's number can be told from another kind's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Things {
    pub(super) frames: usize,
    pub(super) slots: usize,
    pub(super) tables: usize,
}

impl Things {
    pub(super) fn frame(number: usize) -> u16 {
        u16::try_from(number + 1).expect("few frames")
    }

    /// The number of what `target` names; `orig` and handles are known at run time only.
    pub(super) fn number(self, target: Target) -> Option<u16> {
        let after = |before: usize, number: usize| u16::try_from(before + number + 1).expect("few things");
        match target {
            Target::Nothing => Some(0),
            Target::Marker => Some(MARKER),
            Target::Frame(number) => Some(after(0, number)),
            Target::Slot(number) => Some(after(self.frames, number)),
            Target::Table(number) => Some(after(self.frames + self.slots, number)),
            Target::Handle(_) | Target::Orig => None,
        }
    }

    /// Whether the entry names a frame, present or not.
    pub(super) fn maps_frame(self, entry: &str) -> String {
        format!("((({entry}) & 15) >= 1 && (({entry}) & 15) <= {})", self.frames)
    }

    /// Whether hardware can use it.
    pub(super) fn present(self, entry: &str) -> String {
        let away = MIGRATION | Bit::Protnone.mask();
        format!("({} && (({entry}) & {away}) == 0)", self.maps_frame(entry))
    }

    pub(super) fn is_slot(self, entry: &str) -> String {
        let (low, high) = (self.frames + 1, self.frames + self.slots);
        format!("((({entry}) & 15) >= {low} && (({entry}) & 15) <= {high})")
    }

    pub(super) fn is_table(self, entry: &str) -> String {
        let (low, high) = (self.frames + self.slots + 1, self.frames + self.slots + self.tables);
        format!("((({entry}) & 15) >= {low} && (({entry}) & 15) <= {high})")
    }

    /// What becomes of an entry for which there is no room for all of its bits.
    pub(super) fn normal(self, entry: &str) -> String {
        let swap = Bit::Exclusive.mask() | Bit::UffdWp.mask() | 15;
        let moving =
            swap | Bit::Rw.mask() | Bit::Dirty.mask() | Bit::Young.mask() | Bit::Huge.mask() | MIGRATION;
        let marker = Bit::UffdWp.mask();
        let table = self.is_table(entry);
        let slot = self.is_slot(entry);
        let frame = self.maps_frame(entry);
        format!(
            "({frame} -> ((({entry}) & {MIGRATION}) -> (({entry}) & {moving}) : ({entry})) : ({slot} -> \
             (({entry}) & {swap}) : ({table} -> (({entry}) & 15) : (((({entry}) & 15) == {MARKER} && \
             (({entry}) & {marker})) -> {} : 0))))",
            MARKER | marker
        )
    }

    /// The number of an entry that is written; `orig` and `handle` are the expressions of what the agent remembers.
    pub(super) fn expression(self, entry: &Entry, orig: &str, handle: &dyn Fn(usize) -> String) -> String {
        let mut set = 0;
        let mut clear = 0;
        for (bit, on) in &entry.bits {
            if *on { set |= bit.mask() } else { clear |= bit.mask() }
        }
        let base = match entry.target {
            Target::Orig => format!("({orig})"),
            Target::Handle(number) => handle(number),
            Target::Marker => (MARKER | Bit::UffdWp.mask()).to_string(),
            Target::Nothing | Target::Frame(_) | Target::Slot(_) | Target::Table(_) => {
                self.number(entry.target).expect("it is known").to_string()
            }
        };
        let like = if entry.like_orig { format!("({base} | (({orig}) & 32624))") } else { base };
        let moved = match (entry.migration, entry.target) {
            (false, _) => like,
            (true, _) => format!("({} -> ({like} | {MIGRATION}) : {like})", self.maps_frame(&like)),
        };
        self.normal(&format!("(({moved} & {}) | {set})", !clear & 0x7fff))
    }
}
