//! A machine whose guest does not run yet: what its devices answer. Without /dev/kvm, "skipped: ...".
//!
//! Invariant: the test stands in for the guest's driver, and nobody else touches the unit.

use std::io::{Write, sink, stdout};
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Duration;

use devices::edu::EduOptions;
use devices::serial::{Output, Transmit};
use guest_images::bare::{BareImage, ElfWidth};
use iommu::vtd::{Vtd, Width};
use mmu::address::PhysAddr;

use super::console::{Console, Round};
use super::options::{AnswerTimeOut, Answers, DeviceKind, IommuKind, MachineOptions, UnitOptions};
use super::{Ending, Machine, MachineError};
use crate::boot::{File, Payload};
use crate::kvm::Access;
use crate::sandbox::Sandbox;

const QUEUE: u64 = 0x18_0000;
const STATUS: u64 = 0x18_1000;
/// The first device on the bus, 00:01.0.
const SOURCE: u64 = 1 << 3;

fn machine(answers: Answers) -> Option<Machine> {
    machine_with(UnitOptions { answers, ..UnitOptions::default() })
}

fn machine_with(unit: UnitOptions) -> Option<Machine> {
    machine_that_says(unit, Box::new(sink()))
}

fn machine_that_says(unit: UnitOptions, output: Output) -> Option<Machine> {
    let options = MachineOptions {
        memory_bytes: 4 << 20,
        processors: 1,
        iommu: IommuKind::Vtd(unit),
        devices: vec![DeviceKind::Edu(EduOptions::default())],
        sandbox: Sandbox::OFF,
    };
    let bytes = BareImage::Hello.elf(ElfWidth::Bits32);
    let kernel = File { name: "hello".to_owned(), bytes };
    let payload = Payload { kernel, initrd: None, modules: Vec::new(), command_line: String::new() };
    match Machine::new(&options, &payload, output) {
        Ok(machine) => Some(machine),
        Err(MachineError::System(error)) => {
            writeln!(stdout(), "skipped: {error}").expect("a test can be read");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Tells the device's TLB to forget page 0, and waits with a status write.
fn invalidate(unit: &Vtd) {
    let wait = [0x25 | 1 << 32, STATUS];
    for (index, word) in [SOURCE << 32 | 3, 0].into_iter().chain(wait).enumerate() {
        unit.memory().store(PhysAddr(QUEUE + 8 * index as u64), word);
    }
    unit.write(0x90, Width::Bits64, QUEUE);
    unit.write(0x18, Width::Bits32, 1 << 26);
    unit.write(0x88, Width::Bits64, 0x20);
}

fn has_waited(unit: &Vtd) -> bool {
    unit.memory().load(PhysAddr(STATUS)) == 1
}

#[test]
fn a_wait_completes_when_the_device_answers_and_no_sooner() {
    for (answers, at_once, later) in
        [(Answers::Prompt, true, true), (Answers::Late, false, true), (Answers::Never, false, false)]
    {
        let Some(machine) = machine(answers) else { return };
        let unit = machine.unit().expect("it has one");
        invalidate(&unit);
        assert_eq!(has_waited(&unit), at_once, "{answers:?}");
        machine.board.look_after_late();
        let is_late = machine.board.lateness().is_some();
        assert_eq!((has_waited(&unit), is_late), (later, answers != Answers::Prompt), "{answers:?}");
    }
}

#[test]
fn a_device_is_given_up_although_no_processor_asks() {
    let answer_time_out = AnswerTimeOut::After(Duration::from_millis(5));
    let unit = UnitOptions { answers: Answers::Never, answer_time_out, ..UnitOptions::default() };
    let Some(machine) = machine_with(unit) else { return };
    let unit = machine.unit().expect("it has one");
    assert_eq!(machine.board.lateness(), Some(Duration::from_millis(5)));
    invalidate(&unit);
    sleep(Duration::from_millis(6));
    assert_eq!(unit.take_time_outs(), []);
    machine.board.look_after_late();
    assert_eq!(unit.take_time_outs().len(), 1);
    assert!(!has_waited(&unit));
}

#[test]
fn the_end_stops_a_queue_that_a_processor_waits_for() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let unit = machine.unit().expect("it has one");
    machine.end.finish(Ending::TimedOut);
    invalidate(&unit);
    assert!(!has_waited(&unit), "nothing was carried out after the end");
}

#[test]
fn an_access_of_any_width_at_any_port_is_harmless() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    for byte in [0xff, 0x36] {
        for port in 0..=u16::MAX {
            for len in [0, 1, 2, 3, 4, 8, 40] {
                let mut bytes = [byte; 40];
                machine.board.serve(Access::Out { port, bytes: &bytes[..len] });
                machine.board.serve(Access::In { port, bytes: &mut bytes[..len] });
            }
        }
    }
    let (mut mask, mut free) = ([0], [0]);
    machine.board.serve(Access::Out { port: 0x21, bytes: &[0x5a] });
    machine.board.serve(Access::In { port: 0x21, bytes: &mut mask });
    machine.board.serve(Access::In { port: 0x60, bytes: &mut free });
    assert_eq!((mask, free), ([0x5a], [0xff]), "it still answers, and nobody where nothing is");
}

#[test]
fn what_ends_a_guest_is_told_apart() {
    for (port, value, expected) in [
        (0x64, 0xfe, "Reset"),
        (0x92, 0x01, "Reset"),
        (0xcf9, 0x06, "Reset"),
        (0x505, 0x01, "Panicked"),
        (0x505, 0x02, "Left"),
        (0x92, 0x02, "Left"),
        (0x600, 0x34, "PoweredOff"),
    ] {
        let Some(machine) = machine(Answers::Prompt) else { return };
        machine.board.serve(Access::Out { port, bytes: &[value] });
        assert_eq!(format!("{:?}", machine.end.take()), expected, "{value:#x} to port {port:#x}");
    }
}

#[test]
fn the_clock_answers_at_its_ports() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let mut valid = [0];
    machine.board.serve(Access::Out { port: 0x70, bytes: &[0x0d] });
    machine.board.serve(Access::In { port: 0x71, bytes: &mut valid });
    assert_eq!(valid, [0x80], "its battery is good");
}

/// A reader that is a mistake of ours.
struct Panics;

impl Transmit for Panics {
    fn send(&mut self, _: &[u8]) {
        panic!("on purpose");
    }

    fn room_bytes(&self) -> usize {
        usize::MAX
    }
}

#[test]
fn a_processor_whose_thread_panics_ends_the_machine() {
    let Some(machine) = machine_that_says(UnitOptions::default(), Box::new(Panics)) else { return };
    let console = Console { timeout: Some(Duration::from_secs(60)), ..Console::default() };
    let mut act = |_: &[String]| ControlFlow::Continue(());
    let run = machine.run(console, Round { every: Duration::from_millis(5), act: &mut act });
    let run = run.expect("the host has threads");
    assert!(matches!(&run.ending, Ending::ThreadPanicked(name) if name == "vCPU 0"), "{run:?}");
    assert_eq!(run.behind, Vec::<String>::new());
}
