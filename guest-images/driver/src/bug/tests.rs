//! A bug is where it belongs and nowhere else.

use super::{
    BUGS, Bug, Plan, Replacing, detached, device_moves, interrupt_moved, interrupts_exchanged,
    middle_unmapped, table_replaced, unmapped,
};
use crate::descriptor::Hint;
use crate::entry::DeviceTlb;
use crate::id::{Domain, Index, Iova, Pasid, Source};
use crate::queue::Waiting;
use crate::space::{Change, Changed};
use crate::unit::Mode;

fn change(hint: Hint) -> Change {
    Change {
        source: Source(8),
        device_tlb: DeviceTlb::On,
        domain: Domain(1),
        pasid: Some(Pasid(4)),
        at: Iova(0x5000),
        pages_log2: 0,
        entry: Changed::FirstStage,
        hint,
    }
}

fn is_same(one: &Plan, other: &Plan) -> bool {
    one.waiting == other.waiting
        && one.lists.iter().zip(&other.lists).all(|(one, other)| one.items() == other.items())
}

#[test]
fn a_bug_is_found_by_its_name_alone() {
    assert!(BUGS.into_iter().all(|bug| Bug::wanted(Some(bug.name())) == Ok(Some(bug))));
    assert_eq!((Bug::wanted(None), Bug::wanted(Some("none"))), (Ok(None), Ok(None)));
    assert!(Bug::wanted(Some("no-such")).is_err());
}

#[test]
fn each_bug_errs_in_one_operation() {
    let (leaf, table) = (change(Hint::LeavesOnly), change(Hint::EveryLevel));
    for bug in BUGS {
        let errs_after_unmap = !is_same(&unmapped(Some(bug), &leaf), &unmapped(None, &leaf));
        let errs_after_replacing =
            !is_same(&table_replaced(Some(bug), &table), &table_replaced(None, &table));
        let errs_after_moving =
            !is_same(&interrupt_moved(Some(bug), Index(1)), &interrupt_moved(None, Index(1)));
        let moves_wrongly =
            [Mode::Legacy, Mode::Scalable].map(|mode| device_moves(Some(bug), mode) == Replacing::InPlace);
        let exchanges_wrongly = interrupts_exchanged(Some(bug)) == Replacing::InPlace;
        assert_eq!(
            moves_wrongly,
            [bug == Bug::ContextEntryInPlace, bug == Bug::PasidEntryInPlace],
            "{bug:?}"
        );
        assert_eq!(exchanges_wrongly, bug == Bug::InterruptEntryInPlace, "{bug:?}");
        let large = Change { pages_log2: 9, ..table };
        let splits_wrongly = !is_same(&middle_unmapped(Some(bug), &large), &middle_unmapped(None, &large));
        assert_eq!(splits_wrongly, bug == Bug::LargePageHalfFlushed, "{bug:?}");
        let detaches_wrongly = detached(Some(bug)) != detached(None);
        assert_eq!(detaches_wrongly, bug == Bug::ContextCacheForgotten, "{bug:?}");
        let elsewhere = errs_after_moving
            || moves_wrongly != [false; 2]
            || exchanges_wrongly
            || detaches_wrongly
            || splits_wrongly
            || matches!(bug, Bug::MapWithoutFlush | Bug::PasidEntryKept | Bug::ContextEntryKept);
        assert_eq!(errs_after_moving, bug == Bug::InterruptEntryKept, "{bug:?}");
        assert_eq!(errs_after_replacing, bug == Bug::HintAfterTableChange, "{bug:?}");
        assert_eq!(errs_after_unmap, !errs_after_replacing && !elsewhere, "{bug:?}");
    }
}

#[test]
fn the_driver_without_bugs_tells_the_iotlb_then_the_device_and_waits() {
    let plan = unmapped(None, &change(Hint::LeavesOnly));
    assert_eq!((plan.lists[0].items().len(), plan.lists[1].items().len()), (2, 0));
    assert_eq!(plan.waiting, Waiting::AtOnce);
}
