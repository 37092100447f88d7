//! What each policy flushes.

use super::{Granularity, Policy};
use crate::descriptor::{Hint, Invalidation, Pages};
use crate::entry::DeviceTlb;
use crate::id::{Domain, Iova, Pasid, Source};
use crate::space::{Change, Changed};

const AT: Iova = Iova(0x5000);

fn change(entry: Changed, device_tlb: DeviceTlb) -> Change {
    let pasid = (entry != Changed::SecondStage).then_some(Pasid(4));
    Change {
        source: Source(8),
        device_tlb,
        domain: Domain(1),
        pasid,
        at: AT,
        pages_log2: 0,
        entry,
        hint: Hint::LeavesOnly,
    }
}

#[test]
fn the_right_policy_flushes_the_least_and_the_device_last() {
    let after = |entry, device_tlb| Policy::Right.after(&change(entry, device_tlb));
    let page = Invalidation::IotlbPages(Domain(1), Pages::leaf(AT));
    assert_eq!(after(Changed::SecondStage, DeviceTlb::Off).items(), [page]);
    assert_eq!(after(Changed::BelowFirstStage, DeviceTlb::Off).items(), [Invalidation::IotlbOf(Domain(1))]);
    let page = Invalidation::PasidIotlbPages(Domain(1), Pasid(4), Pages::leaf(AT));
    let device = Invalidation::DeviceTlbPageOfPasid(Source(8), Pasid(4), AT);
    assert_eq!(after(Changed::FirstStage, DeviceTlb::On).items(), [page, device]);
}

#[test]
fn other_policies_flush_more_or_nothing() {
    let change = change(Changed::SecondStage, DeviceTlb::On);
    let device = Invalidation::DeviceTlbPage(Source(8), AT);
    assert_eq!(Policy::AtLeast(Granularity::Global).after(&change).items(), [Invalidation::Iotlb, device]);
    assert!(Policy::Nothing.after(&change).items().is_empty());
}
