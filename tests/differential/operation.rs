//! What an operation has in hand: the names it uses, and what it must give back.
//!
//! Invariant: it is told of every step that was taken, and of no other. It knows what `mmu::live::Execution` asks of its
//! caller, and nothing of what a step does.

use mmu::step::{Condition, Role, Step};

use super::act::Row;
use super::setting::{Frame, Kernel, Page};

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
            Step::Allocate => !self.holds_new,
            Step::LockPage(role) => self.page_locked.is_none() && self.frame(role).is_some(),
            Step::UnlockPage(role) => self.page_locked.is_some() && self.page_locked == self.frame(role),
            Step::UnlockTable => self.table_locked,
            Step::RangeStart => !self.range_open,
            Step::RangeEnd => self.range_open,
            Step::Put(role) => self.holds(role),
            Step::Copy => self.new.is_some_and(|new| new != self.old),
            Step::SetPte(role, _) | Step::MarkStable(role) | Step::Map(role) | Step::Unmap(role) => {
                self.frame(role).is_some()
            }
            Step::LockTable
            | Step::ClearPte
            | Step::FlushTlb
            | Step::Notify
            | Step::ChangePte
            | Step::RestorePte => true,
        }
    }

    /// Whether it has the frames that are looked at.
    pub(super) fn may_check(&self, condition: Condition) -> bool {
        condition != Condition::SameContent || self.may(Step::Copy)
    }

    /// The step in the words of the scenario language: its own words, with the names in their places.
    pub(super) fn row(&self, step: Step) -> Row {
        self.named(&step.to_string())
    }

    /// The look likewise.
    pub(super) fn check_row(&self, condition: Condition) -> Row {
        self.named(&format!("check {condition}"))
    }

    fn named(&self, words: &str) -> Row {
        let in_place = |word: &str| match word {
            "A" => self.page.to_string(),
            "old" => self.old.to_string(),
            "new" => self.new.map_or_else(|| "new".to_owned(), |new| new.to_string()),
            other => other.to_owned(),
        };
        let mut text = String::new();
        for piece in words.split_inclusive([' ', '(', ')']) {
            let word = piece.trim_end_matches([' ', '(', ')']);
            text += &in_place(word);
            text += &piece[word.len()..];
        }
        Row::new(self.kernel, text)
    }

    /// Notes a step that was taken.
    pub(super) fn took(&mut self, step: Step) {
        match step {
            Step::LockTable => self.table_locked = true,
            Step::UnlockTable => self.table_locked = false,
            Step::RangeStart => self.range_open = true,
            Step::RangeEnd => self.range_open = false,
            Step::LockPage(role) => self.page_locked = self.frame(role),
            Step::UnlockPage(_) => self.page_locked = None,
            Step::Put(Role::Old) => self.holds_old = false,
            Step::Put(Role::New) => self.holds_new = false,
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
            (self.table_locked, Step::UnlockTable),
            (self.range_open, Step::RangeEnd),
            (self.holds_old, Step::Put(Role::Old)),
            (self.holds_new, Step::Put(Role::New)),
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
