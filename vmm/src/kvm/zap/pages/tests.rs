//! Sets give back what was put in.

use super::*;

#[test]
fn a_range_is_cut_to_the_window() {
    let around = VirtRange { start: VirtAddr(0), end: VirtAddr(!0xfff) };
    assert_eq!(PageSet::from(around).iter().count() as u64, AREA_PAGES);
    assert!(PageSet::from(VirtRange::page(VirtAddr(AREA_VA - 1))).is_empty());
}

#[test]
fn a_set_gives_back_the_pages_put_in() {
    let mut set = PageSet::of(VirtAddr(AREA_VA + 0x3123));
    set.insert(VirtAddr(AREA_VA + 511 * 0x1000));
    set.insert(VirtAddr(AREA_VA + 512 * 0x1000));
    let pages: Vec<_> = set.iter().collect();
    assert_eq!(pages, [VirtAddr(AREA_VA + 0x3000), VirtAddr(AREA_VA + 0x1f_f000)]);
}

#[test]
fn a_set_of_vcpus_holds_those_collected() {
    let set: VcpuSet = VcpuId::first(2).collect();
    assert!(VcpuId::first(2).all(|vcpu| set.contains(vcpu)));
    assert!(!set.contains(VcpuId::new(63).unwrap()));
}
