//! A machine around a guest that is played in software: it caches entries, and forgets them when it is told to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use ordering::catalogue;
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Verdict};
use parking_lot::Mutex;

use mmu::pte::Pte;
use ordering::language::syntax::BuiltIn;

use super::*;
use crate::machine::Machine;
use crate::steered::Steered;

/// A guest whose vCPUs share one TLB.
#[derive(Debug)]
struct Walking {
    memory: Arc<PhysicalMemory>,
    leaf_table: PhysAddr,
    cached: Mutex<HashMap<Slot, Pte>>,
    /// Whether it does what a zap asks for.
    obeys: bool,
    accesses: AtomicU32,
    zaps: AtomicU32,
}

/// Entries of a leaf table.
const ENTRIES: usize = 512;

impl Vcpus for Walking {
    fn access(&self, _: UserId, slot: Slot, access: Access, value: u64) -> Result<u64, Stuck> {
        self.accesses.fetch_add(1, Ordering::Relaxed);
        let mut cached = self.cached.lock();
        let at = slot.in_table(self.leaf_table);
        let word = cached.get(&slot).copied().unwrap_or_else(|| Pte(self.memory.load(at)));
        if !word.is_present() || (access == Access::Write && !word.is_writable()) {
            return Err(Stuck::Waits("nothing serves the access"));
        }
        cached.insert(slot, word);
        let at = word.pfn().address();
        if access == Access::Write {
            self.memory.store(at, value);
        }
        Ok(self.memory.load(at))
    }

    fn zap(&self, slots: &[Slot]) -> Result<(), Stuck> {
        self.zaps.fetch_add(1, Ordering::Relaxed);
        for slot in slots.iter().filter(|_| self.obeys) {
            self.memory.store(slot.in_table(self.leaf_table), 0);
            self.cached.lock().remove(slot);
        }
        Ok(())
    }
}

fn scenario(name: &str) -> Lowered {
    let found = catalogue::entries().into_iter().find(|entry| entry.lowered.name == name);
    found.expect("the catalogue has it").lowered
}

fn around(lowered: &Lowered, obeys: bool) -> (Machine, Arc<Walking>) {
    let free_from = Pfn(2);
    let memory = Arc::new(PhysicalMemory::new(bytes_needed(lowered, free_from)).unwrap());
    let leaf_table = Pfn(1).address();
    let vcpus = Walking {
        memory: Arc::clone(&memory),
        leaf_table,
        cached: Mutex::default(),
        obeys,
        accesses: AtomicU32::new(0),
        zaps: AtomicU32::new(0),
    };
    let vcpus = Arc::new(vcpus);
    let guest = Guest {
        memory,
        free_from,
        leaf_table,
        leaf_entries: ENTRIES as u64,
        vcpus: Arc::clone(&vcpus) as Arc<dyn Vcpus>,
    };
    (Machine::with_guest(lowered, guest).unwrap(), vcpus)
}

fn counterexample(lowered: &Lowered) -> Option<Vec<Move>> {
    let packed = engine::compile(&lowered.model).unwrap();
    let Verdict::Violated { trace, .. } = engine::explore(&packed, &Options::default()).verdict else {
        return None;
    };
    let row = |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    Some(trace.steps.iter().map(row).collect())
}

#[test]
fn a_guest_reads_what_the_model_says_and_is_asked_for_every_access_of_a_vcpu() {
    let (mut scenarios, mut accesses) = (0, 0);
    for entry in catalogue::entries() {
        let lowered = &entry.lowered;
        if playable(&lowered.scene).count() == 0 {
            continue;
        }
        let (machine, vcpus) = around(lowered, true);
        let steered = Steered::new(lowered, machine);
        let mut random = fastrand::Rng::with_seed(7);
        let random = (0..5).map(|_| steered.random(&mut random, 200));
        for ended in counterexample(lowered).map(|moves| steered.run(&moves)).into_iter().chain(random) {
            ended.unwrap_or_else(|told| panic!("{}: {}: {:#?}", lowered.name, told.of, told.rows));
        }
        scenarios += 1;
        accesses += vcpus.accesses.load(Ordering::Relaxed);
    }
    assert!(scenarios >= 30, "only {scenarios} scenarios have vCPUs");
    assert!(accesses > scenarios, "{accesses} accesses in {scenarios} scenarios");
}

#[test]
fn a_guest_that_keeps_what_it_is_told_to_forget_is_noticed() {
    let lowered = scenario("wp-page-copy");
    let steered = Steered::new(&lowered, around(&lowered, false).0);
    let mut random = fastrand::Rng::with_seed(7);
    assert!((0..100).any(|_| steered.random(&mut random, 200).is_err()));
}

#[test]
fn a_store_through_a_clean_entry_is_no_access_of_the_guest() {
    let lowered = scenario("wp-page-copy");
    let (machine, vcpus) = around(&lowered, true);
    let (user, page) = (playable(&lowered.scene).next().unwrap(), PageId(0));
    let frame = machine.coding.pfn(ordering::lowering::FrameId(0));
    let clean = Pte::leaf(frame).with(Pte::WRITE);
    machine.set_shadow_entry(page, clean).unwrap();
    let refused = machine.through(user, page, Access::Write, 5).unwrap_err();
    assert_eq!((refused, vcpus.accesses.load(Ordering::Relaxed)), (Stuck::Waits("the entry is clean"), 0));

    machine.set_shadow_entry(page, clean.with(Pte::DIRTY)).unwrap();
    machine.through(user, page, Access::Write, 5).unwrap();
    assert_eq!(machine.memory.load(frame.address()), 5);
}

#[test]
fn a_store_to_a_freed_frame_breaks_what_is_built_in() {
    let lowered = scenario("unmap-no-range");
    let (machine, _) = around(&lowered, true);
    let (user, page) = (playable(&lowered.scene).next().unwrap(), PageId(0));
    let entry = Pte::leaf(machine.coding.pfn(ordering::lowering::FrameId(0)));
    machine.set_shadow_entry(page, entry.with(Pte::WRITE | Pte::DIRTY)).unwrap();
    assert_eq!(machine.through(user, page, Access::Write, 5), Ok(None));
    machine.frames[0].refs.store(0, Ordering::Relaxed);
    let broken = Err(Stuck::Breaks(BuiltIn::FreedFrame));
    assert_eq!(machine.through(user, page, Access::Write, 5), broken);
}

#[test]
fn an_entry_that_replaces_another_is_the_one_that_the_guest_uses_next() {
    let lowered = scenario("wp-page-copy");
    let (machine, _) = around(&lowered, true);
    let (user, page) = (playable(&lowered.scene).next().unwrap(), PageId(0));
    for frame in [0, 1, 0] {
        let pfn = machine.coding.pfn(ordering::lowering::FrameId(frame));
        machine.memory.store(pfn.address(), 40 + frame as u64);
        machine.set_shadow_entry(page, Pte::leaf(pfn)).unwrap();
        assert_eq!(machine.through(user, page, Access::Read, 0), Ok(Some(40 + frame as u64)));
    }
}

/// Rounds in which the vCPU uses an entry, each after a start: how many began with one of another round.
fn rounds_that_began_with_an_old_entry(machine: &Machine, rounds: usize) -> usize {
    let user = playable(&machine.scene).next().unwrap();
    let entry = Pte::leaf(machine.coding.pfn(ordering::lowering::FrameId(0)));
    let begins_with_one = |_: &usize| {
        machine.reset().unwrap();
        let found = machine.through(user, PageId(0), Access::Read, 0).is_ok();
        machine.set_shadow_entry(PageId(0), entry).unwrap();
        machine.through(user, PageId(0), Access::Read, 0).unwrap();
        found
    };
    (0..rounds).filter(begins_with_one).count()
}

#[test]
fn a_start_leaves_nothing_that_can_be_used_of_the_run_before_and_seldom_has_to_zap() {
    let lowered = scenario("wp-page-copy");
    let (machine, vcpus) = around(&lowered, true);
    let sets = ENTRIES / lowered.scene.pages.len();
    assert_eq!(rounds_that_began_with_an_old_entry(&machine, 3 * sets), 0);
    // One for each time that every set had been used.
    assert_eq!(vcpus.zaps.load(Ordering::Relaxed), 2);
    assert!(vcpus.cached.lock().len() <= sets);
}

#[test]
fn a_guest_that_keeps_what_a_start_tells_it_to_forget_is_noticed_when_the_sets_are_used_again() {
    let lowered = scenario("wp-page-copy");
    let (machine, _) = around(&lowered, false);
    let sets = ENTRIES / lowered.scene.pages.len();
    assert_eq!(rounds_that_began_with_an_old_entry(&machine, sets), 0);
    assert!(rounds_that_began_with_an_old_entry(&machine, sets) > 0);
}

#[test]
fn a_start_after_which_nothing_can_be_cached_takes_no_other_set() {
    let lowered = scenario("wp-page-copy");
    let (machine, vcpus) = around(&lowered, true);
    let place = machine.shadow_place(PageId(0));
    (0..2 * ENTRIES).for_each(|_| machine.reset().unwrap());
    assert_eq!((machine.shadow_place(PageId(0)), vcpus.zaps.load(Ordering::Relaxed)), (place, 0));
}

/// A guest whose zaps empty the entry of page 0, and end when they are let go.
#[derive(Debug)]
struct Slow {
    memory: Arc<PhysicalMemory>,
    entry: PhysAddr,
    is_open: AtomicBool,
    zaps: AtomicU32,
}

impl Vcpus for Slow {
    fn access(&self, _: UserId, _: Slot, _: Access, _: u64) -> Result<u64, Stuck> {
        Err(Stuck::Waits("it executes nothing"))
    }

    fn zap(&self, _: &[Slot]) -> Result<(), Stuck> {
        self.memory.store(self.entry, 0);
        self.zaps.fetch_add(1, Ordering::SeqCst);
        while !self.is_open.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        Ok(())
    }
}

#[test]
fn nobody_writes_a_shadow_entry_while_somebody_else_is_zapping_it() {
    let lowered = scenario("wp-page-copy");
    let free_from = Pfn(2);
    let memory = Arc::new(PhysicalMemory::new(bytes_needed(&lowered, free_from)).unwrap());
    let entry = Pfn(1).address();
    let (is_open, zaps) = (AtomicBool::new(true), AtomicU32::new(0));
    let vcpus = Arc::new(Slow { memory: Arc::clone(&memory), entry, is_open, zaps });
    let vcpus_of_guest = Arc::clone(&vcpus) as Arc<dyn Vcpus>;
    let guest =
        Guest { memory, free_from, leaf_table: entry, leaf_entries: ENTRIES as u64, vcpus: vcpus_of_guest };
    let machine = Machine::with_guest(&lowered, guest).unwrap();
    let write = |frame: u64| machine.set_shadow_entry(PageId(0), Pte::leaf(Pfn(frame)));
    write(5).unwrap();
    let before = vcpus.zaps.load(Ordering::SeqCst);
    vcpus.is_open.store(false, Ordering::SeqCst);
    let was_early = thread::scope(|scope| {
        let first = scope.spawn(|| write(6));
        while vcpus.zaps.load(Ordering::SeqCst) == before && !first.is_finished() {
            thread::yield_now();
        }
        let second = scope.spawn(|| write(7));
        // Long enough for one that waits for nobody.
        thread::sleep(Duration::from_millis(50));
        let was_early = second.is_finished();
        vcpus.is_open.store(true, Ordering::SeqCst);
        was_early
    });
    assert!(!was_early, "an entry was written that a vCPU may have used before the other was");
}
