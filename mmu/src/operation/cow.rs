//! Breaking COW: a store to a shared page gets a copy of its own.
//!
//! Invariant of the right order: between the moment the entry stops saying `old` and the moment it says `new`,
//! every TLB, primary and secondary, has been flushed and drained. So nobody can still load from `old` after
//! somebody stored to `new`.
//! Source: mm/memory.c `wp_page_copy`; Documentation/mm/mmu_notifier.rst, case B.

use super::{Order, Verdict};
use crate::program::{Label, Line, Program, first};
use crate::step::{Condition, Permission, Role, Step};

const OUT: Label = Label("out");
const SET: Step = Step::SetPte(Role::New, Permission::ReadWrite);

/// `wp_page_copy` with clear, flush, notify, set.
#[must_use]
pub fn wp_page_copy() -> Program {
    let lines = vec![
        Step::Allocate.into(),
        Step::Copy.into(),
        Step::RangeStart.into(),
        Step::LockTable.into(),
        Line::Check(Condition::PteSame, OUT),
        Step::ClearPte.into(),
        Step::FlushTlb.into(),
        Step::Notify.into(),
        Step::Map(Role::New).into(),
        SET.into(),
        Step::Unmap(Role::Old).into(),
        Line::Label(OUT),
        Step::UnlockTable.into(),
        Step::RangeEnd.into(),
        Step::Put(Role::New).into(),
        Step::Put(Role::Old).into(),
    ];
    Program::new("wp_page_copy", lines)
}

/// Every order of it that has a name, the right one first.
#[must_use]
pub fn orders() -> Vec<Order> {
    let right = wp_page_copy;
    let notify = first(Step::Notify);
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
            program: right().moved_before(notify, first(Step::ClearPte)),
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
            program: right().moved_before(notify, first(Step::RangeEnd)),
        },
        Order {
            name: "no-clear",
            expected: Verdict::Violated,
            story: "the entry goes on saying the old page after the flushes, and walkers bring it back",
            program: right().without(first(Step::ClearPte)),
        },
        Order {
            name: "no-flush",
            expected: Verdict::Violated,
            story: "the secondaries are told and the CPUs' own TLBs are not",
            program: right().without(first(Step::FlushTlb)),
        },
        Order {
            name: "no-range-start",
            expected: Verdict::Violated,
            story: "the shadow page table is never zapped: the vCPU's turn to be stale",
            program: right().without_all(&[Step::RangeStart, Step::RangeEnd]),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::{SET, orders, wp_page_copy};
    use crate::program::Line;
    use crate::step::{Role, Step};

    #[test]
    fn a_page_is_cleared_flushed_notified_and_only_then_replaced_and_given_up() {
        let program = wp_page_copy();
        let place = |step: Step| program.lines().iter().position(|line| *line == Line::Step(step));
        let order = [
            Step::RangeStart,
            Step::LockTable,
            Step::ClearPte,
            Step::FlushTlb,
            Step::Notify,
            SET,
            Step::Unmap(Role::Old),
            Step::UnlockTable,
            Step::RangeEnd,
            Step::Put(Role::Old),
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
