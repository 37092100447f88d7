//! Between the reading of an entry and its marking: no test can hit this moment from outside. And the walk beside that
//! of a CPU: one format, so one meaning.

use fastrand::Rng;
use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::cache::Translation;
use mmu::pte::Pte;
use mmu::table::{Levels, Root};
use mmu::walker::{self, Fault};
use pcie::{Msi, Requester};

use super::{Goal, Stop};
use crate::spec::fault::FaultReason;
use crate::vtd::route::{Dialect, FirstStage, Reach, Stages};
use crate::vtd::table_cache::TableCache;
use crate::vtd::tests::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SOURCE, pasid};
use crate::vtd::trail::Recorder;
use crate::vtd::walk::{Space, Walker};

/// What the leaf says when the walk ends, if `change` is made of it before the walk marks it, and how the walk ends.
fn marked_after(change: fn(u64) -> u64) -> (u64, Result<bool, ()>) {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let place = driver.place(FIRST_STAGE, table, PAGE, 1);
    let requester = Requester { source: SOURCE, pasid: Some(pasid(5)) };
    let route = driver.unit.route(requester, Reach::Caches, Recorder::OFF).unwrap();
    let Stages::First(stage) = route.stages else { panic!("{:?}", route.stages) };
    let goal = Goal { stage, nest: None, tag: None, second_tag: None, address: PAGE, access: Access::Write };
    let paging = TableCache::new(0);
    let mut walker = Walker::begin(&driver.memory, &paging, Reach::Caches, Recorder::OFF);
    let Ok(leaf) = walker.descend(&goal, 0) else { panic!("the page is mapped") };
    driver.memory.store(place, change(driver.memory.load(place)));
    let end = match walker.finish(&goal, &leaf) {
        Ok(found) => Ok(found.dirty),
        Err(Stop::Overtaken) => Err(()),
        Err(Stop::Fault(reason)) => panic!("{reason:?}"),
    };
    (driver.memory.load(place), end)
}

#[test]
fn a_leaf_that_changed_since_it_was_read_is_not_marked_and_not_used() {
    let unchanged = |word| word;
    assert_eq!(marked_after(unchanged).1, Ok(true));
    let elsewhere: fn(u64) -> u64 = |word| word ^ 0x1000;
    let gone: fn(u64) -> u64 = |_| 0;
    // Somebody else has marked it: D is not set yet.
    let read: fn(u64) -> u64 = |word| word | Pte::ACCESSED;
    for change in [elsewhere, gone, read] {
        let (word, end) = marked_after(change);
        assert_eq!(word & Pte::DIRTY, 0, "{word:#x} was not read");
        assert_eq!(end, Err(()), "the walk starts over");
    }
}

/// Tables whose entries lead anywhere, with a few indices in use.
struct Tangle {
    driver: Driver,
    root: Root,
    /// Where the entries stand.
    places: Vec<PhysAddr>,
}

/// Indices of entries in use, at each level.
const INDICES: [u64; 3] = [0, 1, 511];
const TABLES: usize = 6;

impl Tangle {
    fn new(random: &mut Rng, levels: Levels) -> Self {
        let mut driver = Driver::scalable();
        let tables: Vec<PhysAddr> = (0..TABLES).map(|_| driver.frame()).collect();
        let places: Vec<PhysAddr> =
            tables.iter().flat_map(|table| INDICES.map(|index| table.offset(8 * index))).collect();
        for place in &places {
            driver.memory.store(*place, word(random, &tables));
        }
        Self { driver, root: Root { table: tables[0].pfn(), levels }, places }
    }

    fn words(&self) -> Vec<u64> {
        self.places.iter().map(|place| self.driver.memory.load(*place)).collect()
    }

    fn put(&self, words: &[u64]) {
        for (place, word) in self.places.iter().zip(words) {
            self.driver.memory.store(*place, *word);
        }
    }

    fn unit(&self, address: VirtAddr, access: Access) -> Result<Translation, FaultReason> {
        let paging = TableCache::new(0);
        let mut walker = Walker::begin(&self.driver.memory, &paging, Reach::Caches, Recorder::OFF);
        let stages = Stages::First(FirstStage { root: self.root });
        let space = Space { stages, dialect: Dialect::Scalable, tag: None, second_tag: None };
        walker.walk(&space, address, access)
    }

    fn cpu(&self, address: VirtAddr, access: Access) -> Result<Translation, Fault> {
        walker::walk(&self.driver.memory, self.root, address, access)
    }
}

/// An entry: none, one that leads to a table, inside memory or outside, or one that maps a page; each with some bits.
fn word(random: &mut Rng, tables: &[PhysAddr]) -> u64 {
    const LIKELY: u64 = Pte::PRESENT | Pte::USER | Pte::WRITE;
    let spoilt = |random: &mut Rng| if random.u8(..4) == 0 { 1 << random.u8(..12) } else { 0 };
    let to = match random.u8(..10) {
        0 => return random.u64(..) & !Pte::PRESENT,
        1 => random.u64(..) & Pte::FRAME,
        2 => Pte::LARGE | (random.u64(..) & Pte::FRAME & !0x3fff_e000),
        3 => Pte::LARGE | random.u64(..1 << 21) & Pte::FRAME,
        _ => tables[random.usize(..tables.len())].0,
    };
    (to | LIKELY) ^ spoilt(random)
}

/// The same end of a walk, as a CPU has it and as the unit names it.
fn is_same(cpu: &Result<Translation, Fault>, unit: &Result<Translation, FaultReason>) -> bool {
    use mmu::walker::FaultReason as Cpu;
    let reason = match (cpu, unit) {
        (Ok(cpu), Ok(unit)) => return cpu == unit,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => return false,
        (Err(fault), Err(reason)) => (fault.reason, *reason),
    };
    match reason.0 {
        Cpu::NotCanonical => reason.1 == FaultReason::NotCanonical,
        Cpu::NotPresent { .. } => reason.1 == FaultReason::FirstStageNotPresent,
        Cpu::Reserved { .. } => reason.1 == FaultReason::FirstStageReserved,
        Cpu::OutsideMemory { .. } => {
            matches!(reason.1, FaultReason::FirstStageRoot | FaultReason::FirstStageAccess)
        }
        Cpu::Protection => {
            matches!(reason.1, FaultReason::NotUser | FaultReason::ScalableWriteNotAllowed)
        }
    }
}

#[test]
fn a_device_reads_a_table_as_a_cpu_does_and_marks_the_same_entries() {
    let mut random = Rng::with_seed(1);
    let mut ends = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..400 {
        let levels = if random.bool() { Levels::Four } else { Levels::Five };
        let tangle = Tangle::new(&mut random, levels);
        let before = tangle.words();
        for _ in 0..200 {
            let page: u64 = (0..levels.count()).fold(0, |page, _| page << 9 | INDICES[random.usize(..3)]);
            let unused = 64 - 12 - 9 * levels.count();
            let address = VirtAddr(((page << 12 << unused).cast_signed() >> unused).cast_unsigned());
            let access = if random.bool() { Access::Read } else { Access::Write };
            tangle.put(&before);
            let unit = tangle.unit(address, access);
            let after = tangle.words();
            tangle.put(&before);
            let cpu = tangle.cpu(address, access);
            if is_interrupt_page(&cpu, address) {
                continue;
            }
            assert!(
                is_same(&cpu, &unit),
                "{access:?} of {address:?}: {cpu:?}, the unit {unit:?}, {before:x?}"
            );
            assert_eq!(tangle.words(), after, "the marks of {access:?} of {address:?} in {before:x?}");
            *ends.entry(end(&cpu)).or_default() += 1;
        }
    }
    for (name, met) in &ends {
        assert!(*met > 20, "{name}: {met}");
    }
    assert_eq!(ends.len(), 6, "{ends:?}");
}

/// Whether the walk leads into the interrupt range, which no table may (VT-d 3.14).
fn is_interrupt_page(cpu: &Result<Translation, Fault>, address: VirtAddr) -> bool {
    cpu.as_ref().is_ok_and(|found| {
        let start = found.pfn.address().0;
        let reached = found.physical(address).0;
        Msi::is_address(reached) || (start..start + found.size.bytes()).contains(&0xfee0_0000)
    })
}

fn end(cpu: &Result<Translation, Fault>) -> &'static str {
    use mmu::walker::FaultReason as Cpu;
    match cpu {
        Ok(found) if found.size.bytes() == PAGE_SIZE => "4 KiB",
        Ok(_) => "a large page",
        Err(fault) => match fault.reason {
            Cpu::NotCanonical => "not canonical",
            Cpu::NotPresent { .. } => "not present",
            Cpu::Reserved { .. } => "reserved",
            Cpu::OutsideMemory { .. } => "outside memory",
            Cpu::Protection => "protection",
        },
    }
}
