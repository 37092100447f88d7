//! Breaking COW: a store to a shared page gets a copy of its own.
//!
//! Invariant of the right order: between the moment the entry stops saying `old` and the moment it says `new`,
//! every TLB, primary and secondary, has been flushed and drained. So nobody can still load from `old` after
//! somebody stored to `new`.
//! Source: mm/memory.c `wp_page_copy`; Documentation/mm/mmu_notifier.rst, case B.

use super::{Order, Verdict};
use crate::one_page::{
    ALLOCATE, CLEAR_PTE, COPY, Condition, FLUSH_TLB, LOCK_TABLE, NOTIFY, Protection, RANGE_END, RANGE_START,
    Role, Step, UNLOCK_TABLE, map, put, set_pte, unmap,
};
use crate::program::{Label, Line, Program, first};

const OUT: Label = Label("out");
const SET: Step = set_pte(Role::New, Protection::ReadWrite);

/// `wp_page_copy` with clear, flush, notify, set.
#[must_use]
pub fn wp_page_copy() -> Program {
    let lines = vec![
        ALLOCATE.into(),
        COPY.into(),
        RANGE_START.into(),
        LOCK_TABLE.into(),
        Line::Check(Condition::PteSame, OUT),
        CLEAR_PTE.into(),
        FLUSH_TLB.into(),
        NOTIFY.into(),
        map(Role::New).into(),
        SET.into(),
        unmap(Role::Old).into(),
        Line::Label(OUT),
        UNLOCK_TABLE.into(),
        RANGE_END.into(),
        put(Role::New).into(),
        put(Role::Old).into(),
    ];
    Program::new("wp_page_copy", lines)
}

/// Every order of it that has a name, the right one first.
#[must_use]
pub fn orders() -> Vec<Order> {
    let right = wp_page_copy;
    let notify = first(NOTIFY);
    vec![
        Order {
            name: "clear-flush-notify-set",
            expected: Verdict::Coherent,
            story: "the order of ptep_clear_flush_notify: nobody holds the old page when the new one appears",
            program: right(),
        },
        Order {
            name: "notify-before-clear",
            expected: Verdict::Violated,
            story: "the device walks between the notification and the clear, and keeps the old page for good",
            program: right().moved_before(notify, first(CLEAR_PTE)),
        },
        Order {
            name: "set-before-notify",
            expected: Verdict::Violated,
            story: "a CPU stores to the new page while the device still reads the old one",
            program: right().moved_after(notify, first(SET)),
        },
        Order {
            name: "notify-in-range-end",
            expected: Verdict::Violated,
            story: "as before, for longer; the vCPU is blocked from range_start to range_end and stays coherent",
            program: right().moved_before(notify, first(RANGE_END)),
        },
        Order {
            name: "no-clear",
            expected: Verdict::Violated,
            story: "the entry goes on saying the old page after the flushes, and walkers bring it back",
            program: right().without(first(CLEAR_PTE)),
        },
        Order {
            name: "no-flush",
            expected: Verdict::Violated,
            story: "the secondaries are told and the CPUs' own TLBs are not",
            program: right().without(first(FLUSH_TLB)),
        },
        Order {
            name: "no-range-start",
            expected: Verdict::Violated,
            story: "the shadow page table is never zapped: the vCPU's turn to be stale",
            program: right().without_all(&[RANGE_START, RANGE_END]),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::{SET, orders, wp_page_copy};
    use crate::one_page::{
        CLEAR_PTE, FLUSH_TLB, LOCK_TABLE, NOTIFY, RANGE_END, RANGE_START, Role, Step, UNLOCK_TABLE, put,
        unmap,
    };
    use crate::program::Line;

    #[test]
    fn a_page_is_cleared_flushed_notified_and_only_then_replaced_and_given_up() {
        let program = wp_page_copy();
        let place = |step: Step| program.lines().iter().position(|line| *line == Line::Step(step));
        let order = [
            RANGE_START,
            LOCK_TABLE,
            CLEAR_PTE,
            FLUSH_TLB,
            NOTIFY,
            SET,
            unmap(Role::Old),
            UNLOCK_TABLE,
            RANGE_END,
            put(Role::Old),
        ];
        let places: Vec<_> = order.iter().map(|step| place(*step).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn only_the_first_order_is_right() {
        use crate::operation::Verdict::{Coherent, Violated};
        let verdicts: Vec<_> = orders().iter().map(|order| order.expected).collect();
        assert_eq!(verdicts[0], Coherent);
        assert!(verdicts[1..].iter().all(|verdict| *verdict == Violated));
    }
}
