//! When a report is printed, how many are, and where.
//!
//! Invariant: no guest runs, and the unit notices nothing: what is reported is put in by the test.

use std::time::Instant;

use devices::serial::Transmit;
use iommu::spec::interrupt::Msi;
use iommu::vtd::interrupts::MsiSink;
use iommu::vtd::options::VtdOptions;
use mmu::memory::PhysicalMemory;

use super::super::screen::Mingling;
use super::super::screen::tests::{LONG, Paper};
use super::*;
use crate::sandbox::Sandbox;

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

/// Reports on one paper that the guest writes on, too, and a file for tools if there is to be one.
fn reports(format: Format, file: Option<&Paper>) -> (Reports, Paper) {
    let (paper, sandbox) = (Paper::default(), Sandbox::OFF);
    let file = file.map(|paper| ("a file".to_owned(), paper.clone()));
    let screen = Screen::new(paper.clone(), Paper::default(), Mingling::Together, file, sandbox);
    let memory = Arc::new(PhysicalMemory::new(1 << 20).expect("there is memory"));
    let unit = Vtd::new(memory, VtdOptions::default(), Arc::new(Nobody));
    let screen = Arc::new(screen.expect("there are threads"));
    (Reports::new(unit, format, Severity::Reported, screen), paper)
}

fn written(reports: &Reports, paper: &Paper) -> String {
    reports.screen.settle(LONG);
    paper.text()
}

fn json(report: &u64) -> String {
    format!("[{report}]")
}

#[test]
fn of_each_kind_so_many_are_printed_and_no_more() {
    let (mut reports, _) = reports(Format::Text, None);
    let some: Vec<_> = (0..MOST_PRINTED - 1).collect();
    reports.tell_all(Kind::Use, &some, json);
    reports.tell_all(Kind::Use, &[7, 8, 9], json);
    assert_eq!(reports.pending.len() as u64, MOST_PRINTED);
    assert_eq!(reports.pending.last().map(String::as_str), Some("7"), "the first of the rest");
    reports.tell_all(Kind::TimeOut, &[1, 2], json);
    assert_eq!(reports.pending.len() as u64, MOST_PRINTED + 2, "another kind");
    reports.print_pending();
    reports.tell_all(Kind::Use, &some, json);
    assert!(reports.pending.is_empty(), "what was printed counts");
}

#[test]
fn a_report_waits_for_the_end_of_the_guests_line() {
    let (mut reports, paper) = reports(Format::Text, None);
    let mut guest = reports.screen.guest_side();
    guest.send(b"boot");
    reports.tell_all(Kind::Use, &[1], json);
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "boot");
    guest.send(b"ing\n");
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "booting\n1\n");
}

#[test]
fn a_line_that_does_not_end_is_waited_for_a_while_and_the_next_as_long() {
    let (mut reports, paper) = reports(Format::Text, None);
    let mut guest = reports.screen.guest_side();
    guest.send(b"login: ");
    reports.tell_all(Kind::Use, &[1], json);
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: ");
    // The time is over.
    reports.waiting_since = Instant::now().checked_sub(PATIENCE);
    assert!(reports.waiting_since.is_some(), "the host runs for longer");
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: \n1\n");
    guest.send(b"password: ");
    reports.tell_all(Kind::Use, &[2], json);
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: \n1\npassword: ", "the wait begins anew");
}

#[test]
fn a_report_goes_to_the_user_in_his_format_and_to_tools_as_an_object() {
    for (format, seen) in [(Format::Text, "1\n"), (Format::Json, "[1]\n"), (Format::Off, "")] {
        let file = Paper::default();
        for tools in [None, Some(&file)] {
            let (mut reports, paper) = reports(format, tools);
            reports.tell_all(Kind::Use, &[1], json);
            assert!(reports.look().is_continue());
            assert_eq!(written(&reports, &paper), seen, "{format:?}");
        }
        assert_eq!(file.text(), "[1]\n", "{format:?}");
    }
}

#[test]
fn the_summary_counts_what_was_printed_of_stale_uses_and_of_nothing_else() {
    let (mut reports, _) = reports(Format::Json, None);
    reports.tell_all(Kind::ChangeInPlace, &[1], json);
    reports.tell_all(Kind::Use, &[1, 2], json);
    reports.tell_all(Kind::Interrupt, &[1, 2, 3, 4], json);
    reports.tell_all(Kind::TimeOut, &[1, 2, 3, 4, 5, 6, 7, 8], json);
    reports.tell_summary();
    let summary = reports.pending.pop().expect("it is told");
    assert!(summary.contains("\"printed\":7"), "{summary}");
}
