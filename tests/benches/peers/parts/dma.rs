//! What a device reads through its port: a word, with and without the report of stale uses, and a page.
//!
//! Invariant: all read the same bytes, which differ from word to word; so nobody can read elsewhere and look right.

use std::sync::atomic::Ordering;

use iommu::stale::watch::StaleOptions;
use iommu::vtd::port::Port;
use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::{Ats, Request};
use tests_support::measure::round::{Row, Unit, turn};
use tests_support::measure::target::Held;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, IommuMemory};

use crate::Run;
use crate::pages::{LOOKUPS, addresses, physical, sweep};
use crate::shapes::vm_memory::Locked;
use crate::unit::{SOURCE, WATCHED, place, unit};

const PAGE: usize = 1 << 12;

/// Pages; held to against IommuMemory, and against memory that nobody translates.
const SIZES: [(u64, Held, Held); 3] = [
    (64, Held::Faster { must: 10.0, stretch: 20.0 }, Held::Faster { must: 4.0, stretch: 8.0 }),
    (1024, Held::Faster { must: 10.0, stretch: 17.0 }, Held::Faster { must: 4.0, stretch: 8.0 }),
    (65536, Held::Faster { must: 6.0, stretch: 10.0 }, Held::Nothing),
];

pub(crate) fn run(run: &mut Run) {
    for (pages, translated, plain) in SIZES {
        words(run, pages, translated, plain);
    }
    report(run);
    whole_pages(run);
}

/// What stands at an address, for everybody.
const fn value(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn read(port: &mut Port, address: u64) -> Option<u64> {
    let request = Request { pasid: None, address: VirtAddr(address), access: Access::Read };
    Some(port.translate(request).ok()?.load())
}

/// vm-memory's pages, with the words that will be read.
fn plain(pages: u64, words: &[u64]) -> GuestMemoryMmap<()> {
    let len = usize::try_from(pages.next_multiple_of(2) * PAGE_SIZE).expect("it fits");
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), len)]).expect("the memory can be mapped");
    for address in words {
        memory.write_obj(value(*address), GuestAddress(physical(*address))).expect("the page is there");
    }
    memory
}

fn port(pages: u64, words: &[u64], stale: StaleOptions) -> Port {
    let unit = unit(pages, stale);
    words.iter().for_each(|address| unit.memory().store(place(*address, pages), value(*address)));
    unit.port(SOURCE, usize::try_from(2 * pages).expect("it fits"))
}

fn words(run: &mut Run, pages: u64, against_translated: Held, against_plain: Held) {
    let count = run.effort.pick(LOOKUPS, 64);
    let words = addresses(count, pages);
    let mut port = port(pages, &words, StaleOptions::default());
    let translated = IommuMemory::new(plain(pages, &words), Locked::filled(pages), true, ());
    let plain = plain(pages, &words);
    let words = &words;
    let ours = move || turn(count, || sweep(words, |address| read(&mut port, address)));
    let row = Row::new(format!("8-byte DMA read, {pages} pages"), Unit::Nanoseconds, ours)
        .against("vm-memory IommuMemory", against_translated, || {
            turn(count, || sweep(words, |address| translated.read_obj::<u64>(GuestAddress(address)).ok()))
        })
        .against("vm-memory read_obj, untranslated", against_plain, || {
            turn(count, || sweep(words, |at| plain.read_obj::<u64>(GuestAddress(physical(at))).ok()))
        })
        .against("vm-memory load, untranslated", Held::Nothing, || {
            let load = |at: u64| plain.load::<u64>(GuestAddress(physical(at)), Ordering::Relaxed).ok();
            turn(count, || sweep(words, load))
        });
    run.rows.push(row.run(run.effort));
}

/// On against off, and through the device's own TLB.
fn report(run: &mut Run) {
    let (count, pages) = (run.effort.pick(LOOKUPS, 64), 64);
    let words = addresses(count, pages);
    let mut watched = port(pages, &words, WATCHED);
    let mut off = port(pages, &words, StaleOptions::default());
    let mut ahead = port(pages, &words, StaleOptions::default());
    ahead.set_ats(Ats::Enabled);
    let words = &words;
    let ours = move || turn(count, || sweep(words, |address| read(&mut watched, address)));
    let row = Row::new("8-byte DMA read, report on, 64 pages", Unit::Nanoseconds, ours).against(
        "ours, report off",
        Held::Within { must: 1.3, stretch: 1.15 },
        move || turn(count, || sweep(words, |address| read(&mut off, address))),
    );
    run.rows.push(row.run(run.effort));
    let through = move || turn(count, || sweep(words, |address| read(&mut ahead, address)));
    run.rows
        .push(Row::new("8-byte DMA read, device TLB, 64 pages", Unit::Nanoseconds, through).run(run.effort));
}

fn whole_pages(run: &mut Run) {
    let (count, pages) = (run.effort.pick(8192, 16), 64);
    let words = addresses(count, pages);
    let mut port = port(pages, &words, StaleOptions::default());
    let plain = plain(pages, &words);
    let translated = IommuMemory::new(plain.clone(), Locked::filled(pages), true, ());
    let mut bare = vec![0; PAGE * usize::try_from(pages).expect("it fits")];
    plain.read_slice(&mut bare, GuestAddress(0)).expect("it is as long");
    let (mut ours, mut theirs, mut copied) = ([0; PAGE], [0; PAGE], [0; PAGE]);
    let words = &words;
    // The word that was asked for, of the page that was copied.
    let word = |bytes: &[u8; PAGE], address: u64| {
        let at = usize::try_from(address % PAGE_SIZE).unwrap_or_default();
        bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
    };
    let row = Row::new("4 KiB DMA read, 64 pages", Unit::Nanoseconds, move || {
        let mut copy = |address: u64| {
            port.read(None, VirtAddr(address).page(), &mut ours).ok()?;
            word(&ours, address)
        };
        turn(count, || sweep(words, &mut copy))
    });
    let row = row
        .against("memcpy", Held::Within { must: 1.3, stretch: 1.08 }, move || {
            let mut copy = |address: u64| {
                let from = usize::try_from(PhysAddr(physical(address)).pfn().address().0).ok()?;
                copied.copy_from_slice(bare.get(from..from + PAGE)?);
                word(std::hint::black_box(&copied), address)
            };
            turn(count, || sweep(words, &mut copy))
        })
        .against("vm-memory IommuMemory", Held::Nothing, move || {
            let mut copy = |address: u64| {
                translated.read_slice(&mut theirs, GuestAddress(VirtAddr(address).page().0)).ok()?;
                word(&theirs, address)
            };
            turn(count, || sweep(words, &mut copy))
        });
    run.rows.push(row.run(run.effort));
}
