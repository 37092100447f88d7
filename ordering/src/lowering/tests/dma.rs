//! DMA that is translated and has not landed: who waits for it.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\npage A, B\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\ncpu C\n\
                    device D, E\noption dma = split\n";

/// Whether `rows` of the kernel, the queue and a device that reads B can happen in that order.
fn can_happen(head: &str, step: &str, rows: &[&str]) -> bool {
    let programs = format!("agent C\n  {step}\nagent D\n  dma_read B\nagent other on E\n  dma_read A\n");
    let source = format!(
        "{head}{programs}never other reads A\n\ntrace\nC | queue | D | state change\n{}\n",
        rows.join("\n")
    );
    super::load(&source).is_ok()
}

/// Whether `step` can be done while the device's access to B has not landed.
fn passes(head: &str, step: &str) -> bool {
    let row = format!("{step} | | |");
    let asks = if head.contains("D ats") { " | | ats B |" } else { "" };
    let rows = [" | | walk B |", asks, " | | dma_read B: translated |", &row, " | | dma_read B = 1 |"];
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.is_empty()).collect();
    // Landed first, it can always be done: the trace itself is not what is wrong.
    let landed: Vec<_> = rows.iter().filter(|other| **other != row).copied().chain([row.as_str()]).collect();
    assert!(can_happen(head, step, &landed), "{step}");
    can_happen(head, step, &rows)
}

#[test]
fn an_invalidation_waits_for_what_the_cache_has_translated_that_it_empties() {
    for step in ["notify B", "iotlb_inv B", "iotlb_inv B on D"] {
        assert!(!passes(HEAD, step), "{step}");
    }
    for step in ["notify A", "iotlb_inv A", "iotlb_inv B on E", "devtlb_inv B", "flush_tlb B"] {
        assert!(passes(HEAD, step), "{step}");
    }
    for step in ["notify B", "iotlb_inv B"] {
        assert!(passes(&format!("{HEAD}option inv_drains = off\n"), step), "{step}");
        assert!(!passes(&format!("{HEAD}option ats_drains = off\n"), step), "{step}");
    }
}

#[test]
fn the_iommu_does_not_wait_for_a_device_that_translates_itself() {
    let head = HEAD.replace("device D", "device D ats");
    assert!(passes(&head, "iotlb_inv B"));
    assert!(!passes(&head, "devtlb_inv B"));
    assert!(passes(&format!("{head}option ats_drains = off\n"), "devtlb_inv B"));
    assert!(!passes(&format!("{head}option inv_drains = off\n"), "devtlb_inv B"));
}

#[test]
fn what_is_posted_waits_in_the_queue_for_what_has_not_landed() {
    let (post, done, read) = ("iotlb_inv B post | | |", " | iotlb_inv B | |", " | | dma_read B = 1 |");
    let begun = [" | | walk B |", " | | dma_read B: translated |", post];
    let step = "iotlb_inv B post";
    assert!(!can_happen(HEAD, step, &[begun.as_slice(), &[done]].concat()));
    assert!(can_happen(HEAD, step, &[begun.as_slice(), &[read, done]].concat()));
}

#[test]
fn an_access_lands_where_it_was_translated_to_whatever_the_entry_says_then() {
    let program = |option: &str| {
        format!(
            "{HEAD}agent C\n  pte_clear A; notify A; set_pte A -> g rw\nagent D\n  dma_write A = 7\n\
             agent E\n  dma_read B\n\
             never D writes f after C set_pte A -> g\n{option}\n"
        )
    };
    let whole = loaded("s.scn", &program("").replace("option dma = split\n", "")).remove(0);
    assert!(matches!(explore(&whole.model, MOST), Found::Proved(_)));
    let drained = loaded("s.scn", &program("")).remove(0);
    assert!(matches!(explore(&drained.model, MOST), Found::Proved(_)));
    let late = loaded("s.scn", &program("option inv_drains = off")).remove(0);
    let Found::Violated(_, steps) = explore(&late.model, MOST) else { panic!("proved") };
    assert_eq!(steps.last().expect("a step"), "D: dma_write A = 7");
}

#[test]
fn cpus_land_at_once() {
    let source = format!("{HEAD}agent C\n  store A = 7\nagent D\n  dma_read A\nnever C writes A\n");
    let lowered = loaded("s.scn", &source).remove(0);
    let Found::Violated(_, steps) = explore(&lowered.model, MOST) else { panic!("proved") };
    assert_eq!(steps, ["C: walk A", "C: store A = 7"]);
}
