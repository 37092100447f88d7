//! An address space of a device: its domain, its process if it has one, its page tables.
//!
//! Invariant: a change is an entry that was written and a [`Change`] that says which translations rest on it; nothing is
//! invalidated here.

use crate::descriptor::Hint;
use crate::entry::{DeviceTlb, Levels, Stage, Translation};
use crate::id::{Domain, Iova, Pasid, Source};
use crate::memory::{Frame, LARGE_BYTES, LARGE_PAGES_LOG2, Memory};
use crate::tables::Tables;

/// Which tables a space has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A second stage.
    Second(Levels),
    /// A first stage.
    First(Levels),
    /// A first stage of four levels, whose addresses pass through a second stage of four levels.
    Nested,
}

/// What a nested space's first stage leads to: second-stage addresses from here on. Below, the second stage maps memory as it
/// lies, in large pages, for the first stage's own tables.
const INNER: u64 = 0x40_0000_0000;
/// For pages that it was led to later.
const ANEW: u64 = 2 * INNER;

/// The space of one function.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Which function it belongs to.
    pub source: Source,
    /// Whether that one keeps translations itself.
    pub device_tlb: DeviceTlb,
    /// What its translations are tagged with.
    pub domain: Domain,
    /// The process of its requests.
    pub pasid: Option<Pasid>,
    first: Option<Tables>,
    second: Option<Tables>,
}

/// Whose entry changed, as invalidations distinguish it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// A second stage's that stands alone.
    SecondStage,
    /// A first stage's.
    FirstStage,
    /// A second stage's below a first one: which of the first stage's addresses lead there nobody knows.
    BelowFirstStage,
}

/// An entry that was changed, and whose translations rest on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The function.
    pub source: Source,
    /// Whether it keeps translations itself.
    pub device_tlb: DeviceTlb,
    /// Their domain.
    pub domain: Domain,
    /// The process of the requests.
    pub pasid: Option<Pasid>,
    /// The page, as the device names it, or the first of several.
    pub at: Iova,
    /// How many, as a power of two: those within the multiple of that many.
    pub pages_log2: u32,
    /// Of which stage its entry is.
    pub entry: Changed,
    /// Whether it was a leaf.
    pub hint: Hint,
}

impl Space {
    /// One in which nothing is mapped.
    pub fn new(
        memory: &mut Memory,
        kind: Kind,
        source: Source,
        domain: Domain,
        pasid: Option<Pasid>,
    ) -> Self {
        let second = match kind {
            Kind::Second(levels) => Some(Tables::new(memory, Stage::Second, levels)),
            Kind::First(_) => None,
            Kind::Nested => Some(below_first_stage(memory)),
        };
        let first = match kind {
            Kind::Second(_) => None,
            Kind::First(levels) => Some(Tables::new(memory, Stage::First, levels)),
            Kind::Nested => Some(Tables::new(memory, Stage::First, Levels::Four)),
        };
        Self { source, device_tlb: DeviceTlb::Off, domain, pasid, first, second }
    }

    /// Another space of the same domain, and so with the same second stage, in which nothing is mapped.
    pub fn sibling(&self, memory: &mut Memory, pasid: Option<Pasid>) -> Self {
        let first = self.first.map(|first| Tables::new(memory, Stage::First, first.levels()));
        Self { pasid, first, ..*self }
    }

    /// A space of another domain, like this one, which has a second stage alone; nothing is mapped in it.
    pub fn successor(&self, memory: &mut Memory, domain: Domain) -> Self {
        let second = self.second.map(|second| Tables::new(memory, Stage::Second, second.levels()));
        Self { domain, second, ..*self }
    }

    /// The same space, of a function that keeps translations itself or does not.
    #[must_use]
    pub const fn with(self, device_tlb: DeviceTlb) -> Self {
        Self { device_tlb, ..self }
    }

    /// What its PASID entry says.
    #[must_use]
    pub const fn translation(&self) -> Translation {
        match (self.first, self.second) {
            (Some(first), Some(second)) => {
                Translation::Nested { first: place(&first), second: place(&second) }
            }
            (Some(first), None) => Translation::First(first.root().address(), first.levels()),
            (None, Some(second)) => Translation::Second(second.root().address(), second.levels()),
            (None, None) => Translation::PassThrough,
        }
    }

    /// The tables that the device's addresses meet first.
    ///
    /// # Panics
    /// There always are some.
    #[must_use]
    pub fn outer(&self) -> Tables {
        self.first.or(self.second).expect("a space has tables")
    }

    /// Maps a page.
    pub fn map(&self, memory: &mut Memory, at: Iova, frame: Frame) {
        match self.inner() {
            Some(inner) => {
                let between = Iova(INNER + at.0);
                inner.map(memory, between, frame.address());
                self.outer().map(memory, at, between.0);
            }
            None => self.outer().map(memory, at, frame.address()),
        }
    }

    /// Lets a page that is mapped lead to `frame`, by a leaf of the stage that the device's addresses meet first.
    pub fn remap(&self, memory: &mut Memory, at: Iova, frame: Frame) -> Change {
        let address = self.anew(memory, at, frame);
        self.outer().map(memory, at, address);
        self.change(at, Hint::LeavesOnly)
    }

    /// The same, by an entry above the leaf: the table is replaced, and the old one says what it said.
    pub fn replace_table(&self, memory: &mut Memory, at: Iova, frame: Frame) -> Change {
        let address = self.anew(memory, at, frame);
        self.outer().replace_table(memory, at, address);
        self.change(at, Hint::EveryLevel)
    }

    /// The same, by a leaf of the last stage.
    pub fn remap_below(&self, memory: &mut Memory, at: Iova, frame: Frame) -> Change {
        let Some(inner) = self.inner() else { return self.remap(memory, at, frame) };
        inner.map(memory, Iova(INNER + at.0), frame.address());
        Change { entry: Changed::BelowFirstStage, ..self.change(at, Hint::LeavesOnly) }
    }

    /// Lets 2 MiB that are mapped lead to `frame`. Below a first stage, memory is reached as it lies.
    pub fn remap_large(&self, memory: &mut Memory, at: Iova, frame: Frame) -> Change {
        self.outer().map_large(memory, at, frame.address());
        self.change(at, Hint::LeavesOnly)
    }

    /// Lets `pages` from `at` on lead nowhere, which are in the middle of 2 MiB that are mapped as one. The other pages stay,
    /// each with an entry of its own.
    pub fn unmap_middle(&self, memory: &mut Memory, at: Iova, pages: u64) -> Change {
        self.outer().split_large(memory, at, pages);
        Change { pages_log2: LARGE_PAGES_LOG2, ..self.change(at, Hint::EveryLevel) }
    }

    /// Lets 2 MiB lead nowhere.
    pub fn unmap_large(&self, memory: &mut Memory, at: Iova) -> Change {
        self.outer().unmap_large(memory, at);
        Change { pages_log2: LARGE_PAGES_LOG2, ..self.change(at, Hint::EveryLevel) }
    }

    /// Whether its translations belong to a process, and not to the domain alone.
    #[must_use]
    pub const fn is_of_process(&self) -> bool {
        self.first.is_some()
    }

    /// Lets a page lead nowhere.
    pub fn unmap(&self, memory: &mut Memory, at: Iova) -> Change {
        self.outer().unmap(memory, at);
        self.change(at, Hint::LeavesOnly)
    }

    /// What an entry of the first stage that is met says to lead to `frame`; below, a page is mapped anew if need be.
    fn anew(&self, memory: &mut Memory, at: Iova, frame: Frame) -> u64 {
        let Some(inner) = self.inner() else { return frame.address() };
        inner.map(memory, Iova(ANEW + at.0), frame.address());
        ANEW + at.0
    }

    const fn change(&self, at: Iova, hint: Hint) -> Change {
        let Self { source, device_tlb, domain, pasid, first, .. } = *self;
        let entry = if first.is_some() { Changed::FirstStage } else { Changed::SecondStage };
        Change { source, device_tlb, domain, pasid, at, pages_log2: 0, entry, hint }
    }

    /// The second stage below a first one.
    fn inner(&self) -> Option<Tables> {
        self.second.filter(|_| self.first.is_some())
    }
}

const fn place(tables: &Tables) -> (u64, Levels) {
    (tables.root().address(), tables.levels())
}

fn below_first_stage(memory: &mut Memory) -> Tables {
    let tables = Tables::new(memory, Stage::Second, Levels::Four);
    for address in (0..memory.end()).step_by(usize::try_from(LARGE_BYTES).unwrap_or(usize::MAX)) {
        tables.map_large(memory, Iova(address), address);
    }
    tables
}
