//! Errors about devices and what they cache.

use super::{HEAD, shown};

#[test]
fn a_device_without_a_tlb_of_its_own_cannot_be_asked_for_it() {
    let source = format!("{HEAD}\nrace\nCPU\ndevtlb_inv A\nif devtlb(IOMMU, A): end\n\n");
    let expected = r#"
error: `IOMMU` has no device TLB
  --> a.scn:11:11
   |
11 | if devtlb(IOMMU, A): end
   |           ^^^^^
   |
   = help: declare `device IOMMU ats`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}
