//! What `--iommu` understands, and what it says of the rest.

use std::num::NonZeroU32;
use std::time::Duration;

use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::knobs::Fault;
use iommu::vtd::options::{CacheSizes, CachingMode, LargePages};

use super::{KEYS, help, parse};
use crate::machine::options::{Answers, IommuKind, QueueRuns, UnitOptions};

/// What `text` describes on top of nothing.
fn kind(text: &str) -> Result<IommuKind, String> {
    parse(text)?.on_top_of("")
}

fn unit(text: &str) -> UnitOptions {
    match kind(text) {
        Ok(IommuKind::Vtd(unit)) => unit,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_option_is_understood() {
    assert_eq!(kind("none"), Ok(IommuKind::None));
    assert_eq!(kind("vtd"), Ok(IommuKind::default()));
    let text = "vtd,caching-mode=on,scalable=off,five-levels=off,device-tlbs=off,page-requests=off,\
        interrupt-remapping=off,caches=off,iotlb=5,device-tlb=7";
    let unit = unit(text);
    assert_eq!(unit.vtd.caching_mode, CachingMode::AlsoAbsent);
    let switches = [
        unit.vtd.scalable_mode,
        unit.vtd.five_levels,
        unit.vtd.device_tlb,
        unit.vtd.page_requests,
        unit.vtd.interrupt_remapping,
    ];
    assert_eq!(switches, [false; 5]);
    assert_eq!((unit.vtd.caches, unit.device_tlb_entries), (CacheSizes { iotlb: 5, ..CacheSizes::OFF }, 7));
}

#[test]
fn every_size_sets_its_own_cache() {
    let caches = unit("vtd,iotlb=1,paging=2,context=3,pasid=4,interrupt=5").vtd.caches;
    assert_eq!(caches, CacheSizes { iotlb: 1, paging: 2, context: 3, pasid: 4, interrupt: 5 });
}

#[test]
fn every_knob_is_understood() {
    assert_eq!(unit("vtd,drop=2").fault, Some(Fault::Drop { nth: 2 }));
    assert_eq!(unit("vtd,drop=2,postpone=3").fault, Some(Fault::Postpone { nth: 3 }));
    assert_eq!(unit("vtd,hold-queue=0").queue, QueueRuns::UpTo(0));
    assert_eq!(unit("vtd,queue=when-asked").queue, QueueRuns::WhenAsked);
    assert_eq!(unit("vtd,queue=when-asked,queue=at-once").queue, QueueRuns::AtOnce);
    assert_eq!(unit("vtd,answers=late").answers, Answers::Late);
    assert_eq!(unit("vtd,answers=never").answers, Answers::Never);
    assert_eq!(unit("vtd,split-large=on").vtd.large_pages, LargePages::InPieces);
    assert_eq!(unit("vtd,split-large=on,split-large=off"), UnitOptions::default());
    let second = Some(Duration::from_secs(1));
    for (text, limit) in [
        ("vtd", None),
        ("vtd,answers=late", None),
        ("vtd,answers=never", second),
        ("vtd,answer-timeout=off,answers=never", None),
        ("vtd,answers=never,answer-timeout=500ms", Some(Duration::from_millis(500))),
        ("vtd,answers=late,answer-timeout=2s", Some(Duration::from_secs(2))),
    ] {
        assert_eq!(unit(text).answer_time_out(), limit, "{text}");
    }
    for wrong in ["0s", "1", "s", "-1s", "1.5s", "3601s", "99999999999999999999ms"] {
        assert!(kind(&format!("vtd,answer-timeout={wrong}")).is_err(), "{wrong}");
    }
    assert_eq!(unit("vtd,caches=never-evict").vtd.caches, CacheSizes::NEVER_EVICT);
}

#[test]
fn a_report_is_told_which_uses_it_looks_at_and_when_they_count() {
    let stale = |text| unit(text).vtd.stale;
    let every = |judging| StaleOptions { watching: Watching::EveryUse, judging };
    let late = |millis| every(Judging::Late(Duration::from_millis(millis)));
    let one_in = |uses| Watching::Sampled(NonZeroU32::new(uses).expect("the uses are counted from 1"));
    assert_eq!(stale("vtd"), late(250));
    assert_eq!(stale("vtd,patience=2s,report=late"), late(2000));
    assert_eq!(stale("vtd,report=first-use,patience=7ms"), late(7));
    assert_eq!(stale("vtd,report=first-use"), every(Judging::AtOnce));
    assert_eq!(stale("vtd,report=one-in-16").watching, one_in(16));
    assert_eq!(stale("vtd,report=one-in-16,report=first-use"), every(Judging::AtOnce), "the last counts");
}

#[test]
fn what_a_guest_needs_holds_unless_the_user_says_otherwise() {
    let on_top = |text: &str, own| match parse(text).and_then(|words| words.on_top_of(own)) {
        Ok(IommuKind::Vtd(unit)) => Some((unit.queue, unit.device_tlb_entries)),
        _ => None,
    };
    let own = "queue=when-asked,device-tlb=7";
    assert_eq!(on_top("vtd", own), Some((QueueRuns::WhenAsked, 7)));
    assert_eq!(on_top("vtd,queue=at-once", own), Some((QueueRuns::AtOnce, 7)));
    assert_eq!(on_top("none", own), None);
}

#[test]
fn help_has_a_line_for_every_key() {
    for key in &KEYS {
        let line = format!("  {}={}", key.name, key.values);
        assert_eq!(help().lines().filter(|listed| listed.starts_with(&line)).count(), 1, "{line}");
    }
}

#[test]
fn what_is_not_understood_says_what_is() {
    for (text, expected) in [
        ("", "no kind ``"),
        ("smmu", "no kind `smmu`"),
        ("none,iotlb=1", "none takes no `iotlb=1`"),
        ("vtd,", "no key ``"),
        ("vtd,iotlb", "give iotlb=ENTRIES"),
        ("vtd,iotlb=-1", "give iotlb=ENTRIES"),
        ("vtd,iotlb=1048577", "give iotlb=ENTRIES"),
        ("vtd,scalable=1", "give scalable=on|off"),
        ("vtd,drop=0", "give drop=N"),
        ("vtd,report=one-in-0", "give report=late|first-use|one-in-N"),
        ("vtd,report=after-wait", "give report=late|first-use|one-in-N"),
        ("vtd,patience=50", "give patience=TIME"),
        ("vtd,patience=ms", "give patience=TIME"),
        ("vtd,x=1", "no key `x`"),
    ] {
        let wrong = parse(text).expect_err(text);
        assert!(wrong.contains(expected) && wrong.contains("--iommu help"), "{text}: {wrong}");
    }
}
