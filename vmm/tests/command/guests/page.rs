//! docs/drivers.md: each report that it shows is one that the program prints.
//!
//! Invariant: every driver with a mistake that is reported has its report on the page; only moments and the addresses of frames may differ.

use std::path::Path;

use guest_images::guest::GUESTS;

use super::boot;
use crate::{has_kvm, text};

/// Devices' addresses begin here; below lie frames, which move when the image grows.
const FIRST_DEVICE_ADDRESS: u64 = 1 << 32;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/drivers.md");
    std::fs::read_to_string(path).expect("the page can be read")
}

/// The report that the page shows of a guest.
fn shown<'a>(page: &'a str, guest: &str) -> &'a str {
    let (_, behind) =
        page.split_once(&format!("\n`{guest}`:\n\n```text\n")).expect("the page shows every guest's report");
    behind.split_once("\n```").expect("a report ends").0
}

/// The reports that were printed: each a first line and those that are indented behind it.
fn reports(printed: &str) -> Vec<String> {
    let begins =
        |line: &str| ["stale use: ", "entry changed in place: "].iter().any(|it| line.starts_with(it));
    let mut reports: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in printed.lines() {
        if begins(line) {
            reports.push(line.to_owned());
            is_inside = true;
        } else if is_inside && line.starts_with("  ") {
            let report = reports.last_mut().expect("a report has begun");
            report.push('\n');
            report.push_str(line);
        } else {
            is_inside = false;
        }
    }
    reports
}

/// A report without what differs from run to run.
fn masked(report: &str) -> String {
    let mut previous = "";
    let is_count = |line: &&str| line.starts_with("  filled ");
    // How often something is used again depends on the device's pace.
    let once = report.lines().map(|line| match line.split_once(") and ") {
        Some((before, _)) if is_count(&line) => format!("{before})"),
        _ => line.to_owned(),
    });
    let report = once.collect::<Vec<_>>().join("\n");
    let words = report.split(' ').map(|word| {
        let is_moment = previous == "event" || word.starts_with('(');
        previous = word;
        if is_moment || is_frame(word) { "?" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_frame(word: &str) -> bool {
    let digits =
        word.strip_prefix("0x").map(|digits| digits.trim_end_matches(|it: char| !it.is_ascii_hexdigit()));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).is_some_and(|it| it < FIRST_DEVICE_ADDRESS)
}

#[test]
fn the_page_shows_the_reports_that_are_printed() {
    if !has_kvm() {
        return;
    }
    let page = page();
    for guest in GUESTS.iter().filter(|guest| guest.name.starts_with("vtd-bug-")) {
        // A slow machine must not be out of patience before the guest goes on.
        let arguments: &[_] =
            if guest.unit.contains("report=") { &[] } else { &["--iommu", "vtd,patience=3600s"] };
        let printed = reports(&text(&boot(guest.name, arguments).stderr));
        let shown = masked(shown(&page, guest.name));
        // Two devices work side by side: which of them is the first to use something stale differs from run to run.
        assert!(
            printed.iter().any(|it| masked(it) == shown),
            "docs/drivers.md shows for {} what is not printed:\n{shown}\n\nprinted:\n{}",
            guest.name,
            printed.join("\n")
        );
    }
}

#[test]
fn only_moments_and_frames_are_masked() {
    let line = "filled event 18 (2.5 ms), wrote 0x140000000, reached 0x155000, domain 16";
    assert_eq!(masked(line), "filled event ? ? ms), wrote 0x140000000, reached ? domain 16");
}
