//! Scenarios whose vCPUs run on KVM: the guest reads what the model says that it reads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mmu::address::{Access, Pfn};
use mmu::frame::POISON;
use ordering::catalogue::{self, Entry};
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Verdict};
use ordering::language::parse;
use ordering::language::syntax::BuiltIn;
use ordering::lowering::{self, Lowered, UserId};
use ordering::outcomes::Outcome;
use race::free::{Free, Histogram, Plan};
use race::machine::{Machine, Stuck};
use race::steered::{Difference, Steered};
use race::vcpus::{Guest, Slot};
use vmm::kvm::System;
use vmm::race::{self as play, PlayedBy};

use super::rig::system;

/// Rows of a random path, at most.
const ROWS: usize = 300;

/// A guest's vCPUs, with what they have loaded and stored; the zaps may be left out.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn race::vcpus::Vcpus>,
    zaps: bool,
    accesses: Mutex<Vec<(Access, u64)>>,
    asked: Mutex<HashSet<UserId>>,
}

impl race::vcpus::Vcpus for Watched {
    fn access(&self, vcpu: UserId, slot: Slot, access: Access, value: u64) -> Result<u64, Stuck> {
        let read = self.inner.access(vcpu, slot, access, value)?;
        self.asked.lock().unwrap().insert(vcpu);
        let passed = if access == Access::Read { read } else { value };
        self.accesses.lock().unwrap().push((access, passed));
        Ok(read)
    }

    fn zap(&self, slots: &[Slot]) -> Result<(), Stuck> {
        if self.zaps { self.inner.zap(slots) } else { Ok(()) }
    }
}

fn scenario(name: &str) -> Lowered {
    let header = format!("scenario {name}\n");
    let file = catalogue::FILES.iter().find(|file| file.text.contains(&header));
    let loaded = lowering::load(file.unwrap_or_else(|| panic!("the catalogue has no {name}")).text);
    let loaded = loaded.expect("the catalogue has no errors").into_iter().map(|(_, lowered)| lowered);
    loaded.into_iter().find(|lowered| lowered.name == name).expect("its header was found")
}

fn watched(lowered: &Lowered, zaps: bool) -> (Guest, Arc<Watched>) {
    let guest = play::guest(lowered).unwrap();
    let vcpus = Arc::new(Watched {
        inner: Arc::clone(&guest.vcpus),
        zaps,
        accesses: Mutex::default(),
        asked: Mutex::default(),
    });
    (Guest { vcpus: Arc::clone(&vcpus) as _, ..guest }, vcpus)
}

fn counterexample(lowered: &Lowered) -> Option<Vec<Move>> {
    let packed = engine::compile(&lowered.model).expect("a scenario of the catalogue fits");
    let row = |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { trace, .. } => Some(trace.steps.iter().map(row).collect()),
        Verdict::Proved | Verdict::BoundHit { .. } => None,
    }
}

/// What the guest has loaded and stored, once the counterexample of that scenario has happened on KVM.
fn accesses_of_counterexample(name: &str) -> Vec<(Access, u64)> {
    let lowered = scenario(name);
    let moves = counterexample(&lowered).expect("it is refuted");
    let (guest, watched) = watched(&lowered, true);
    let steered = Steered::new(&lowered, Machine::with_guest(&lowered, guest).unwrap());
    steered.run(&moves).unwrap_or_else(|told| panic!("{name}: {}: {:#?}", told.of, told.rows));
    let accesses = watched.accesses.lock().unwrap();
    accesses.clone()
}

/// Random paths of a scenario on a machine; the first divergence.
fn steer(lowered: &Lowered, machine: Machine, paths: usize) -> Result<usize, Difference> {
    let steered = Steered::new(lowered, machine);
    let mut random = fastrand::Rng::with_seed(0x0af7);
    (0..paths).try_fold(0, |rows, _| match steered.random(&mut random, ROWS) {
        Ok(more) => Ok(rows + more),
        Err(told) => Err(told.of),
    })
}

#[test]
fn a_guest_whose_shadow_entry_was_not_zapped_loads_the_old_page() {
    if system().is_none() {
        return;
    }
    // The old page holds 0, and the store of 1 is over.
    for name in ["wp-page-copy-no-range-start", "cow-linux-6.18-without-range", "change-pte-without-range"] {
        assert_eq!(accesses_of_counterexample(name), [(Access::Read, 0)], "{name}");
    }
}

#[test]
fn a_guest_whose_shadow_entry_was_not_zapped_stores_to_what_is_protected() {
    if system().is_none() {
        return;
    }
    assert_eq!(accesses_of_counterexample("mprotect-linux-6.1-ends-before-change"), [(Access::Write, 7)]);
}

#[test]
fn a_guest_whose_shadow_entry_outlives_the_page_loads_the_poison_of_a_freed_frame() {
    if system().is_none() {
        return;
    }
    for name in ["unmap-no-range", "retract-without-notifier"] {
        assert_eq!(accesses_of_counterexample(name), [(Access::Read, POISON)], "{name}");
    }
}

#[test]
fn a_right_order_has_no_divergence_on_kvm_however_it_is_steered() {
    if system().is_none() {
        return;
    }
    for name in ["wp-page-copy", "cow-linux-6.18", "ksm-linux-6.18", "mprotect-linux-6.18"] {
        let lowered = scenario(name);
        let (guest, watched) = watched(&lowered, true);
        let machine = Machine::with_guest(&lowered, guest).unwrap();
        let rows = steer(&lowered, machine, 20).unwrap_or_else(|told| panic!("{name}: {told}"));
        assert!(rows >= 20, "{name}: {rows} rows in 20 paths");
        assert!(!watched.accesses.lock().unwrap().is_empty(), "{name}: the guest was asked for nothing");
    }
}

/// COW under two vCPUs, in the order of Linux 6.18.
const TWO_VCPUS: &str = "\
scenario two-vcpus
page    A
frame   old = 0, new = 9 free
map     A -> old ro
refs    old = 2
cpu     T0
vcpu    V0, V1

agent T0
  alloc new
  copy old -> new
  notify_start A
  pte_clear A
  flush_tlb A
  set_pte A -> new rw
  notify_end A
  put old
  store A = 1
agent V0 spontaneous
  repeat 0..2: load A
agent V1 spontaneous
  repeat 0..2: load A

never   reads A == 0 after T0 store A
never   use of a freed frame
expect  proved
";

#[test]
fn two_vcpus_of_a_scenario_both_read_and_are_both_zapped() {
    if system().is_none() {
        return;
    }
    let loaded = lowering::load(TWO_VCPUS).unwrap_or_else(|told| panic!("{told:?}"));
    let lowered = &loaded[0].1;
    let (guest, watched) = watched(lowered, true);
    let machine = Machine::with_guest(lowered, guest).unwrap();
    steer(lowered, machine, 20).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(watched.asked.lock().unwrap().len(), 2, "both are asked");
}

#[test]
fn a_guest_that_is_told_to_forget_nothing_goes_on_with_the_old_page() {
    if system().is_none() {
        return;
    }
    let lowered = scenario("wp-page-copy");
    let (guest, _) = watched(&lowered, false);
    let told = steer(&lowered, Machine::with_guest(&lowered, guest).unwrap(), 100);
    if System::shadows_guest_tables() {
        // It gets to a page where it has to wait, reads another value than the model's, or what is freed.
        let freed = Stuck::Breaks(BuiltIn::FreedFrame);
        let is_noticed = match &told {
            Err(Difference::Part { .. } | Difference::Passes { .. }) => true,
            Err(Difference::Refused(stuck)) => *stuck == freed,
            Err(Difference::State { .. } | Difference::Unbroken(_)) | Ok(_) => false,
        };
        assert!(is_noticed, "{told:?}");
    } else {
        // What a TLB of hardware still holds is up to it.
        println!("without zaps: {told:?}");
    }
}

#[test]
fn a_guest_whose_shadow_entries_nobody_writes_gets_no_page() {
    if system().is_none() {
        return;
    }
    let lowered = scenario("wp-page-copy");
    let guest = play::guest(&lowered).unwrap();
    // A frame of the guest that it has left empty: its MMU walks another table.
    let leaf_table = Pfn(guest.free_from.0 - 1).address();
    let told = steer(&lowered, Machine::with_guest(&lowered, Guest { leaf_table, ..guest }).unwrap(), 100);
    assert!(matches!(told, Err(Difference::Refused(Stuck::Waits(_)))), "{told:?}");
}

#[test]
fn every_scenario_that_kvm_can_play_happens_there() {
    if system().is_none() {
        return;
    }
    let (mut proved, mut refuted, mut rows) = (0, 0, 0);
    let mut spent = Duration::ZERO;
    for Entry { lowered, .. } in catalogue::entries() {
        if play::played_by(&lowered.scene) != PlayedBy::Kvm {
            continue;
        }
        let moves = counterexample(&lowered);
        let steered = Steered::new(&lowered, play::machine(&lowered).unwrap());
        let mut random = fastrand::Rng::with_seed(1);
        let begun = Instant::now();
        let random = (0..5).map(|_| steered.random(&mut random, ROWS));
        for run in moves.iter().map(|moves| steered.run(moves)).chain(random) {
            rows += run.unwrap_or_else(|told| panic!("{}: {}: {:#?}", lowered.name, told.of, told.rows));
        }
        spent += begun.elapsed();
        *if moves.is_some() { &mut refuted } else { &mut proved } += 1;
    }
    println!(
        "{proved} proved, {refuted} refuted: {rows} rows on KVM, {:.0} rows/s",
        rows as f64 / spent.as_secs_f64()
    );
    assert!(proved >= 15 && refuted >= 20, "{proved} proved, {refuted} refuted");
}

/// A scenario that is to run by itself.
fn free(name: &str) -> Free {
    let header = format!("scenario {name}\n");
    let file =
        catalogue::FILES.iter().find(|file| file.text.contains(&header)).expect("the catalogue has it");
    let loaded = lowering::load(file.text).expect("the catalogue has no errors");
    let (scenario, _) =
        loaded.into_iter().find(|(_, lowered)| lowered.name == name).expect("its header was found");
    Free::new(&scenario, file.text, &Options::default()).expect("the catalogue has no errors")
}

/// Rounds of a scenario that runs by itself, with a guest that zaps or does not.
fn runs_by_itself(free: &Free, zaps: bool, rounds: u64) -> (Histogram, usize) {
    let (guest, watched) = watched(free.lowered(), zaps);
    let machine = Machine::with_guest(free.lowered(), guest).unwrap();
    let plan = Plan { rounds, time: None, seed: 1, threads: 2, window: 0, stop: None };
    let seen = free.run(&machine, &plan);
    let accesses = watched.accesses.lock().unwrap().len();
    (seen, accesses)
}

#[test]
fn who_runs_by_himself_on_kvm_ends_as_the_model_allows() {
    if system().is_none() {
        return;
    }
    let (seen, accesses) = runs_by_itself(&free("wp-page-copy"), true, 200);
    assert!(seen.agrees() && seen.rounds == 200, "{seen:?}");
    assert!(accesses > 20, "the guest was asked {accesses} times in 200 rounds");
    // What is forbidden happens where nothing forbids it.
    let unmapped = free("unmap-no-range");
    let happens = (0..20).any(|_| {
        let (seen, _) = runs_by_itself(&unmapped, true, 100);
        assert!(seen.agrees(), "{seen:?}");
        seen.bars.iter().any(|bar| matches!(bar.outcome, Outcome::Broken(_)))
    });
    assert!(happens, "the guest never met a freed frame");
}

#[test]
fn a_guest_that_does_not_zap_ends_as_the_model_does_not_allow() {
    if system().is_none() {
        return;
    }
    // Before the page is moved whoever reads it reads the old one, and then the new one.
    let text = "scenario s\npage A\nframe old = 0, new = 1\nmap A -> old ro\nvcpu V\nvar seen = 0..1, moved = 0..1\n\
                agent mm\n  when seen; notify_start A; pte_clear A; set_pte A -> new ro; notify_end A; moved = 1\n\
                agent v on V\n  load A; seen = 1; when moved; load A\n";
    let scenario = parse(text).scenarios.remove(0);
    let free = Free::new(&scenario, text, &Options::default()).expect("the text is a scenario");
    let (seen, _) = runs_by_itself(&free, true, 100);
    assert!(seen.agrees(), "{seen:?}");
    let found = (0..10).any(|_| !runs_by_itself(&free, false, 100).0.agrees());
    assert!(found, "nobody has noticed that the guest keeps what it was told to forget");
}

/// vCPUs that do not answer.
#[derive(Debug)]
struct Gone;

impl race::vcpus::Vcpus for Gone {
    fn access(&self, vcpu: UserId, _: Slot, _: Access, _: u64) -> Result<u64, Stuck> {
        Err(Stuck::Fails(format!("{vcpu} has not answered")))
    }

    fn zap(&self, _: &[Slot]) -> Result<(), Stuck> {
        Ok(())
    }
}

#[test]
fn a_vcpu_that_does_not_answer_ends_a_free_run_with_who_waits_for_it() {
    if system().is_none() {
        return;
    }
    let free = free("wp-page-copy");
    let guest = Guest { vcpus: Arc::new(Gone), ..play::guest(free.lowered()).unwrap() };
    let machine = Machine::with_guest(free.lowered(), guest).unwrap();
    let plan = Plan { rounds: 1000, time: None, seed: 1, threads: 2, window: 0, stop: None };
    let seen = free.run(&machine, &plan);
    let waits = seen.stalled.as_ref().expect("the guest does not answer");
    assert!(!seen.agrees() && waits.iter().any(|(_, step)| step.contains("has not answered")), "{waits:?}");
}
