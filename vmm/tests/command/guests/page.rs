//! docs/drivers.md: what it shows is what the program prints.
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

/// The first report that was printed: its first line and those that are indented behind it.
fn first_report(printed: &str) -> String {
    let begins =
        |line: &&str| ["stale use: ", "entry changed in place: "].iter().any(|it| line.starts_with(it));
    let mut lines = printed.lines().skip_while(|line| !begins(line));
    let headline = lines.next().unwrap_or_default();
    let rest = lines.take_while(|line| line.starts_with("  "));
    std::iter::once(headline).chain(rest).collect::<Vec<_>>().join("\n")
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
        let printed = first_report(&text(&boot(guest.name, &[]).stderr));
        let shown = shown(&page, guest.name);
        assert_eq!(
            masked(shown),
            masked(&printed),
            "docs/drivers.md has to show for {}:\n{printed}",
            guest.name
        );
    }
}

#[test]
fn only_moments_and_frames_are_masked() {
    let line = "filled event 18 (2.5 ms), wrote 0x140000000, reached 0x155000, domain 16";
    assert_eq!(masked(line), "filled event ? ? ms), wrote 0x140000000, reached ? domain 16");
}
