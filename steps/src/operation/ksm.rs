//! Merging with KSM: a page is write-protected, compared, and replaced by a read-only page of the same contents.
//!
//! Invariant of the right order: nobody can store to `old` once the contents are compared, and nobody can use it
//! once it is freed. Because old and new hold the same bytes, a reader may use either until then: the notification
//! of the replacement may wait for range_end, as long as the write protection was made known before the compare
//! and `old` is held until the secondaries are flushed.
//! Source: mm/ksm.c `write_protect_page`, `pages_identical`, `replace_page`; Documentation/mm/mmu_notifier.rst.

use super::{Order, Verdict};
use crate::one_page::{
    CLEAR_PTE, Condition, FLUSH_TLB, LOCK_TABLE, NOTIFY, Protection, RANGE_END, RANGE_START, RESTORE_PTE,
    Role, UNLOCK_TABLE, lock_page, map, mark_stable, put, set_pte, unlock_page, unmap,
};
use crate::program::{Label, Line, Program, first, second};

const RESTORE: Label = Label("restore");
const UNLOCK: Label = Label("unlock");
const OUT: Label = Label("out");
const COMPARE: Line = Line::Check(Condition::SameContent, OUT);
const SAME: Line = Line::Check(Condition::PteSame, UNLOCK);

/// `write_protect_page`, compare, `replace_page`; each with clear, flush, notify, set.
#[must_use]
pub fn merge() -> Program {
    let protect = [set_pte(Role::Old, Protection::ReadOnly), UNLOCK_TABLE, RANGE_END];
    let replace = [
        CLEAR_PTE,
        FLUSH_TLB,
        NOTIFY,
        map(Role::New),
        set_pte(Role::New, Protection::ReadOnly),
        unmap(Role::Old),
    ];
    let lines = [
        take_the_right_to_store(),
        protect.map(Line::Step).to_vec(),
        vec![COMPARE, RANGE_START.into(), LOCK_TABLE.into(), SAME],
        replace.map(Line::Step).to_vec(),
        finish(),
    ];
    Program::new("ksm_merge", lines.concat())
}

/// Makes the first page of its contents the KSM page: write-protected, and marked before anybody could take the
/// right to store back.
#[must_use]
pub fn stabilize() -> Program {
    let mark = [mark_stable(Role::Old), set_pte(Role::Old, Protection::ReadOnly)];
    let lines = [take_the_right_to_store(), mark.map(Line::Step).to_vec(), finish()];
    Program::new("ksm_stabilize", lines.concat())
}

/// The first half of `write_protect_page`: nobody can store any more, and nobody else holds the page.
fn take_the_right_to_store() -> Vec<Line> {
    vec![
        lock_page(Role::Old).into(),
        RANGE_START.into(),
        LOCK_TABLE.into(),
        SAME,
        CLEAR_PTE.into(),
        FLUSH_TLB.into(),
        NOTIFY.into(),
        Line::Check(Condition::Unreferenced, RESTORE),
    ]
}

/// The way out, with the entry put back for those who found the page in use.
fn finish() -> Vec<Line> {
    vec![
        Line::Goto(UNLOCK),
        Line::Label(RESTORE),
        RESTORE_PTE.into(),
        Line::Label(UNLOCK),
        UNLOCK_TABLE.into(),
        RANGE_END.into(),
        Line::Label(OUT),
        unlock_page(Role::Old).into(),
        put(Role::Old).into(),
    ]
}

/// Both notifications wait for their range_end.
fn notified_in_range_end() -> Program {
    merge().moved_before(second(NOTIFY), second(RANGE_END)).moved_before(first(NOTIFY), first(RANGE_END))
}

/// Every order of it that has a name, the right ones first.
#[must_use]
pub fn orders() -> Vec<Order> {
    vec![
        Order {
            name: "clear-flush-notify-set",
            expected: Verdict::Coherent,
            story: "write-protect and replace each clear, flush, notify and set under the page-table lock",
            program: merge(),
        },
        Order {
            name: "notify-in-range-end",
            expected: Verdict::Coherent,
            story: "right too: old and new hold the same bytes, and the old frame outlives the notification",
            program: notified_in_range_end(),
        },
        Order {
            name: "compare-before-protect",
            expected: Verdict::Violated,
            story: "the device can still write when the pages are compared, and what it writes is lost",
            program: merge().moved_after(first(NOTIFY), first(COMPARE)),
        },
        Order {
            name: "free-before-notify",
            expected: Verdict::Violated,
            story: "the last reference to the old frame is dropped before the device is told",
            program: notified_in_range_end().moved_before(first(put(Role::Old)), second(NOTIFY)),
        },
        Order {
            name: "no-notify",
            expected: Verdict::Violated,
            story: "the CPUs are flushed, and no secondary MMU is ever told",
            program: merge().without_all(&[RANGE_START, NOTIFY, RANGE_END]),
        },
    ]
}
