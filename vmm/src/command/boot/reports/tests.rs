//! When a report is printed, how many are, and where.
//!
//! Invariant: no guest runs: what is reported is put in by the test, but for notes at the end, whose cause it makes.

use std::time::Instant;

use devices::serial::Transmit;
use iommu::stale::watch::{Judging, StaleOptions, Watching};
use iommu::vtd::Width;
use iommu::vtd::options::VtdOptions;
use iommu::vtd::port::Port;
use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::{Msi, MsiSink, Request, SourceId};

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
    let memory = Arc::new(PhysicalMemory::new(1 << 20).expect("there is memory"));
    reports_of(Vtd::new(memory, VtdOptions::default(), Arc::new(Nobody)), format, file)
}

fn reports_of(unit: Arc<Vtd>, format: Format, file: Option<&Paper>) -> (Reports, Paper) {
    let (paper, sandbox) = (Paper::default(), Sandbox::OFF);
    let file = file.map(|paper| ("a file".to_owned(), paper.clone()));
    let screen = Screen::new(paper.clone(), Paper::default(), Mingling::Together, file, sandbox);
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
fn what_is_not_drawn_is_counted_however_much_is_printed() {
    let (reports, _) = reports(Format::Text, None);
    let mut reports = reports.with_drawings();
    let many: Vec<u64> = (0..2 * MOST_PRINTED).collect();
    reports.tell_all(Kind::Use, &many, json, |_, number| page::told(number, "", "a report"));
    let drawn = reports.conclude(true).drawn.expect("it was asked for");
    let left_out = many.len() + 1 - drawn.len();
    let told = format!("{left_out} further reports are not drawn");
    assert!(drawn[0].remarks.contains(&told), "{:?}", drawn[0].remarks);
}

#[test]
fn of_each_kind_so_many_are_printed_and_no_more() {
    let (mut reports, _) = reports(Format::Text, None);
    let some: Vec<_> = (0..MOST_PRINTED - 1).collect();
    reports.tell_all(Kind::Use, &some, json, |_, number| page::told(number, "", "a report"));
    reports.tell_all(Kind::Use, &[7, 8, 9], json, |_, number| page::told(number, "", "a report"));
    assert_eq!(reports.pending.len() as u64, MOST_PRINTED);
    assert_eq!(reports.pending.last().map(String::as_str), Some("7"), "the first of the rest");
    reports.tell_all(Kind::TimeOut, &[1, 2], json, |_, number| page::told(number, "", "a report"));
    assert_eq!(reports.pending.len() as u64, MOST_PRINTED + 2, "another kind");
    reports.print_pending();
    reports.tell_all(Kind::Use, &some, json, |_, number| page::told(number, "", "a report"));
    assert!(reports.pending.is_empty(), "what was printed counts");
}

#[test]
fn a_report_waits_for_the_end_of_the_guests_line() {
    let (mut reports, paper) = reports(Format::Text, None);
    let mut guest = reports.screen.guest_side();
    guest.send(b"boot");
    reports.tell_all(Kind::Use, &[1], json, |_, number| page::told(number, "", "a report"));
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
    reports.tell_all(Kind::Use, &[1], json, |_, number| page::told(number, "", "a report"));
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: ");
    // The time is over.
    reports.waiting_since = Instant::now().checked_sub(PATIENCE);
    assert!(reports.waiting_since.is_some(), "the host runs for longer");
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: \n1\n");
    guest.send(b"password: ");
    reports.tell_all(Kind::Use, &[2], json, |_, number| page::told(number, "", "a report"));
    assert!(reports.look().is_continue());
    assert_eq!(written(&reports, &paper), "login: \n1\npassword: ", "the wait begins anew");
}

#[test]
fn a_report_goes_to_the_user_in_his_format_and_to_tools_as_an_object() {
    for (format, seen) in [(Format::Text, "1\n"), (Format::Json, "[1]\n"), (Format::Off, "")] {
        let file = Paper::default();
        for tools in [None, Some(&file)] {
            let (mut reports, paper) = reports(format, tools);
            reports.tell_all(Kind::Use, &[1], json, |_, number| page::told(number, "", "a report"));
            assert!(reports.look().is_continue());
            assert_eq!(written(&reports, &paper), seen, "{format:?}");
        }
        assert_eq!(file.text(), "[1]\n", "{format:?}");
    }
}

#[test]
fn the_summary_counts_what_was_printed_of_stale_uses_and_of_nothing_else() {
    let (mut reports, _) = reports(Format::Json, None);
    reports.tell_all(Kind::ChangeInPlace, &[1], json, |_, number| page::told(number, "", "a report"));
    reports.tell_all(Kind::Use, &[1, 2], json, |_, number| page::told(number, "", "a report"));
    reports.tell_all(Kind::Interrupt, &[1, 2, 3, 4], json, |_, number| page::told(number, "", "a report"));
    reports.tell_all(Kind::TimeOut, &[1, 2, 3, 4, 5, 6, 7, 8], json, |_, number| {
        page::told(number, "", "a report")
    });
    reports.tell_summary();
    let summary = reports.pending.pop().expect("it is told");
    assert!(summary.contains("\"printed\":7"), "{summary}");
}

const SOURCE: SourceId = SourceId::new(0, 1, 0);
const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
/// Four tables, one a level. All entries of the three upper ones lead to the next, so that each page is seen at as many
/// addresses as they have.
const TABLES: u64 = 0x3000;
const LEAVES: u64 = TABLES + 3 * PAGE_SIZE;
const ENTRIES: u64 = 512;

/// A unit behind which pages of a device are mapped, and the device's way to them.
fn mapped() -> (Arc<Vtd>, Port) {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).expect("there is memory"));
    let store = |address, value| memory.store(PhysAddr(address), value);
    let context = CONTEXTS + u64::from(SOURCE.devfn()) * 16;
    store(ROOT, CONTEXTS | 1);
    store(context + 8, 2 | 7 << 8);
    store(context, TABLES | 1);
    for (level, entry) in (0..3).flat_map(|level| (0..ENTRIES).map(move |entry| (level, entry))) {
        let table = TABLES + level * PAGE_SIZE;
        store(table + entry * 8, (table + PAGE_SIZE) | 3);
    }
    (0..ENTRIES).for_each(|entry| store(LEAVES + entry * 8, 0x8_0000 | 3));
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let unit = Vtd::new(memory, VtdOptions { stale, ..VtdOptions::default() }, Arc::new(Nobody));
    unit.write(0x20, Width::Bits64, ROOT);
    unit.write(0x18, Width::Bits32, 1 << 30);
    unit.write(0x18, Width::Bits32, 1 << 31);
    let port = unit.port(SOURCE, 0);
    (unit, port)
}

fn use_page(port: &mut Port, page: u64) {
    let request = Request { pasid: None, address: VirtAddr(page * PAGE_SIZE), access: Access::Read };
    let _word = port.translate(request).expect("the page is mapped").load();
}

#[test]
fn what_is_cached_in_vain_is_told_when_the_guest_has_ended() {
    let (unit, mut port) = mapped();
    use_page(&mut port, 0);
    unit.memory().store(PhysAddr(LEAVES), 0);
    let (reports, paper) = reports_of(unit, Format::Text, None);
    let screen = Arc::clone(&reports.screen);
    assert_eq!(reports.conclude(true).stale, 0);
    screen.settle(LONG);
    let told = paper.text();
    assert!(told.starts_with("note: 1 cached translations no longer agree with the tables"), "{told}");
    assert!(told.ends_with("\nstale uses: none\n"), "{told}");
}

#[test]
fn translations_that_are_too_many_to_keep_in_mind_are_told() {
    let (unit, mut port) = mapped();
    // Beyond the addresses of interrupts.
    let mut page = 1 << 20;
    while unit.unwatched_count() == 0 {
        (0..ENTRIES).for_each(|next| use_page(&mut port, page + next));
        page += ENTRIES;
        assert!(page < 1 << 24, "so many have room nowhere");
    }
    let (reports, paper) = reports_of(unit, Format::Text, None);
    let screen = Arc::clone(&reports.screen);
    assert_eq!(reports.conclude(true).stale, 0);
    screen.settle(LONG);
    let told = paper.text();
    assert!(told.contains(" cached translations were too many to keep in mind"), "{told}");
}
