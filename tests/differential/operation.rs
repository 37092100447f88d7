//! What an operation has in hand: the names it uses, and what it must give back.
//!
//! Invariant: it is told of every step that was taken, and of no other. It knows what `mmu::live::Execution` asks of its
//! caller, and nothing of what a step does.

use steps::one_page::{
    self, ALLOCATE, CHANGE_PTE, CLEAR_PTE, COPY, Condition, Entry, FLUSH_TLB, LOCK_TABLE, Lock, NOTIFY,
    Never, OnePage, RANGE_END, RANGE_START, RESTORE_PTE, Role, Step, UNLOCK_TABLE, put,
};
use steps::{Count, EntryOf, Names, Renaming};

use super::act::Row;
use super::setting::{Frame, Kernel, Page};

/// Names as they stand in a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Text;

/// An operation between its beginning and its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) kernel: Kernel,
    pub(super) page: Page,
    pub(super) old: Frame,
    /// None until it is allocated.
    pub(super) new: Option<Frame>,
    pub(super) holds_old: bool,
    pub(super) holds_new: bool,
    pub(super) table_locked: bool,
    pub(super) range_open: bool,
    pub(super) page_locked: Option<Frame>,
}

impl Operation {
    /// One that holds its frames, and nothing else.
    pub(super) fn new(kernel: Kernel, page: Page, old: Frame, new: Option<Frame>) -> Self {
        Self {
            kernel,
            page,
            old,
            new,
            holds_old: true,
            holds_new: new.is_some(),
            table_locked: false,
            range_open: false,
            page_locked: None,
        }
    }

    /// The frame behind a name, if there is one yet.
    pub(super) fn frame(&self, role: Role) -> Option<Frame> {
        match role {
            Role::Old => Some(self.old),
            Role::New => self.new,
        }
    }

    /// Whether the execution takes the step: it has the frames, and what is released is held, what is taken is not.
    pub(super) fn may(&self, step: Step) -> bool {
        match step {
            ALLOCATE => !self.holds_new,
            Step::Lock(Lock::Page(role), _) => self.page_locked.is_none() && self.frame(role).is_some(),
            Step::Unlock(Lock::Page(role)) => {
                self.page_locked.is_some() && self.page_locked == self.frame(role)
            }
            UNLOCK_TABLE => self.table_locked,
            RANGE_START => !self.range_open,
            RANGE_END => self.range_open,
            Step::Count(Count::Put, role) => self.holds(role),
            COPY => self.new.is_some_and(|new| new != self.old),
            Step::Entry(_, EntryOf::Set(Entry::Maps(role, _)))
            | Step::Count(Count::MarkStable | Count::Map | Count::Unmap, role) => self.frame(role).is_some(),
            LOCK_TABLE | CLEAR_PTE | FLUSH_TLB | NOTIFY | CHANGE_PTE | RESTORE_PTE => true,
            other => panic!("`{other}` is in no program here"),
        }
    }

    /// Whether it has the frames that are looked at.
    pub(super) fn may_check(&self, condition: Condition) -> bool {
        condition != Condition::SameContent || self.may(COPY)
    }

    /// The step in the words of the scenario language, with the names in their places.
    pub(super) fn row(&self, step: Step) -> Row {
        Row::new(self.kernel, step.renamed::<Text>(self).to_string())
    }

    /// The look likewise.
    pub(super) fn check_row(&self, condition: Condition) -> Row {
        let (page, old, new) = (self.page, self.old, self.name(Role::New));
        let text = match condition {
            Condition::PteSame => format!("check pte_same {page}"),
            Condition::Unreferenced => format!("check refs({old}) == mapcount({old}) + 1"),
            Condition::SameContent => format!("check content({old}) == content({new})"),
        };
        Row::new(self.kernel, text)
    }

    /// What a scenario calls the frame.
    fn name(&self, role: Role) -> String {
        self.frame(role).map_or_else(|| role.to_string(), |frame| frame.to_string())
    }

    /// Notes a step that was taken.
    pub(super) fn took(&mut self, step: Step) {
        match step {
            LOCK_TABLE => self.table_locked = true,
            UNLOCK_TABLE => self.table_locked = false,
            RANGE_START => self.range_open = true,
            RANGE_END => self.range_open = false,
            Step::Lock(Lock::Page(role), _) => self.page_locked = self.frame(role),
            Step::Unlock(Lock::Page(_)) => self.page_locked = None,
            Step::Count(Count::Put, Role::Old) => self.holds_old = false,
            Step::Count(Count::Put, Role::New) => self.holds_new = false,
            _ => {}
        }
    }

    /// Notes which frame was allocated.
    pub(super) fn allocated(&mut self, new: Frame) {
        self.new = Some(new);
        self.holds_new = true;
    }

    /// What its end gives back, in this order.
    pub(super) fn ending(&self) -> Vec<Row> {
        let page_lock = self.page_locked.map(|frame| Row::new(self.kernel, format!("unlock page({frame})")));
        let given = [
            (self.table_locked, UNLOCK_TABLE),
            (self.range_open, RANGE_END),
            (self.holds_old, put(Role::Old)),
            (self.holds_new, put(Role::New)),
        ];
        let mut rows: Vec<_> =
            given.into_iter().filter(|(held, _)| *held).map(|(_, step)| self.row(step)).collect();
        let locks = usize::from(self.table_locked) + usize::from(self.range_open);
        rows.splice(locks..locks, page_lock);
        rows
    }

    fn holds(&self, role: Role) -> bool {
        match role {
            Role::Old => self.holds_old,
            Role::New => self.holds_new,
        }
    }
}

impl Names for Text {
    type Page = String;
    type Frame = String;
    type Pmd = Never;
    type Mm = Never;
    type MmOrNone = Never;
    type Pasid = Never;
    type Tag = Never;
    type User = Never;
    type Lock = String;
    type Handle = Never;
    type Label = Never;
    type Entry = String;
    type Value = Never;
}

impl Renaming<OnePage, Text> for Operation {
    fn page(&self, _: &one_page::Page) -> String {
        self.page.to_string()
    }

    fn frame(&self, role: &Role) -> String {
        self.name(*role)
    }

    fn lock(&self, lock: &Lock) -> String {
        match lock {
            Lock::Table => format!("ptl({})", self.page),
            Lock::Page(role) => format!("page({})", self.name(*role)),
        }
    }

    fn entry(&self, entry: &Entry) -> String {
        match entry {
            Entry::Maps(role, permission) => format!("{} {permission}", self.name(*role)),
            Entry::Orig => entry.to_string(),
        }
    }

    fn user(&self, never: &Never) -> Never {
        *never
    }

    fn tag(&self, never: &Never) -> Never {
        *never
    }

    fn pmd(&self, never: &Never) -> Never {
        *never
    }

    fn mm(&self, never: &Never) -> Never {
        *never
    }

    fn mm_or_none(&self, never: &Never) -> Never {
        *never
    }

    fn pasid(&self, never: &Never) -> Never {
        *never
    }

    fn handle(&self, never: &Never) -> Never {
        *never
    }

    fn label(&self, never: &Never) -> Never {
        *never
    }

    fn value(&self, never: &Never) -> Never {
        *never
    }
}
