//! What each row of a run does, so that a machine can do the same: the step with its places as numbers, and which part of it.
//!
//! Invariant: a deed says what is done, and nothing of what comes of it, except what a read returned: guards and changes
//! stay the model's, and a machine has its own. Every way of every program has a deed for each step that it takes.

use std::fmt;

use steps::{Names as Places, Renaming, Step};

use crate::language::entry::{Base, Written};
use crate::language::span::{Name, Spanned};
use crate::language::syntax::{self, Words};

use super::names::{FrameId, MmId, Names, PageId, PasidId, PmdId, UserId};
use super::state::AgentId;

/// What steps name once all names are resolved: indices into the [`Scene`](super::Scene).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Numbers;

/// A frame, by itself or through what an agent holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FramePlace {
    /// That frame.
    Frame(FrameId),
    /// The one behind a handle of the agent.
    Handle(String),
}

/// What an entry is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nothing.
    None,
    /// A marker.
    Marker,
    /// The entry that the agent remembers.
    Remembered,
    /// A frame, a swap slot or a page-table page.
    Frame(FramePlace),
}

/// An entry as it is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEntry {
    /// What it is made from.
    pub origin: Origin,
    /// Whether it stands for its frame while that is migrated.
    pub migration: bool,
    /// Whether the bits are those of the remembered entry.
    pub like_remembered: bool,
    /// The bits that are said.
    pub change: steps::entry::Change,
}

/// An address space, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MmOrNone(pub Option<MmId>);

impl Places for Numbers {
    type Page = PageId;
    type Frame = FramePlace;
    type Pmd = PmdId;
    type Mm = MmId;
    type MmOrNone = MmOrNone;
    type Pasid = PasidId;
    type User = UserId;
    type Lock = String;
    type Handle = String;
    type Label = String;
    type Entry = NewEntry;
    type Value = u32;
}

/// What is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// A step.
    Step(Box<Step<Numbers>>),
    /// A user variable is changed.
    Assign(Assigned),
    /// Something is looked at.
    Decide,
    /// Hardware acts by itself.
    Hardware,
}

/// A change of a user variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assigned {
    /// Its index in the scene.
    pub variable: usize,
    /// What it becomes.
    pub to: Sum,
    /// Whether it is read and written in one locked instruction.
    pub locked: bool,
}

/// What a variable becomes: the value of one, or of none, and a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// The index of the variable.
    pub of: Option<usize>,
    /// Added to it.
    pub plus: i64,
}

/// How a hop of a walk comes about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hop {
    /// The entry is read, into the cache or, if walks are split, into what is on its way there.
    Read,
    /// The upper entry is read, which maps a frame itself: it is the entry.
    Huge,
    /// What is on its way is put into the cache.
    Fill,
    /// The upper entry is read into the paging-structure cache.
    Upper,
    /// The PASID's entry is read into the PASID cache.
    Pasid,
    /// What led to an entry that cannot be used is forgotten.
    Fault,
    /// Of the PASID's entry, the half with the present bit is read before the other.
    PasidLow,
    /// The other one is.
    PasidHigh,
    /// The half that is left is read; both are of one entry, which is in the PASID cache now.
    PasidRest,
    /// They are of two, or the high one names nothing.
    PasidTorn,
    /// The present bit is not there any more: what was read of the entry is forgotten.
    PasidAbsent,
}

/// Which cache a hop leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// The first: a TLB, an IOTLB, the shadow page table.
    First,
    /// The device's own TLB, from the IOTLB.
    Device,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// A CPU.
    Cpu(UserId),
    /// The CPU of an agent that runs on none with a name.
    CpuOf(AgentId),
    /// A reader.
    Reader(AgentId),
}

/// What is found where a reference is taken without a lock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Found {
    /// What leads on: a page-table page, an entry that can be used, a frame that is held.
    Next,
    /// An upper entry that maps a frame itself.
    Huge,
    /// Nothing that leads anywhere.
    Nothing,
}

/// Which part of a step is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// All of it, and this is read.
    Returns(u32),
    /// It comes to nothing: the lock is held, the handle is empty, the request is refused.
    Nothing,
    /// A hop of a walk to that page.
    Walk(UserId, PageId, Target, Hop),
    /// The entry is made dirty before it is stored through.
    Dirty(UserId, PageId),
    /// That fails: the entry is another by now.
    NotDirty(UserId, PageId),
    /// The CPU's TLB is flushed, as one of several.
    Flush(UserId),
    /// All who must answer are asked: the list with that number.
    Send(u32),
    /// One answers; whether he is the last.
    Answer(Party, bool),
    /// A reference is taken without a lock: the upper entry is read,
    ReadPmd(Found),
    /// the entry is read,
    ReadPte(Found),
    /// the frame is taken,
    Get(Found),
    /// both are looked at again,
    Again,
    /// and the frame is dropped, as they have changed.
    Drop,
    /// A device's access is translated, and has not landed.
    Translated,
    /// A request for a page is answered.
    Answered,
    /// A wait for all is put into the queue.
    Sent,
    /// What was posted with that number, from 0, is done: it stands at that place of the queue, from 0.
    Perform(u32, u32),
    /// It is given up, as a device does not answer.
    TimesOut(u32, u32),
    /// The oldest store of that agent reaches memory.
    ReachesMemory(u32),
}

/// A part of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deed<'a> {
    /// What is done.
    pub act: &'a Act,
    /// Which part of it.
    pub part: Part,
    /// Whether it is one of several that are taken as one: nothing of it waits in a store buffer.
    pub indivisible: bool,
}

/// Number of an [`Act`] of an agent.
pub(super) type ActId = u32;

/// By instruction, by alternative, what is done one after the other.
pub(super) type Rows = Vec<Vec<Vec<(ActId, Part)>>>;

/// What the rows of one agent do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deeds {
    pub(super) acts: Vec<(Act, bool)>,
    pub(super) rows: Rows,
    /// Those who are asked at once.
    pub(super) asked: Vec<Vec<Party>>,
}

impl Deeds {
    /// What an alternative of an instruction does, one after the other.
    pub fn of(&self, pc: usize, alternative: usize) -> impl Iterator<Item = Deed<'_>> {
        self.rows[pc][alternative].iter().map(|(act, part)| {
            let (act, indivisible) = &self.acts[*act as usize];
            Deed { act, part: *part, indivisible: *indivisible }
        })
    }

    /// Everything that is done, in no order.
    pub fn acts(&self) -> impl Iterator<Item = &Act> {
        self.acts.iter().map(|(act, _)| act)
    }

    /// Those who are asked at once, by the number of a [`Part::Send`].
    #[must_use]
    pub fn asked(&self) -> &[Vec<Party>] {
        &self.asked
    }
}

/// Names to numbers. What is not declared was reported when the step was lowered.
pub(super) struct Numbering<'n>(pub(super) &'n Names);

const DECLARED: &str = "a step that was lowered names only what is declared";

impl Numbering<'_> {
    fn place(&self, name: &Name) -> FramePlace {
        // A name that is no frame is a handle: nothing else is lowered.
        self.0.frame(name).map_or_else(|_| FramePlace::Handle(name.node.clone()), FramePlace::Frame)
    }
}

impl Renaming<Words, Numbers> for Numbering<'_> {
    fn page(&self, page: &Name) -> PageId {
        self.0.page(page).expect(DECLARED)
    }

    fn frame(&self, frame: &Name) -> FramePlace {
        self.place(frame)
    }

    fn pmd(&self, pmd: &Name) -> PmdId {
        self.0.pmd(pmd).expect(DECLARED)
    }

    fn mm(&self, mm: &Name) -> MmId {
        self.0.mm(mm).expect(DECLARED)
    }

    fn mm_or_none(&self, mm: &Name) -> MmOrNone {
        MmOrNone((mm.node != "none").then(|| self.mm(mm)))
    }

    fn pasid(&self, pasid: &Name) -> PasidId {
        self.0.pasid(pasid).expect(DECLARED)
    }

    fn user(&self, user: &Name) -> UserId {
        self.0.user(user).expect(DECLARED)
    }

    fn lock(&self, lock: &syntax::Lock) -> String {
        lock.text()
    }

    fn handle(&self, handle: &Name) -> String {
        handle.node.clone()
    }

    fn label(&self, label: &Name) -> String {
        label.node.clone()
    }

    fn entry(&self, written: &Written) -> NewEntry {
        let origin = match &written.base {
            Base::None => Origin::None,
            Base::Marker => Origin::Marker,
            Base::Orig => Origin::Remembered,
            Base::Name(name) => Origin::Frame(self.place(name)),
        };
        let Written { migration, like_orig, change, .. } = *written;
        NewEntry { origin, migration, like_remembered: like_orig, change }
    }

    fn value(&self, value: &Spanned<u32>) -> u32 {
        value.node
    }
}

macro_rules! shown_as_number {
    ($($name:ty: $what:literal),*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($what, " {}"), self.0)
            }
        })*
    };
}

shown_as_number!(PageId: "page", FrameId: "frame", PmdId: "pmd", UserId: "user", MmId: "mm", PasidId: "pasid");

impl fmt::Display for MmOrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(mm) => mm.fmt(f),
        }
    }
}

impl fmt::Display for FramePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => frame.fmt(f),
            Self::Handle(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.migration { "migration " } else { "" })?;
        match &self.origin {
            Origin::None => f.write_str("none")?,
            Origin::Marker => f.write_str("marker")?,
            Origin::Remembered => f.write_str("orig")?,
            Origin::Frame(frame) => frame.fmt(f)?,
        }
        f.write_str(if self.like_remembered { " like orig" } else { "" })?;
        if self.change.is_empty() { Ok(()) } else { write!(f, " {}", self.change) }
    }
}
