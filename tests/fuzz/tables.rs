//! The tables in memory: every level spoilt, linked to itself or to another, changed between two requests.
//!
//! Rules: a request reaches what the [`reference`](self::reference) makes of the tables if nothing is cached, if
//! everything has been invalidated since the last change, and when the unit looks past its caches. What a cache still
//! knows lies in a page that some word of a table named. An access outside memory reads as all ones.

mod reference;

use iommu::spec::page_request;
use iommu::vtd::Width;
use iommu::vtd::options::CacheSizes;
use iommu::vtd::port::Port;
use mmu::address::{Access, VirtAddr};
use pcie::{Ats, PageRequest, Pasid, Request, RequestOutcome, Requester, Wants};

use self::reference::{Look, Tables, is_unambiguous, look};
use super::layout::{self, Layout, Mode, PASID_NUMBERS, SOURCES};
use super::registers::pasid;
use super::rig::{self, MEMORY_BYTES, Rig};
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] = &[
    "first stage",
    "second stage",
    "nested",
    "identity",
    "ahead",
    "blocked",
    "agreed from caches",
    "invalidated",
    "page request",
    "outside memory",
    "stale",
    "denied above a leaf",
];

/// Entries of a device's TLB, if anything is cached at all.
const DEVICE_TLB_ENTRIES: usize = 8;

struct Fuzz {
    rig: Rig,
    layout: Layout,
    ports: [(Port, Ats); 2],
    caches: CacheSizes,
    /// Whether no cache can hold what the tables do not say.
    is_fresh: bool,
    tail: u64,
}

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let options = rig::options(choices);
    let rig = Rig::new(options);
    let mode = choices.of(&[Mode::Scalable, Mode::Scalable, Mode::Legacy]);
    let mode = if options.scalable_mode { mode } else { Mode::Legacy };
    let mut layout = Layout::new(&rig.memory, mode);
    // The wait's status, so that it changes nothing.
    layout.put(layout::place(layout::STATUS, 0), 1);
    layout::start(&rig.unit, mode);
    let entries = if options.caches == CacheSizes::OFF { 0 } else { DEVICE_TLB_ENTRIES };
    let ports = SOURCES.map(|source| (rig.unit.port(source, entries), Ats::Disabled));
    let mut fuzz = Fuzz { rig, layout, ports, caches: options.caches, is_fresh: true, tail: 0 };
    while !choices.is_over() {
        fuzz.turn(choices, census);
    }
    fuzz.rig.sent.check(census);
}

impl Fuzz {
    fn turn(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        match choices.below(16) {
            0 | 1 => {
                self.layout.change(choices);
                self.changed();
            }
            2 | 3 => self.forget_everything(census),
            4 => {
                let (port, ats) = &mut self.ports[usize::from(choices.one_in(2))];
                *ats = choices.of(&[Ats::Enabled, Ats::Disabled]);
                port.set_ats(*ats);
            }
            5 => self.ask_for_a_page(choices, census),
            6 => self.submit(&[super::registers::descriptor(choices)]),
            _ => self.access(choices, census),
        }
    }

    fn tables(&self) -> Tables<'_> {
        Tables { memory: &self.rig.memory, register: self.rig.long(0x20), options: *self.rig.unit.options() }
    }

    /// A cache may hold what was.
    fn changed(&mut self) {
        self.is_fresh = self.caches == CacheSizes::OFF;
    }

    fn submit(&mut self, descriptors: &[[u64; 4]]) {
        let width = if self.layout.mode == Mode::Scalable { 32 } else { 16 };
        for descriptor in descriptors {
            for (at, word) in (0..width).step_by(8).zip(descriptor) {
                self.layout.put(layout::place(layout::QUEUE, (self.tail + at) / 8), *word);
            }
            self.tail = (self.tail + width) % 0x1000;
        }
        self.rig.unit.write(0x88, Width::Bits64, self.tail);
        // A descriptor that was spoilt stops the queue; the driver goes on behind it.
        for _ in descriptors {
            if self.rig.word(0x34) & 0x10 == 0 {
                break;
            }
            let head = self.rig.long(0x80);
            for at in 0..width / 8 {
                let word = if at == 0 { 0x11 } else { 0 };
                self.layout.put(layout::place(layout::QUEUE, head / 8 + at), word);
            }
            self.rig.unit.write(0x34, Width::Bits32, 0x10);
        }
        assert_eq!(self.rig.long(0x80), self.tail, "the queue runs to its tail");
        // It may have been a wait that wrote anywhere, or to a table.
        self.changed();
    }

    fn forget_everything(&mut self, census: &mut Census) {
        let mut all = vec![[0x11, 0, 0, 0], [0x12 | 3 << 6, 0, 0, 0]];
        for source in SOURCES.map(|source| u64::from(source.0)) {
            all.push([3 | source << 32, 0x7fff_ffff_ffff_f001, 0, 0]);
            if self.layout.mode == Mode::Scalable {
                let of_pasid = |pasid| [8 | source << 16 | pasid << 32, 0x7fff_ffff_ffff_f800, 0, 0];
                all.extend((0..PASID_NUMBERS).map(of_pasid));
            }
        }
        if self.layout.mode == Mode::Scalable {
            all.insert(1, [0x37, 0, 0, 0]);
        }
        all.push([5 | 1 << 5 | 1 << 32, layout::place(layout::STATUS, 0).0, 0, 0]);
        self.submit(&all);
        // Where two requesters share a tag and not the tables, caches mix them up, as real ones do.
        self.is_fresh |= is_unambiguous(&self.tables(), &SOURCES);
        census.note("invalidated");
    }

    fn ask_for_a_page(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        let (port, _) = &mut self.ports[usize::from(choices.one_in(2))];
        let request = PageRequest {
            source: port.source(),
            pasid: pasid(choices),
            address: layout::address(choices),
            wants: Wants { read: true, ..Wants::default() },
            group: 7,
            last: true,
            private_data: None,
        };
        page_request::encode(&request).into_iter().for_each(|word| self.layout.name(word));
        if port.request_page(request) == Ok(RequestOutcome::Accepted) {
            census.note("page request");
        }
        while port.next_response().is_some() {}
        // Software has seen it.
        self.rig.unit.write(0xc0, Width::Bits64, self.rig.long(0xc8));
        self.rig.unit.write(0xdc, Width::Bits32, 3);
        self.changed();
    }

    fn access(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        let which = usize::from(choices.one_in(2));
        let (pasid, address) = (pasid(choices), layout::address(choices));
        let access = choices.of(&[Access::Read, Access::Read, Access::Write]);
        let request = Request { pasid, address, access };
        let source = SOURCES[which];
        let expected = look(&self.tables(), source, pasid.map(Pasid::number), address, access);
        self.inspect(Requester { source, pasid }, &request, &expected);
        if expected.is_denied_above {
            census.note("denied above a leaf");
        }
        let (port, ats) = &mut self.ports[which];
        let admitted = expected.reached.filter(|_| expected.admits(address, *ats));
        let got = match port.translate(request) {
            Ok(in_flight) => {
                let at = in_flight.address().0;
                let is_outside = at >= MEMORY_BYTES;
                let word = in_flight.load();
                assert!(
                    !is_outside || word == u64::MAX,
                    "{at:#x} lies outside memory, and reads as {word:#x}"
                );
                census.note(if is_outside { "outside memory" } else { expected.way });
                if *ats == Ats::Enabled {
                    census.note("ahead");
                }
                Some(at)
            }
            Err(_) => {
                census.note("blocked");
                None
            }
        };
        if self.is_fresh {
            assert_eq!(got, admitted, "{request:?} of {source}, {ats:?}: {expected:?}");
            census.note("agreed from caches");
        } else {
            self.check_stale(address, got, census);
        }
        if expected.marks {
            self.changed();
        }
        drop(self.rig.unit.take_stale_uses());
    }

    /// A cache may say what the tables said once.
    fn check_stale(&self, address: VirtAddr, got: Option<u64>, census: &mut Census) {
        let Some(at) = got else { return };
        let is_known = at == address.0 || self.layout.names(mmu::address::PhysAddr(at));
        assert!(is_known, "{address} reaches {at:#x}, which no word ever named");
        census.note("stale");
    }

    /// What the unit sees past its caches is what the reference sees.
    fn inspect(&self, requester: Requester, request: &Request, expected: &Look) {
        if expected.is_mark_denied {
            return;
        }
        let seen = self.rig.unit.inspect(requester, request).translation;
        let seen = seen.ok().map(|translation| translation.physical(request.address).0);
        assert_eq!(seen, expected.reached, "{request:?} of {requester:?}, past the caches");
    }
}
