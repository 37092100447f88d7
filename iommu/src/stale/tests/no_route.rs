//! Requesters that are refused by cached entries after software has set up what leads to their tables, with CAP.CM.

use std::time::Duration;

use mmu::address::PhysAddr;

use crate::spec::descriptor::{ContextScope, Descriptor, PasidScope};
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::stale::{Ground, Holder, Kind, StaleUse};
use crate::vtd::options::{CachingMode, Judging, StaleOptions, VtdOptions, Watching};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, Words, invalidations, load_at, pasid,
};

const AT_ONCE: StaleOptions = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
const LATE: StaleOptions =
    StaleOptions { watching: Watching::EveryUse, judging: Judging::Late(Duration::MAX) };

/// What was not there when PASID 5 was used first.
#[derive(Clone, Copy, Debug)]
enum Missing {
    Context,
    DirectoryEntry,
    PasidEntry,
}

const ALL: [Missing; 3] = [Missing::Context, Missing::DirectoryEntry, Missing::PasidEntry];

/// A process that was refused once, and is set up by now.
struct Scene {
    driver: Driver,
    directory: PhysAddr,
    table: PhysAddr,
    port: Port,
}

impl Scene {
    fn new(missing: Missing, caching_mode: CachingMode, stale: StaleOptions) -> Self {
        let options = VtdOptions { caching_mode, stale, ..VtdOptions::default() };
        let mut driver = Driver::scalable_with(options);
        let directory = driver.attach_scalable(SOURCE);
        let table = driver.first_stage(directory, 5, DOMAIN);
        driver.map(FIRST_STAGE, table, PAGE, 1);
        let place = match missing {
            Missing::Context => driver.context_place(SOURCE),
            Missing::DirectoryEntry => directory,
            Missing::PasidEntry => driver.pasid_place(directory, 5),
        };
        let entry = driver.memory.load(place);
        driver.memory.store(place, 0);
        let mut port = driver.port();
        let reason = match missing {
            Missing::Context => FaultReason::ScalableContextNotPresent,
            Missing::DirectoryEntry => FaultReason::DirectoryNotPresent,
            Missing::PasidEntry => FaultReason::PasidNotPresent,
        };
        for _ in 0..2 {
            let refused = load_at(&mut port, Some(pasid(5)), PAGE).unwrap_err();
            assert_eq!(refused.reason, reason, "{missing:?}");
        }
        assert_eq!(driver.unit.take_stale_uses(), [], "{missing:?}: it is not there");
        driver.memory.store(place, entry);
        Self { driver, directory, table, port }
    }

    fn is_refused(&mut self) -> bool {
        load_at(&mut self.port, Some(pasid(5)), PAGE).is_err()
    }

    /// The reports when nothing comes any more.
    fn reports(&self) -> Vec<StaleUse> {
        self.driver.unit.judge_the_rest();
        self.driver.unit.take_stale_uses()
    }
}

/// The smallest invalidation of it.
fn right(missing: Missing) -> Words {
    match missing {
        Missing::Context => invalidations::context_of(SOURCE),
        Missing::DirectoryEntry | Missing::PasidEntry => invalidations::pasid_entry(DomainId::RESERVED, 5),
    }
}

#[test]
fn with_caching_mode_whoever_is_refused_by_a_cached_entry_is_reported_with_the_invalidation_that_is_missing()
{
    for missing in ALL {
        let mut scene = Scene::new(missing, CachingMode::AlsoAbsent, AT_ONCE);
        assert!(scene.is_refused(), "{missing:?}");
        let reports = scene.driver.unit.take_stale_uses();
        let [report] = &reports[..] else { panic!("{missing:?}: {reports:?}") };
        assert_eq!((report.kind, report.holder), (Kind::NoRoute, Holder::TableCaches));
        assert!(report.now.is_ok(), "the tables let it pass: {report}");
        let remedy = match missing {
            Missing::Context => {
                Descriptor::ContextCache(ContextScope::Device { source: SOURCE, ignored_bits: 0 })
            }
            Missing::DirectoryEntry | Missing::PasidEntry => {
                Descriptor::PasidCache(PasidScope::Pasid(DomainId::RESERVED, pasid(5)))
            }
        };
        assert_eq!(report.remedy, [remedy], "{missing:?}");
        assert_eq!(report.mistake().name(), "nothing-invalidated");
        assert!(report.to_string().contains("mistake: nothing was invalidated for the cached table entry"));
        assert!(report.to_json().contains("\"kind\":\"no-route\""), "{}", report.to_json());
        assert!(scene.is_refused(), "{missing:?}");
        assert_eq!(scene.driver.unit.take_stale_uses(), [], "once is enough");
        scene.driver.invalidate(&[right(missing)]);
        assert!(!scene.is_refused(), "{missing:?}: what the report names does help");
        assert_eq!(scene.driver.unit.take_stale_uses(), []);
    }
}

#[test]
fn without_caching_mode_nobody_is_refused_and_nothing_is_reported() {
    for missing in ALL {
        let mut scene = Scene::new(missing, CachingMode::PresentOnly, AT_ONCE);
        assert!(!scene.is_refused(), "{missing:?}: seen at once");
        assert_eq!(scene.reports(), [], "{missing:?}");
    }
}

#[test]
fn whoever_invalidates_what_was_absent_is_in_no_report_however_often_the_device_asked_before() {
    let every = [invalidations::all_contexts(), invalidations::all_pasid_entries()];
    for missing in ALL {
        for invalidation in [&[right(missing)][..], &every] {
            let mut scene = Scene::new(missing, CachingMode::AlsoAbsent, LATE);
            assert!(scene.is_refused() && scene.is_refused(), "{missing:?}: it may be until it is told");
            assert_eq!(scene.driver.unit.take_stale_uses(), []);
            scene.driver.invalidate(invalidation);
            assert!(!scene.is_refused(), "{missing:?}");
            assert_eq!(scene.reports(), [], "{missing:?}");
            assert_eq!(scene.driver.unit.tally().dropped, 1, "positive control: it was kept until then");
        }
        let mut scene = Scene::new(missing, CachingMode::AlsoAbsent, LATE);
        assert!(scene.is_refused(), "{missing:?}");
        let reports = scene.reports();
        assert_eq!(reports.len(), 1, "positive control: without one it is");
        assert_eq!(reports[0].ground, Ground::TheEnd);
    }
}

/// The processor's tables change all the time, and nobody tells the PASID cache.
#[test]
fn where_the_pages_lead_meanwhile_makes_no_report_of_whoever_invalidates_the_entry() {
    let mut scene = Scene::new(Missing::PasidEntry, CachingMode::AlsoAbsent, LATE);
    assert!(scene.is_refused());
    scene.driver.map(FIRST_STAGE, scene.table, PAGE, 2);
    scene.driver.invalidate(&[right(Missing::PasidEntry)]);
    assert!(!scene.is_refused());
    assert_eq!(scene.reports(), []);
}

/// K8 of docs/findings.md.
#[test]
fn an_absent_entry_that_is_invalidated_in_the_new_domain_stays_and_the_report_says_so() {
    for missing in [Missing::DirectoryEntry, Missing::PasidEntry] {
        let mut scene = Scene::new(missing, CachingMode::AlsoAbsent, LATE);
        assert!(scene.is_refused());
        let flush = invalidations::pasid(DOMAIN, 5);
        scene.driver.invalidate(&[invalidations::pasid_entry(DOMAIN, 5), flush]);
        assert!(scene.is_refused(), "it is cached in domain 0");
        let reports = scene.reports();
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!(report.mistake().name(), "other-domain");
        let text = report.to_string();
        let said = "mistake: \"PASID cache, domain 7, PASID 5\" names another domain; what leads to no table is cached in \
                    domain 0";
        assert!(text.contains(said), "{text}");
        assert!(text.ends_with("would have helped:\n    PASID cache, domain 0, PASID 5"), "{text}");
    }
}

#[test]
fn whoever_tells_the_iotlb_alone_has_not_told_the_cache_of_entries() {
    let mut scene = Scene::new(Missing::PasidEntry, CachingMode::AlsoAbsent, LATE);
    assert!(scene.is_refused());
    scene.driver.invalidate(&[invalidations::pasid(DOMAIN, 5)]);
    assert!(scene.is_refused());
    let reports = scene.reports();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.mistake().name(), "nothing-invalidated");
    assert!(report.to_string().contains("what came is \"PASID IOTLB, domain 7, PASID 5\""), "{report}");
}

#[test]
fn a_process_whose_page_is_not_there_yet_is_refused_by_the_wrong_entry_all_the_same() {
    let mut scene = Scene::new(Missing::PasidEntry, CachingMode::AlsoAbsent, AT_ONCE);
    let other = PAGE.offset(1 << 30);
    assert!(load_at(&mut scene.port, Some(pasid(5)), other).is_err());
    let reports = scene.driver.unit.take_stale_uses();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.kind, report.now), (Kind::NoRoute, Err(FaultReason::FirstStageNotPresent)));
}

#[test]
fn an_entry_that_changes_and_still_leads_nowhere_is_no_stale_use() {
    let mut scene = Scene::new(Missing::PasidEntry, CachingMode::AlsoAbsent, AT_ONCE);
    let place = scene.driver.pasid_place(scene.directory, 5);
    // FPD, and not P.
    scene.driver.memory.store(place, 2);
    assert!(scene.is_refused());
    assert_eq!(scene.driver.unit.take_stale_uses(), []);
}

#[test]
fn in_legacy_mode_an_absent_context_entry_has_to_be_invalidated_in_the_reserved_domain() {
    for (domain, reports) in [(DOMAIN, 1), (DomainId::RESERVED, 0)] {
        let caching_mode = CachingMode::AlsoAbsent;
        let mut driver =
            Driver::legacy_with(VtdOptions { caching_mode, stale: LATE, ..VtdOptions::default() });
        let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
        driver.map(SECOND_STAGE, table, PAGE, 1);
        let place = driver.context_place(SOURCE);
        let entry = driver.memory.load(place);
        driver.memory.store(place, 0);
        let mut port = driver.port();
        let mut is_refused = || load_at(&mut port, None, PAGE).is_err();
        assert!(is_refused());
        driver.memory.store(place, entry);
        assert!(is_refused(), "cached");
        driver.invalidate(&[[1 | 2 << 4 | u64::from(domain.0) << 16, 0, 0, 0]]);
        assert_eq!(is_refused(), reports == 1, "{domain}");
        driver.unit.judge_the_rest();
        let found = driver.unit.take_stale_uses();
        assert_eq!(found.len(), reports, "{found:?}");
        for report in found {
            let device = ContextScope::Device { source: SOURCE, ignored_bits: 0 };
            assert_eq!(report.remedy, [Descriptor::ContextCache(device)]);
        }
    }
}

/// In scalable mode a context entry has no domain, so whichever is named takes it away.
#[test]
fn in_scalable_mode_any_domain_takes_an_absent_context_entry_away() {
    let mut scene = Scene::new(Missing::Context, CachingMode::AlsoAbsent, LATE);
    assert!(scene.is_refused());
    scene.driver.invalidate(&[[1 | 2 << 4 | u64::from(DOMAIN.0) << 16, 0, 0, 0]]);
    assert!(!scene.is_refused());
    assert_eq!(scene.reports(), []);
}
