//! Timelines of the catalogue's scenarios, against what is known of them.

use ordering::catalogue::file_of;
use ordering::engine::{self, Options, Verdict};
use ordering::lowering::{Lowered, load};

use super::*;
use crate::fair::fair;

/// The scenario of the catalogue with that name.
fn lowered(name: &str) -> Lowered {
    let file = file_of(name).expect("it is in the catalogue");
    let loaded = load(file.text).expect("the catalogue has no errors");
    loaded.into_iter().find(|(_, lowered)| lowered.name == name).expect("it is in its file").1
}

/// The timeline of its counterexample.
fn refuted(name: &str) -> Timeline {
    let lowered = lowered(name);
    let packed = engine::compile(&lowered.model).expect("it can be packed");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => Timeline::new(&lowered, &trace, Some(property)),
        other => panic!("{name} is refuted, and not {other:?}"),
    }
}

impl Timeline {
    fn lane(&self, name: &str) -> &Lane {
        self.lanes.iter().find(|lane| lane.name == name).unwrap_or_else(|| panic!("no {name}: {self:#?}"))
    }

    /// The only row in which that agent does that.
    fn row(&self, agent: &str, text: &str) -> usize {
        let does = |row: &Row| row.text == text && self.agents[row.agent].name == agent;
        let rows: Vec<usize> =
            (1..).zip(&self.rows).filter(|(_, row)| does(row)).map(|(number, _)| number).collect();
        assert_eq!(rows.len(), 1, "{agent}: {text}: {self:#?}");
        rows[0]
    }

    fn arrows_to(&self, row: usize) -> Vec<(usize, End)> {
        self.arrows.iter().filter(|arrow| arrow.to == row).map(|arrow| (arrow.from, arrow.end)).collect()
    }
}

fn segments(lane: &Lane) -> Vec<(usize, Option<usize>, &str, bool)> {
    lane.segments.iter().map(|one| (one.from, one.to, one.holds.as_str(), one.stale)).collect()
}

#[test]
fn a_device_that_was_told_before_the_clear_is_stale_from_the_clear_to_the_use() {
    let run = refuted("cow-notify-before-clear");
    let (told, filled) = (run.row("CPU", "notify A"), run.row("IOMMU", "walk A"));
    let (cleared, set) = (run.row("CPU", "pte_clear A"), run.row("CPU", "set_pte A -> new rw"));
    let last = run.row("IOMMU", "dma_read A = 0");
    let device = run.lane("tlb[IOMMU][A]");
    assert_eq!((device.what.as_str(), device.kind), ("IOTLB of IOMMU", Kind::Cache));
    let held = [(filled, Some(cleared), "old ro", false), (cleared, None, "old ro", true)];
    assert_eq!(segments(device), held, "{run:#?}");
    assert_eq!((&device.emptied, &device.used), (&vec![told], &vec![last]));
    let says = [
        (0, Some(cleared), "old ro", false),
        (cleared, Some(set), "none", false),
        (set, None, "new rw", false),
    ];
    assert_eq!(segments(run.lane("pte[A]")), says);
    assert_eq!(run.arrows_to(last), [(cleared, End::Used)]);
    assert_eq!(run.arrows_to(told), [], "nothing had changed when the device was told");
    assert_eq!(run.arrows_to(run.row("CPU", "flush_tlb A")), [(cleared, End::Told)]);
    assert_eq!((run.breaks(), last), (Some(last), run.rows.len()));
}

#[test]
fn a_cpu_that_nobody_flushes_is_stale_and_the_device_that_was_told_is_not() {
    let run = refuted("wp-page-copy-no-flush");
    let used: Vec<&Arrow> = run.arrows.iter().filter(|arrow| arrow.end == End::Used).collect();
    assert_eq!(used.len(), 1, "{run:#?}");
    let lane = &run.lanes[used[0].lanes[0]];
    assert_eq!(lane.what, "TLB of T1");
    assert!(lane.emptied.is_empty(), "no row flushes it: {lane:#?}");
    let stale = lane.segments.last().expect("it holds something");
    assert!(stale.stale && stale.to.is_none(), "{lane:#?}");
    assert_eq!(used[0].to, run.rows.len());
}

#[test]
fn a_walk_that_an_invalidation_does_not_stop_is_stale_on_its_way() {
    let run = refuted("cow-invalidation-does-not-drain");
    let (read, filled) = (run.row("IOMMU", "walk A: read"), run.row("IOMMU", "walk A: fill"));
    let cleared = run.row("CPU", "pte_clear A");
    let way = run.lane("walk[IOMMU][A]");
    assert_eq!(way.kind, Kind::OnTheWay);
    let held = [(read, Some(cleared), "old ro", false), (cleared, Some(filled), "old ro", true)];
    assert_eq!(segments(way), held, "{run:#?}");
    assert_eq!(segments(run.lane("tlb[IOMMU][A]")), [(filled, None, "old ro", true)], "it is filled stale");
    assert_eq!(run.arrows_to(run.rows.len()), [(cleared, End::Used)]);
}

#[test]
fn what_a_vcpu_took_from_a_shadow_entry_is_stale_when_the_primary_entry_has_changed() {
    let run = refuted("wp-page-copy-no-range-start");
    let shadow = run.lane("spte[A]");
    assert_eq!(shadow.what, "shadow entry");
    let last = shadow.segments.last().expect("it holds something");
    let clear = run.row("mm", "pte_clear A");
    assert!(last.stale && last.to.is_none() && last.from == clear, "{shadow:#?}");
}

/// The number behind the first `what` of a sentence.
fn number_behind(sentence: &str, what: &str) -> Option<usize> {
    let (_, rest) = sentence.split_once(what)?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn what_a_reason_calls_stale_is_stale_in_its_lane_from_the_same_row_to_the_same_use() {
    let mut compared = 0;
    for entry in ordering::catalogue::entries() {
        let packed = engine::compile(&entry.lowered.model).expect("it can be packed");
        let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
        else {
            continue;
        };
        let run = Timeline::new(&entry.lowered, &trace, Some(property));
        let name = &entry.lowered.name;
        // `why: row 10 relies on tlb[IOMMU][A] = old ro, of row 3; pte[A] has not said so since row 4 (…)`
        for reason in run.why.iter().filter(|reason| reason.contains(" relies on ")) {
            let facts = |reason: &str| {
                let (before, holds) = reason.split_once(" relies on ")?;
                let used: usize = before.rsplit("row ").next()?.parse().ok()?;
                let (variable, holds) = holds.split_once(" = ")?;
                let (holds, behind) = holds.split_once(", of row ")?;
                let filled = number_behind(&format!("row {behind}"), "row ")?;
                Some((used, variable.to_owned(), holds.to_owned(), filled))
            };
            let since = number_behind(reason, " has not said so since row ");
            let (Some((used, variable, holds, filled)), Some(since)) = (facts(reason), since) else {
                continue;
            };
            let Some(lane) = run.lanes.iter().find(|lane| lane.name == variable) else { continue };
            let told = || format!("{name}: {reason}: {lane:#?}");
            let segment = lane.at(used - 1).unwrap_or_else(|| panic!("{}", told()));
            assert_eq!((segment.holds.as_str(), segment.stale), (holds.as_str(), true), "{}", told());
            assert!(segment.from <= since.max(filled), "{}", told());
            let arrow = run.arrows.iter().find(|arrow| arrow.end == End::Used && arrow.to == used);
            assert!(arrow.is_some_and(|arrow| arrow.from < arrow.to), "{}", told());
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} reasons were compared");
}

#[test]
fn segments_of_every_scenario_follow_one_another_within_the_run() {
    for entry in ordering::catalogue::entries() {
        let Some(trace) = fair(&entry.lowered.model) else { continue };
        let run = Timeline::new(&entry.lowered, &trace, None);
        for lane in &run.lanes {
            let ends = lane.segments.iter().map(|segment| segment.to.unwrap_or(run.rows.len() + 1));
            let next = lane.segments.iter().skip(1).map(|segment| segment.from).chain([run.rows.len() + 1]);
            for ((segment, end), next) in lane.segments.iter().zip(ends).zip(next) {
                assert!(segment.from < end && end <= next, "{}: {lane:#?}", entry.lowered.name);
            }
        }
        assert!(
            run.arrows
                .iter()
                .all(|arrow| 0 < arrow.from && arrow.from < arrow.to && arrow.to <= run.rows.len())
        );
        assert!(run.why.is_empty() && run.broken.is_none());
    }
}

#[test]
fn a_start_that_breaks_a_property_has_no_row_and_says_why() {
    let text = "scenario s\nvar x = 0..1\nagent k\n  x = 1\nalways x == 1\nexpect violation\n";
    let (_, lowered) = load(text).expect("it has no errors").remove(0);
    let packed = engine::compile(&lowered.model).expect("it can be packed");
    let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
    else {
        panic!("it is broken at the start");
    };
    let run = Timeline::new(&lowered, &trace, Some(property));
    assert_eq!((run.rows.len(), run.breaks(), run.why.is_empty()), (0, Some(0), false));
    assert!(crate::layout::Layout::new(&run).notes.len() >= 2, "it is drawn all the same");
}

#[test]
fn what_goes_on_for_ever_is_behind_the_run_and_does_not_break_it() {
    let run = refuted("retry-compares-the-first-number");
    let parts: Vec<Part> = run.rows.iter().map(|row| row.part).collect();
    assert!(parts.contains(&Part::Cycle), "{parts:?}");
    assert_eq!(run.breaks(), Some(3), "the round does not count");
    assert!(parts[..3].iter().all(|part| *part == Part::Run), "{parts:?}");
}

#[test]
fn what_a_device_goes_by_is_called_what_it_is() {
    for (name, entry, cache) in [
        ("context-entry-left-in-the-cache", "context entry", "context cache of DEV"),
        ("pasid-cache-forgotten", "PASID entry", "PASID cache of DEV"),
    ] {
        let run = refuted(name);
        let called: Vec<&str> = run.lanes.iter().map(|lane| lane.what.as_str()).collect();
        assert!(called.contains(&entry) && called.contains(&cache), "{name}: {called:?}");
    }
}
