//! What the facade promises beside the examples.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use afterimage::scenario::{Answered, Draft, Entry, Event, Limits, Program, Scenario, UserKind, keep_going};
use afterimage::unit::{Msi, MsiSink, SourceId, Unit, VirtAddr, VtdOptions, Watching, Width};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

#[test]
fn a_unit_watches_even_if_its_options_say_nothing_of_it() {
    let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let (memory, options) = (Arc::new(memory), VtdOptions::default());
    assert_eq!(options.stale.watching, Watching::Off, "the default of the crate below");
    let unit = Unit::with(Arc::clone(&memory), options, Arc::new(Nobody)).unwrap();
    let tables = [(0x1000, 0x2001), (0x2188, 0x702), (0x2180, 0x3001), (0x3000, 0x4003), (0x4000, 0x5003)];
    for (at, word) in tables.into_iter().chain([(0x5008, 0x6003), (0x6000, 0x1_0003_u64)]) {
        memory.write_obj(word, GuestAddress(at)).unwrap();
    }
    unit.write(0x20, Width::Bits64, 0x1000);
    unit.write(0x18, Width::Bits32, 1 << 30);
    unit.write(0x18, Width::Bits32, 1 << 31);
    let mut port = unit.port(SourceId::new(0, 3, 0));
    port.write(None, VirtAddr(0x20_0000), &[1]).unwrap();
    memory.write_obj(0_u64, GuestAddress(0x6000)).unwrap();
    port.write(None, VirtAddr(0x20_0000), &[1]).unwrap();
    assert_eq!((unit.finish().len(), unit.finish().len()), (1, 0), "once");
}

/// `count` CPUs that store what they like: as many states as one wants.
fn large(count: u32) -> Scenario {
    let body = || Program::new().repeat(0..=2, Program::new().load("A").store("A", 1).store("A", 2));
    let draft = Draft::new("large").page("A").frame("f", 0).map("A", Entry::read_write("f"));
    let draft = (0..count).fold(draft, |draft, cpu| {
        draft.user(UserKind::Cpu, format!("C{cpu}")).agent(format!("C{cpu}"), body())
    });
    Scenario::try_from(draft.never(Event::use_of_a_freed_frame())).expect("the draft is a scenario")
}

#[test]
fn explorations_at_once_do_not_meet() {
    let scenarios: Vec<_> = (1..=4).map(large).collect();
    let alone: Vec<_> =
        scenarios.iter().map(|one| one.explore(Limits::default(), keep_going).unwrap()).collect();
    assert!(alone.iter().all(|finding| finding.answered == Answered::Proved), "{alone:?}");
    let together: Vec<_> = thread::scope(|scope| {
        let explore =
            |one| scope.spawn(move || Scenario::explore(one, Limits::default(), keep_going).unwrap());
        let running: Vec<_> = scenarios.iter().map(explore).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
}

#[test]
fn a_search_that_is_told_to_stop_is_no_proof() {
    let mut told = Vec::new();
    let finding = large(9).explore(Limits::default(), |progress| {
        told.push(progress.states);
        if progress.states > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let finding = finding.unwrap();
    // A machine that is done before it tells anything has proved it.
    match told.last() {
        Some(states) if *states > 0 => assert_eq!(finding.answered, Answered::BoundHit, "{told:?}"),
        Some(_) | None => assert_eq!(finding.answered, Answered::Proved),
    }
    let limits = Limits { states: 10, ..Limits::default() };
    assert_eq!(large(3).explore(limits, keep_going).unwrap().answered, Answered::BoundHit);
}
