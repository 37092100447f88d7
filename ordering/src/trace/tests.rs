//! What a trace shows of the events it is given.

use std::time::{Duration, Instant};

use mmu::address::{Pfn, VirtAddr};
use mmu::trace::{Action, Agent, Event};
use steps::one_page::{ALLOCATE, CLEAR_PTE, Permission, Role, Step, set_pte};
use steps::program::Line;

use super::Trace;

const PAGE: VirtAddr = VirtAddr(0x4000_0000);
const OLD: Pfn = Pfn(0x2a);
const NEW: Pfn = Pfn(0x31);

struct Story {
    begun: Instant,
    events: Vec<Event>,
}

impl Story {
    fn new() -> Self {
        Self { begun: Instant::now(), events: Vec::new() }
    }

    fn event(&self, agent: Agent, action: Action, frame: Option<Pfn>, new_frame: Option<Pfn>) -> Event {
        let at = self.begun + Duration::from_micros(self.events.len() as u64);
        Event { at, agent, action, page: PAGE, frame, new_frame }
    }

    fn step(&mut self, step: Step) {
        let action = Action::Line { line: Line::Step(step), held: true };
        let event = self.event(Agent::Mm, action, Some(OLD), Some(NEW));
        self.events.push(event);
    }

    fn did(&mut self, agent: Agent, action: Action, frame: Pfn) {
        let event = self.event(agent, action, Some(frame), None);
        self.events.push(event);
    }
}

/// The mail's story: the device's walk, clear, set, a store, and the stale load.
fn story() -> (Vec<Event>, Event) {
    let mut story = Story::new();
    let device = Agent::Device(0);
    story.did(device, Action::Walk(Permission::ReadOnly), OLD);
    story.step(ALLOCATE);
    story.step(CLEAR_PTE);
    story.did(Agent::Device(1), Action::Fault, OLD);
    story.step(set_pte(Role::New, Permission::ReadWrite));
    story.did(Agent::Vcpu(1), Action::Store(1), NEW);
    let stale = story.event(device, Action::StaleLoad { value: 0, published: 1 }, Some(OLD), None);
    (story.events, stale)
}

#[test]
fn a_trace_reads_like_the_mail() {
    let (before, stale) = story();
    let expected = "\
page A = 0x40000000, old = frame 0x2a, new = frame 0x31
        µs | CPU                 | IOMMU (device 0) | state change
     0.000 |                     | walk A           | iotlb[A]: old ro
     1.000 | alloc new           |                  |
     2.000 | pte_clear A         |                  | pte[A]: none
     4.000 | set_pte A -> new rw |                  | pte[A]: new rw
     5.000 | vCPU 1: store A = 1 |                  | new: 1
     6.000 |                     | load A = 0       | STALE: 1 was published before
";
    assert_eq!(Trace::of_violation(&before, &stale).to_string(), expected);
}

#[test]
fn a_lost_store_is_shown_from_the_side_of_who_stored() {
    let (mut before, stale) = story();
    before[5].agent = Agent::Device(1);
    let lost = Event { agent: Agent::Mm, action: Action::LostStore { value: 0, published: 1 }, ..stale };
    let trace = Trace::of_violation(&before, &lost);
    assert!(trace.to_string().contains("IOMMU (device 1)"));
    assert!(trace.rows().iter().any(|row| row.right == "store A = 1"));
    assert_eq!(trace.rows().last().unwrap().left, "A holds 0");
}

#[test]
fn a_violation_without_a_history_is_one_row() {
    let (_, stale) = story();
    let trace = Trace::of_violation(&[], &stale);
    assert_eq!(trace.rows().len(), 1);
    assert!(trace.to_string().contains("old = frame ?"));
}

#[test]
fn a_long_history_is_cut_at_the_front() {
    let (mut before, stale) = story();
    let noise = before[2];
    before.splice(2..2, std::iter::repeat_n(noise, 100));
    let trace = Trace::of_violation(&before, &stale);
    assert_eq!(trace.rows().len(), super::MAX_ROWS);
    assert!(trace.rows().last().unwrap().change.starts_with("STALE"));
}
