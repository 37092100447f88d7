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

#[test]
fn a_wait_without_anything_posted_is_refused() {
    let source = format!("{HEAD}\nrace\nCPU\nnotify A\ninv_wait\n\n");
    let expected = r#"
error: `CPU` has nothing to wait for: it posts no invalidation
  --> a.scn:11:1
   |
11 | inv_wait
   | ^^^^^^^^
   |
   = help: write `iotlb_inv A post` before it, or leave it out
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn the_queue_itself_is_no_name_for_an_agent() {
    let source = format!("{HEAD}\nagent queue\n  notify A post\n");
    let expected = r#"
error: `queue` is hardware that acts by itself
 --> a.scn:8:7
  |
8 | agent queue
  |       ^^^^^
  |
  = help: give the agent another name
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn the_tlb_of_a_vcpu_is_there_only_if_programs_fill_the_shadow() {
    let source = format!("{HEAD}vcpu V\nagent CPU\n  if vtlb(V, A) || tlb(V, A): end\n");
    let expected = r#"
error: `V` has no vCPU TLB
 --> a.scn:9:11
  |
9 |   if vtlb(V, A) || tlb(V, A): end
  |           ^
  |
  = help: declare a `vcpu`, and let programs use `set_spte` and `zap_spte`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
    let source = source.replace("vtlb(V, A) || ", "");
    let expected = r#"
error: `V` has no TLB of its own
 --> a.scn:9:10
  |
9 |   if tlb(V, A): end
  |          ^
  |
  = help: use spte(A), or let programs use `set_spte` and `zap_spte`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn names_of_address_spaces_and_pasids_must_be_declared() {
    let source = "scenario s\nmm P\npage A in Q, B\nframe f\nmap B -> f rw\npasid X -> R\ncpu C\ndevice D pasid Z\n\
                  agent C\n  flush_tlb_mm A\n  pasid_inv P\n";
    let expected = r#"
error: there is no address space `Q`
 --> a.scn:3:11
  |
3 | page A in Q, B
  |           ^
  |
  = help: declare it: `mm Q`

error: there is no address space `R`
 --> a.scn:6:12
  |
6 | pasid X -> R
  |            ^
  |
  = help: declare it: `mm R`

error: there is no PASID `Z`
 --> a.scn:8:16
  |
8 | device D pasid Z
  |                ^
  |
  = help: declare it: `pasid Z`

error: there is no address space `A`
  --> a.scn:10:16
   |
10 |   flush_tlb_mm A
   |                ^
   |
   = help: declare it: `mm A`

error: there is no PASID `P`
  --> a.scn:11:13
   |
11 |   pasid_inv P
   |             ^
   |
   = help: declare it: `pasid P`
"#;
    assert_eq!(shown(source), expected.trim_matches('\n'));
}

#[test]
fn a_page_without_address_space_is_out_of_reach_of_a_pasid() {
    let source = "scenario s\nmm P\npage A in P, B\nframe f\nmap B -> f rw\npasid X -> P\ncpu C\ndevice D pasid X\n\
                  agent D\n  dma_read B\nagent C\n  if pasid(X) == f: end\n";
    let expected = r#"
error: `B` is in no address space, and the device walks the one that its PASID names
  --> a.scn:10:12
   |
10 |   dma_read B
   |            ^
   |
   = help: declare `page B in P`

error: an entry is compared with an address space
  --> a.scn:12:6
   |
12 |   if pasid(X) == f: end
   |      ^^^^^^^^^^^^^
   |
   = help: compare an entry or a handle with `none` or a frame, and a number with a number
"#;
    assert_eq!(shown(source), expected.trim_matches('\n'));
}

#[test]
fn a_response_to_what_nobody_requests_is_refused() {
    let source = format!("{HEAD}\nrace\nCPU\npage_response A\ndrain_requests\n\n");
    let expected = r#"
error: no device ever requests `A`
  --> a.scn:10:1
   |
10 | page_response A
   | ^^^^^^^^^^^^^^^
   |
   = help: let a device do it: `page_request A`

error: no device ever requests a page
  --> a.scn:11:1
   |
11 | drain_requests
   | ^^^^^^^^^^^^^^
   |
   = help: let a device do it: `page_request A`
"#;
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn a_cache_is_named_by_who_has_it() {
    let refused = |step: &str| {
        let source = format!("{HEAD}\nagent p on CPU\n  {step}\nagent q\n  flush_tlb A own\n");
        shown(&source)
    };
    assert!(refused("notify A on CPU").contains("`CPU` is no device, and has no such cache"));
    assert!(refused("flush_tlb A on IOMMU").contains("`IOMMU` is no CPU, and has no such cache"));
    assert!(refused("flush_tlb A on CPV").contains("did you mean `CPU`?"));
    assert!(refused("flush_tlb A own post").contains("name the CPU: `on CPU0`"));
    assert!(refused("fence").contains("`flush_tlb` needs a TLB, and agent `q` runs on no CPU"));
    let vcpu = format!("{HEAD}\nvcpu V\nagent V\n  flush_tlb A own\n");
    assert!(
        shown(&vcpu).contains("`V` is no CPU, and has no TLB that `flush_tlb` empties"),
        "{}",
        shown(&vcpu)
    );
    assert!(refused("notify A own").contains("error"), "devices have no own CPU");
}

#[test]
fn a_context_entry_is_no_pasid_and_a_pasid_is_no_context_entry() {
    let head =
        "scenario s\nmm P\npage A in P\nframe f = 0\nmap A -> f rw\ncontext E -> P\npasid X -> P\ncpu K\n";
    for (text, words) in [
        ("agent K\n  set_pasid E -> P", "`E` is no PASID"),
        ("agent K\n  set_context_low X -> P", "`X` is no context entry"),
        ("agent K\n  context_inv X", "`X` is no context entry"),
        ("agent K\n  iotlb_inv_pasid E", "`E` is no PASID"),
        ("agent K\n  set_context F -> P", "there is no context entry `F`"),
        ("device D pasid E\nagent K\n  fence", "`E` is no PASID"),
        ("device D context X\nagent K\n  fence", "`X` is no context entry"),
        ("agent K\n  if context(X) == P: end", "`X` is no context entry"),
    ] {
        let source = format!("{head}{text}\n");
        let wrong = crate::lowering::load(&source).expect_err("it is wrong");
        assert!(wrong.iter().any(|one| one.message.contains(words)), "{text}: {wrong:?}");
    }
}
