//! Descriptors, held against words written by hand.

use super::{Also, Hint, Invalidation, Pages, wait};
use crate::id::{Domain, Index, Iova, Pasid, Source};

const DOMAIN: Domain = Domain(7);
const PASID: Pasid = Pasid(0x12345);
const SOURCE: Source = Source(0x0108);
const PAGE: Iova = Iova(0x1234_5678);

#[test]
fn descriptors_are_the_words_that_a_driver_would_write_by_hand() {
    let pages = Pages { start: PAGE, log2: 4, hint: Hint::EveryLevel };
    for (invalidation, low, high) in [
        (Invalidation::Contexts, 0x11, 0),
        (Invalidation::ContextsOf(DOMAIN), 0x7_0021, 0),
        (Invalidation::Context(DOMAIN, SOURCE), 0x0108_0007_0031, 0),
        (Invalidation::Iotlb, 0xd2, 0),
        (Invalidation::IotlbOf(DOMAIN), 0x7_00e2, 0),
        (Invalidation::IotlbPages(DOMAIN, pages), 0x7_00f2, 0x1234_0004),
        (Invalidation::IotlbPages(DOMAIN, Pages::leaf(PAGE)), 0x7_00f2, 0x1234_5040),
        (Invalidation::DeviceTlb(SOURCE), 0x0108_0000_0003, 0x7fff_ffff_ffff_f001),
        (Invalidation::DeviceTlbPage(SOURCE, PAGE), 0x0108_0000_0003, 0x1234_5000),
        (Invalidation::PasidIotlb(DOMAIN, PASID), 0x1_2345_0007_0026, 0),
        (Invalidation::PasidIotlbPages(DOMAIN, PASID, pages), 0x1_2345_0007_0036, 0x1234_0004),
        (Invalidation::PasidEntries, 0x37, 0),
        (Invalidation::PasidEntriesOf(DOMAIN), 0x7_0007, 0),
        (Invalidation::PasidEntry(DOMAIN, PASID), 0x1_2345_0007_0017, 0),
        (Invalidation::InterruptEntries, 0x4, 0),
        (Invalidation::InterruptEntriesFrom { first: Index(3), log2: 2 }, 0x3_1000_0014, 0),
        (Invalidation::DeviceTlbOfPasid(SOURCE, PASID), 0x1_2345_0108_0008, 0x7fff_ffff_ffff_f800),
        (Invalidation::DeviceTlbPageOfPasid(SOURCE, PASID, PAGE), 0x1_2345_0108_0008, 0x1234_5000),
    ] {
        assert_eq!(invalidation.encode(), [low, high, 0, 0], "{invalidation:?}");
    }
    assert_eq!(wait(0x5004, 9, Also::Nothing), [0x9_0000_0025, 0x5004, 0, 0]);
    assert_eq!(wait(0x5004, 9, Also::Interrupt)[0], 0x9_0000_0035);
    assert_eq!(wait(0x5004, 9, Also::DrainRequests)[0], 0x9_0000_00e5);
}
