//! Drivers with one mistake each, and the driver without: what the unit reports of them.
//!
//! Invariant: a mistake is named in every report, in so many reports in every run; the same workload on the same unit
//! without the mistake has none.

use std::process::Output;

use serde_json::Value;

use super::{FAILED, boot};
use crate::{has_kvm, text};

/// What is expected of a driver with a mistake.
struct Expected {
    guest: &'static str,
    /// What tools are told, and in how many reports.
    mistake: &'static str,
    reports: usize,
    /// What people are told.
    says: &'static str,
}

const fn expected(
    guest: &'static str,
    mistake: &'static str,
    reports: usize,
    says: &'static str,
) -> Expected {
    Expected { guest, mistake, reports, says }
}

/// Two drivers and three processes use pages, three of them through a device TLB. What comes from the IOTLB is met again in
/// the device's. Two devices interrupt.
const EXPECTED: [Expected; 17] = [
    expected("vtd-bug-missing-flush", "nothing-invalidated", 5, "nothing was invalidated for the page"),
    expected(
        "vtd-bug-wrong-domain",
        "other-domain",
        8,
        "\"IOTLB, domain 17, page 0x140000000, IH 1\" names another domain; the translation belongs to domain 16",
    ),
    expected(
        "vtd-bug-wrong-pasid",
        "other-pasid",
        3,
        "\"PASID IOTLB, domain 64, PASID 4, page 0x240000000, IH 1\" names another process; \
         the translation belongs to PASID 3",
    ),
    expected(
        "vtd-bug-ih-after-table-change",
        "hint-set",
        8,
        "IH 1\" has IH set, which promises that only leaves changed, and a first-stage entry of level 2 changed",
    ),
    expected(
        "vtd-bug-device-tlb-first",
        "device-tlb-first",
        3,
        "\"device TLB of 00:02.0, PASID 1, page 0x1c0000000\" came before the IOTLB's",
    ),
    expected(
        "vtd-bug-device-tlb-forgotten",
        "device-tlb-forgotten",
        3,
        "\"IOTLB, domain 32, page 0x180000000, IH 1\" came alone: the device keeps translations itself",
    ),
    expected("vtd-bug-no-wait", "not-waited-for", 5, "the invalidation is queued and nothing waits for it"),
    expected(
        "vtd-bug-free-before-wait",
        "wait-not-over",
        5,
        "the invalidation is queued, and the page was used before the wait behind it was over",
    ),
    expected(
        "vtd-bug-cm-map-without-flush",
        "nothing-invalidated",
        2,
        "nothing was invalidated for the page",
    ),
    expected(
        "vtd-bug-pasid-entry-kept",
        "table-entry-kept",
        5,
        "\"PASID IOTLB, domain 48, PASID 1\" came without one for the cached copy of the PASID entry that changed",
    ),
    expected(
        "vtd-bug-context-entry-kept",
        "table-entry-kept",
        3,
        "\"IOTLB, domain 16\" came without one for the cached copy of the context entry that changed",
    ),
    expected(
        "vtd-bug-interrupt-entry-kept",
        "nothing-invalidated",
        2,
        "nothing was invalidated for the interrupt entry",
    ),
    expected(
        "vtd-bug-pasid-entry-in-place",
        "changed-in-place",
        1,
        "was changed while it was present, word by word (0: 0x",
    ),
    expected(
        "vtd-bug-context-entry-in-place",
        "changed-in-place",
        1,
        "was changed while it was present, word by word (0: 0x",
    ),
    expected(
        "vtd-bug-interrupt-entry-in-place",
        "changed-in-place",
        0,
        "2 words were changed by as many stores, and P was clear at no invalidation before",
    ),
    expected(
        "vtd-bug-context-cache-forgotten",
        "table-entry-kept",
        3,
        "\"IOTLB, all\" came without one for the cached copy of the context entry that changed",
    ),
    expected(
        "vtd-bug-large-page-half-flushed",
        "part-of-large-page",
        10,
        "\"PASID IOTLB, domain 64, PASID 3, page 0x240300000, IH 0\" names only some of the pages that the first-stage entry",
    ),
];

/// Drivers that change entries in place: what comes of it where the unit keeps none of them, a unit that does, and how
/// many such changes are seen there. Both halves of an interrupt entry may be stored at once, so only reading one tells.
const IN_PLACE: [(&str, &str, &str, usize); 3] = [
    (
        "vtd-bug-pasid-entry-in-place",
        "of 70 transfers 1 met a page that has another owner by now, 6 were blocked",
        "vtd,pasid=64",
        2,
    ),
    (
        "vtd-bug-context-entry-in-place",
        "of 28 transfers 1 met a page that has another owner by now, 6 were blocked",
        "vtd,context=64",
        2,
    ),
    ("vtd-bug-interrupt-entry-in-place", "of 10 interrupts 2 missed their vectors", "vtd,interrupt=64", 0),
];

/// What a guest says if everything went where it belongs.
const HARMLESS: [&str; 3] = [" 0 met a page ", " 0 were blocked", " 0 missed their vectors"];

/// All reports of that event.
fn reports(output: &Output, event: &str) -> Vec<Value> {
    let reports = text(&output.stderr);
    let events = reports.lines().map(|line| serde_json::from_str(line).expect("each line is an object"));
    events.filter(|report: &Value| report["event"] == event).collect()
}

/// The mistakes of all stale uses of that kind.
fn mistakes(output: &Output, is_kind: impl Fn(&str) -> bool) -> Vec<String> {
    let word = |value: &Value| value.as_str().expect("a report says so").to_owned();
    let uses = reports(output, "stale-use");
    uses.iter()
        .filter(|report| is_kind(&word(&report["kind"])))
        .map(|report| word(&report["mistake"]))
        .collect()
}

fn changes_in_place(output: &Output) -> usize {
    reports(output, "entry-changed-in-place").len()
}

#[test]
fn every_report_of_a_driver_with_a_mistake_names_it() {
    if !has_kvm() {
        return;
    }
    for Expected { guest, mistake, reports, .. } in EXPECTED {
        let output = boot(guest, &["--stale-report", "json"]);
        let is_walk = |kind: &str| ["refusal", "table"].contains(&kind);
        assert_eq!(mistakes(&output, |kind| !is_walk(kind)), vec![mistake; reports], "{guest}");
        // Of walks through tables that were freed with the mistake there are as many as the device tries.
        assert!(mistakes(&output, is_walk).iter().all(|named| named == mistake), "{guest}");
        assert_eq!(changes_in_place(&output), if guest.ends_with("-in-place") { 2 } else { 0 }, "{guest}");
        assert_eq!(output.status.code(), Some(4), "{guest}");
        let told = text(&output.stdout);
        assert!(told.starts_with(&format!("{guest}: ")) && told.lines().count() == 1, "{told}");
        assert!(!HARMLESS.iter().all(|part| told.contains(part)), "all is where it belongs: {told}");
    }
}

#[test]
fn between_the_words_of_an_entry_a_device_meets_both_spaces_unless_the_old_entry_is_kept() {
    if !has_kvm() {
        return;
    }
    for (guest, harm, keeping, seen) in IN_PLACE {
        let (met, kept) = (boot(guest, &[]), boot(guest, &["--iommu", keeping]));
        assert!(text(&met.stdout).contains(harm), "{guest}: {}", text(&met.stdout));
        let told = text(&kept.stdout);
        assert!(HARMLESS.iter().all(|part| told.contains(part)), "{guest} on {keeping}: {told}");
        let output = boot(guest, &["--iommu", keeping, "--stale-report", "json"]);
        assert_eq!(changes_in_place(&output), seen, "{guest} on {keeping}");
    }
}

#[test]
fn one_page_of_a_large_one_is_enough_where_it_is_kept_whole() {
    if !has_kvm() {
        return;
    }
    let output = boot("vtd-bug-large-page-half-flushed", &["--iommu", "vtd,split-large=off"]);
    let told = text(&output.stdout);
    assert!(HARMLESS.iter().all(|part| told.contains(part)), "{told}");
}

#[test]
fn a_device_that_was_detached_reaches_nothing() {
    if !has_kvm() {
        return;
    }
    for unit in ["vtd", "vtd,caches=never-evict", "vtd,caches=off", "vtd,caching-mode=on"] {
        assert_right(&boot("vtd-detach", &["--iommu", unit, "--stale-report", "json"]), unit);
    }
}

#[test]
fn people_are_told_what_to_mend() {
    if !has_kvm() {
        return;
    }
    for Expected { guest, says, .. } in EXPECTED {
        let told = text(&boot(guest, &[]).stderr);
        let mut mistakes = told.lines().filter_map(|line| line.strip_prefix("  mistake: "));
        assert!(mistakes.any(|mistake| mistake.contains(says)), "{guest}: {told}");
    }
}

#[test]
fn without_its_mistake_a_driver_has_no_report_on_the_same_unit() {
    if !has_kvm() {
        return;
    }
    for Expected { guest, .. } in EXPECTED {
        assert_right(&boot(guest, &["--cmdline", "bug=none", "--stale-report", "json"]), guest);
    }
}

#[test]
fn a_driver_without_mistakes_has_no_report_on_any_unit() {
    if !has_kvm() {
        return;
    }
    for unit in [
        "vtd",
        "vtd,caches=never-evict,device-tlb=4096",
        "vtd,caches=never-evict,split-large=on",
        "vtd,iotlb=2,paging=2,context=1,pasid=1,device-tlb=2",
        "vtd,caches=off,device-tlb=0",
        "vtd,queue=when-asked",
        "vtd,caching-mode=on",
        "vtd,answers=late",
        "vtd,report=first-use",
        "vtd,patience=2s",
        "vtd,device-tlbs=off",
        "vtd,scalable=off",
    ] {
        // A late answer takes some milliseconds.
        let rounds = if unit.ends_with("=late") { "rounds=1" } else { "" };
        assert_right(
            &boot("vtd-driver", &["--iommu", unit, "--cmdline", rounds, "--stale-report", "json"]),
            unit,
        );
    }
}

fn assert_right(output: &Output, what: &str) {
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{what}: {told}\n{}", text(&output.stderr));
    assert!(told.starts_with("passed: "), "{what}: {told}");
    assert_eq!(mistakes(output, |_| true), [""; 0], "{what}");
    assert_eq!(changes_in_place(output), 0, "{what}");
}

#[test]
fn a_mistake_ends_the_guest_if_it_is_fatal() {
    if !has_kvm() {
        return;
    }
    assert_eq!(boot("vtd-bug-missing-flush", &["--stale-fatal"]).status.code(), Some(4));
    assert_eq!(boot("vtd-driver", &["--stale-fatal"]).status.code(), Some(0));
}

#[test]
fn a_mistake_that_nobody_makes_is_refused() {
    if !has_kvm() {
        return;
    }
    let output = boot("vtd-driver", &["--cmdline", "bug=no-such"]);
    assert!(text(&output.stdout).starts_with("FAILED no bug `no-such`; there is none, missing-flush,"));
    assert_eq!(output.status.code(), Some(FAILED));
}
