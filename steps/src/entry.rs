//! Page-table entries: their kinds and their bits.
//!
//! Invariant: what is printed is read again as the same. The words are the kernel's: asm/pgtable.h for the bits,
//! include/linux/swapops.h for entries that are not present.

use std::fmt;

/// A bit of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bit {
    /// Stores are allowed.
    Write,
    /// Something was stored.
    Dirty,
    /// Somebody walked here.
    Young,
    /// The page is this address space's alone.
    Exclusive,
    /// userfaultfd wants to know of stores.
    UffdWp,
    /// Maps a frame, and hardware may not use it.
    ProtNone,
    /// Of a frame that is not counted.
    Special,
    /// One of a block of entries that hardware may read as one.
    Cont,
    /// An upper entry that maps a frame itself.
    Huge,
}

/// A set of bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Bits(u16);

/// Bits that are said to be there, and bits that are said not to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Change {
    /// Those that are there.
    pub set: Bits,
    /// Those that are not.
    pub clear: Bits,
}

/// Kinds of entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Nothing.
    None,
    /// Nothing, but for the mark of userfaultfd.
    Marker,
    /// A page that lies in a swap slot.
    Swap,
    /// An upper entry that names a page-table page.
    Table,
    /// A frame that is being migrated.
    Migration,
    /// A frame.
    Present,
}

/// What can be asked of an entry with `has`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Feature {
    /// A bit.
    Bit(Bit),
    /// A kind; `present` is what hardware can use.
    Kind(Kind),
}

impl Bit {
    /// All bits, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Write,
        Self::Dirty,
        Self::Young,
        Self::Exclusive,
        Self::UffdWp,
        Self::ProtNone,
        Self::Special,
        Self::Cont,
        Self::Huge,
    ];

    /// The word it is written with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "rw",
            Self::Dirty => "dirty",
            Self::Young => "young",
            Self::Exclusive => "exclusive",
            Self::UffdWp => "uffd_wp",
            Self::ProtNone => "protnone",
            Self::Special => "special",
            Self::Cont => "cont",
            Self::Huge => "huge",
        }
    }

    /// The bit that is written with `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bit| bit.name() == word)
    }
}

impl Bits {
    /// No bit.
    pub const NONE: Self = Self(0);

    /// These bits.
    #[must_use]
    pub fn of(bits: &[Bit]) -> Self {
        bits.iter().fold(Self::NONE, |set, bit| set.with(*bit))
    }

    /// With that bit too.
    #[must_use]
    pub const fn with(self, bit: Bit) -> Self {
        Self(self.0 | 1 << bit as u8)
    }

    /// Whether the bit is one of them.
    #[must_use]
    pub const fn has(self, bit: Bit) -> bool {
        self.0 & 1 << bit as u8 != 0
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its bits, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Bit> {
        Bit::ALL.into_iter().filter(move |bit| self.has(*bit))
    }
}

impl Change {
    /// These bits, once changed.
    #[must_use]
    pub const fn of(self, bits: Bits) -> Bits {
        bits.without(self.clear).or(self.set)
    }

    /// Says of one bit more that it is there, or that it is not; what was said of it before does not count.
    #[must_use]
    pub const fn say(self, bit: Bit, is_there: bool) -> Self {
        let one = Bits::NONE.with(bit);
        let (set, clear) = (self.set.without(one), self.clear.without(one));
        if is_there { Self { set: set.or(one), clear } } else { Self { set, clear: clear.or(one) } }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Every bit of which something is said.
    #[must_use]
    pub const fn said(self) -> Bits {
        self.set.or(self.clear)
    }
}

impl Kind {
    /// The kinds that `has` can ask for.
    pub const ASKED: [Self; 5] = [Self::Present, Self::Swap, Self::Migration, Self::Marker, Self::Table];

    /// The word it is written with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Marker => "marker",
            Self::Swap => "swap",
            Self::Table => "table",
            Self::Migration => "migration",
            Self::Present => "present",
        }
    }

    /// The bits that such an entry has room for.
    #[must_use]
    pub fn bits(self) -> Bits {
        let kept = Bits::of(&[Bit::Exclusive, Bit::UffdWp]);
        match self {
            Self::None | Self::Table => Bits::NONE,
            Self::Marker => Bits::of(&[Bit::UffdWp]),
            Self::Swap => kept,
            Self::Migration => kept.or(Bits::of(&[Bit::Write, Bit::Dirty, Bit::Young, Bit::Huge])),
            Self::Present => Bits::of(&Bit::ALL),
        }
    }
}

impl Feature {
    /// The feature that is written with `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let kind = || Kind::ASKED.into_iter().find(|kind| kind.name() == word).map(Self::Kind);
        Bit::named(word).map(Self::Bit).or_else(kind)
    }

    /// Every word that `has` knows.
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        Bit::ALL.into_iter().map(Bit::name).chain(Kind::ASKED.into_iter().map(Kind::name)).collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for bit in self.said().iter() {
            match (bit, self.set.has(bit)) {
                (bit, true) => write!(f, "{blank}{}", bit.name())?,
                (Bit::Write, false) => write!(f, "{blank}ro")?,
                (bit, false) => write!(f, "{blank}-{}", bit.name())?,
            }
            blank = " ";
        }
        Ok(())
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bit(bit) => bit.name(),
            Self::Kind(kind) => kind.name(),
        })
    }
}
