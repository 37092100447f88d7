//! The guests that come with the program, run by `afterimage boot --guest`.
//!
//! Invariant: what a guest says it used stale on purpose and what the unit reported are the same, address by address.

mod bugs;
mod page;

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::{afterimage, has_kvm, text};

/// The status of a driver one of whose checks failed.
const FAILED: i32 = 1;

fn boot(guest: &str, arguments: &[&str]) -> Output {
    afterimage(&[&["boot", "--timeout", "60", "--guest", guest], arguments].concat())
}

/// Addresses, and what was missing when a stale translation was used there.
type Stale = BTreeSet<(String, String)>;

/// What the lines of the guest say.
fn announced(output: &Output) -> Stale {
    let mut stale = Stale::new();
    for line in text(&output.stdout).lines() {
        let Some((_, told)) = line.split_once(": stale ") else { continue };
        let (addresses, missing) = told.split_once(" missing ").expect("a line names what is missing");
        for address in addresses.split(' ') {
            assert!(stale.insert((address.to_owned(), missing.to_owned())), "twice: {line}");
        }
    }
    stale
}

/// What the unit reported of pages and interrupts; what walks read on the way is not announced.
fn reported(output: &Output) -> Stale {
    let mut stale = Stale::new();
    let mut told = BTreeSet::new();
    for line in text(&output.stderr).lines() {
        let report: Value = serde_json::from_str(line).expect("each line is an object");
        if report["event"] != "stale-use" || ["refusal", "table"].iter().any(|kind| report["kind"] == *kind) {
            continue;
        }
        let remedies = report["remedy"].as_array().expect("remedies are a list");
        let missing: Vec<_> =
            remedies.iter().map(|remedy| kind(remedy.as_str().expect("in words"))).collect();
        let address = match report["index"].as_u64() {
            Some(index) => format!("{index:#x}"),
            None => report["address"].as_str().expect("an address is a string").to_owned(),
        };
        let found = (address, missing.join("+"));
        // An invalidation in vain is a mistake of its own.
        let mistake = report["mistake"].as_str().expect("a report names the mistake").to_owned();
        assert!(told.insert((found.clone(), mistake)), "reported twice: {line}");
        stale.insert(found);
    }
    stale
}

/// An invalidation of a report, in the guest's words.
fn kind(remedy: &str) -> &'static str {
    let is_of_pages = remedy.contains(", page ") || remedy.contains(" pages from ");
    match remedy {
        _ if remedy.starts_with("device TLB of ") => "device-tlb",
        _ if remedy.starts_with("interrupt entries") => "interrupt-entry",
        _ if remedy.starts_with("context cache") => "context-cache",
        _ if remedy.starts_with("PASID cache") => "pasid-cache",
        _ if remedy.starts_with("PASID IOTLB") && is_of_pages && remedy.ends_with("IH 0") => {
            "pasid-iotlb-tables"
        }
        _ if remedy.starts_with("PASID IOTLB") && is_of_pages => "pasid-iotlb-page",
        _ if remedy.starts_with("PASID IOTLB") => "pasid-iotlb",
        _ if remedy.starts_with("IOTLB") && is_of_pages && remedy.ends_with("IH 0") => "iotlb-tables",
        _ if remedy.starts_with("IOTLB") && is_of_pages => "iotlb-page",
        _ if remedy.starts_with("IOTLB") => "iotlb-domain",
        other => panic!("no guest knows `{other}`"),
    }
}

fn assert_passed(output: &Output, what: &str) {
    let told = text(&output.stdout);
    // A stale use that was reported goes before what the guest says.
    let summary = text(&output.stderr).lines().last().map(serde_json::from_str::<Value>);
    let summary = summary.expect("there is a summary").expect("which is an object");
    let has_reports = [&summary["count"], &summary["changes_in_place"]].iter().any(|count| **count != 0);
    let expected = if has_reports { 4 } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{what}: {told}\n{}", text(&output.stderr));
    assert!(
        told.lines().all(|line| line.starts_with("ok ") || line.starts_with("passed: ")),
        "{what}: {told}"
    );
}

#[test]
fn the_driver_passes_and_every_stale_use_is_reported_with_what_is_missing() {
    if !has_kvm() {
        return;
    }
    let output = boot("vtd-test", &["--stale-report", "json"]);
    assert_passed(&output, "all caches on");
    let announced = announced(&output);
    assert!(announced.len() > 60, "{announced:?}");
    assert_eq!(reported(&output), announced);
}

/// A MiB of it, and 3 GiB below the place of devices.
#[test]
fn processors_devices_and_walks_reach_memory_above_4_gib() {
    if !has_kvm() {
        return;
    }
    let output = boot("vtd-test", &["--memory", "3073M", "--stale-report", "json"]);
    assert_passed(&output, "memory above 4 GiB");
    let checked = text(&output.stdout).lines().filter(|line| line.ends_with("above 4 GiB")).count();
    assert_eq!(checked, 2, "{}", text(&output.stdout));
    assert_eq!(reported(&output), announced(&output));
}

/// Request ids of other buses, root entries for them, and each device behind a port that forwards.
#[test]
fn the_driver_passes_with_its_devices_behind_root_ports() {
    if !has_kvm() {
        return;
    }
    let output = boot("vtd-test", &["--root-ports", "--stale-report", "json"]);
    assert_passed(&output, "root ports");
    assert_eq!(reported(&output), announced(&output));
    assert!(text(&output.stderr).contains("\"01:00.0\""), "the first device is on bus 1");
}

#[test]
fn the_driver_passes_with_each_cache_off() {
    if !has_kvm() {
        return;
    }
    for cache in ["iotlb", "paging", "context", "pasid", "interrupt", "device-tlb"] {
        let output = boot("vtd-test", &["--iommu", &format!("vtd,{cache}=0"), "--stale-report", "json"]);
        assert_passed(&output, cache);
        assert_eq!(reported(&output), announced(&output), "{cache}");
    }
    let output = boot("vtd-test", &["--iommu", "vtd,caches=off,device-tlb=0", "--stale-report", "json"]);
    assert_passed(&output, "no cache at all");
    assert!(announced(&output).is_empty() && reported(&output).is_empty());
}

#[test]
fn reads_that_race_with_moves_find_each_page_where_it_is_or_was() {
    if !has_kvm() {
        return;
    }
    let race = |unit| {
        let output =
            boot("vtd-race", &["--cmdline", "reads=1000", "--iommu", unit, "--stale-report", "json"]);
        assert_passed(&output, unit);
        output
    };
    // A use between the change and its invalidation is no error of a driver whose devices do not stop.
    for unit in ["vtd", "vtd,iotlb=0,device-tlb=0", "vtd,caches=never-evict", "vtd,answers=late"] {
        assert_eq!(reported(&race(unit)), Stale::new(), "{unit}");
    }
    // Pages that move are used all the time where they were, and so is on purpose what is announced.
    let output = race("vtd,report=first-use");
    assert!(!announced(&output).is_empty() && text(&output.stderr).contains("\"stale-use\""), "{output:?}");
    // The first ones are not of moves.
    let fails = |nth| {
        let unit = format!("vtd,drop={nth}");
        text(&boot("vtd-race", &["--cmdline", "reads=1000", "--iommu", &unit]).stdout).contains("\nFAILED: ")
    };
    assert!((52..62).any(fails), "a move whose invalidation is not carried out is noticed");
}

#[test]
fn the_driver_looks_for_no_more_than_the_unit_offers() {
    if !has_kvm() {
        return;
    }
    for absent in ["scalable=off", "device-tlbs=off", "five-levels=off", "caching-mode=on", "split-large=on"]
    {
        let output = boot("vtd-test", &["--iommu", &format!("vtd,{absent}"), "--stale-report", "json"]);
        assert_passed(&output, absent);
        assert_eq!(reported(&output), announced(&output), "{absent}");
    }
}

#[test]
fn the_driver_notices_invalidations_that_are_not_carried_out() {
    if !has_kvm() {
        return;
    }
    // Those of one part of the matrix; what only cleans up before a change of mode is not missed.
    for nth in 39..=43 {
        let output = boot("vtd-test", &["--iommu", &format!("vtd,drop={nth}"), "--stale-report", "off"]);
        let told = text(&output.stdout);
        assert!(told.contains("\nFAILED ") && told.contains("flushed: 0x1008"), "{nth}: {told}");
        assert_eq!(output.status.code(), Some(FAILED), "{nth}");
    }
}

#[test]
fn without_a_unit_or_its_engines_the_driver_says_what_is_lacking() {
    if !has_kvm() {
        return;
    }
    for (arguments, lacking) in [
        (["--iommu", "none"], "there is no remapping unit; boot with --iommu vtd"),
        (["--device", "edu"], "there are fewer than 2 DMA engines; boot with --device dma-engine for each"),
    ] {
        let output = boot("vtd-test", &arguments);
        assert_eq!(text(&output.stdout), format!("FAILED {lacking}\n"));
        assert_eq!(output.status.code(), Some(FAILED));
    }
}

#[test]
fn a_device_that_never_answers_is_named_and_the_driver_sees_the_time_out() {
    if !has_kvm() {
        return;
    }
    let unit = "vtd,answers=never,answer-timeout=50ms";
    let output = boot("vtd-test", &["--iommu", unit]);
    let (told, report) = (text(&output.stdout), text(&output.stderr));
    assert!(told.contains("the unit stopped the queue, FSTS 0x40"), "{told}");
    assert_eq!(
        report.lines().next(),
        Some(
            "time-out: invalidation of device TLB of 00:01.0, all, not answered after 50ms: FSTS.ITE, and the wait behind \
             it is aborted"
        )
    );
    let output = boot("vtd-test", &["--iommu", unit, "--stale-report", "json"]);
    let report = text(&output.stderr);
    let first: Value = serde_json::from_str(report.lines().next().expect("a report")).expect("an object");
    assert_eq!((&first["event"], &first["source"]), (&"time-out".into(), &"00:01.0".into()), "{report}");
}

#[test]
fn an_exception_of_the_driver_is_told_and_ends_the_machine() {
    if !has_kvm() {
        return;
    }
    // Of two programs the last one counts.
    let output = boot("vtd-test", &["--cmdline", "run=breakdown"]);
    let told = text(&output.stdout);
    assert!(told.starts_with("FAILED exception 6 (error 0x0) at 0x10"), "{told}");
    assert_eq!(output.status.code(), Some(FAILED), "{told}");
}

#[test]
fn a_small_guest_brings_its_device() {
    if !has_kvm() {
        return;
    }
    let output = boot("edu", &[]);
    assert_eq!(
        text(&output.stdout),
        "edu driver\ninterrupts through the unit\npassed\n",
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn guests_are_listed_by_name() {
    let listed = text(&afterimage(&["guests"]).stdout);
    for name in ["hello", "echo", "edu", "testdev", "vtd-test", "vtd-race", "vtd-detach"] {
        assert!(listed.lines().any(|line| line.split(' ').next() == Some(name)), "{name}: {listed}");
    }
}

#[test]
fn wrong_usage_says_what_there_is() {
    for (arguments, expected) in [
        (&["boot", "--guest", "nobody"][..], "there is hello, echo"),
        (&["boot", "--guest", "hello", "--kernel", "file"], "cannot be used with"),
        (&["boot"], "--kernel <FILE>|--guest <NAME>"),
    ] {
        let output = afterimage(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
