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
use super::options::{
    AnswerTimeOut, Answers, Debugger, DeviceKind, IommuKind, MachineOptions, Placement, UnitOptions,
};
use super::{Ending, Machine, MachineError, is_within};
use crate::boot::{File, Payload, map};
use crate::kvm::{Access, CpuFlags};
use crate::sandbox::Sandbox;
use crate::spool::Spool;

const QUEUE: u64 = 0x18_0000;
const STATUS: u64 = 0x18_1000;
/// The first device on the bus, 00:01.0.
const SOURCE: u64 = 1 << 3;

pub(super) fn machine(answers: Answers) -> Option<Machine> {
    machine_with(UnitOptions { answers, ..UnitOptions::default() })
}

fn machine_with(unit: UnitOptions) -> Option<Machine> {
    machine_that_says(unit, Box::new(sink()))
}

fn machine_that_says(unit: UnitOptions, output: Output) -> Option<Machine> {
    machine_of(BareImage::Hello, unit, output)
}

pub(super) fn machine_of(image: BareImage, unit: UnitOptions, output: Output) -> Option<Machine> {
    let options = MachineOptions {
        memory_bytes: 4 << 20,
        processors: 1,
        masked_cpu_flags: CpuFlags::default(),
        iommu: IommuKind::Vtd(unit),
        devices: vec![DeviceKind::Edu(EduOptions::default())],
        virtio: Vec::new(),
        functions: Vec::new(),
        placement: Placement::default(),
        debugger: Debugger::None,
        sandbox: Sandbox::OFF,
        tracer: None,
    };
    let bytes = image.elf(ElfWidth::Bits32);
    let kernel = File { name: "image".to_owned(), bytes };
    let payload = Payload {
        kernel,
        initrd: None,
        modules: Vec::new(),
        command_line: String::new(),
        if_linux: Vec::new(),
    };
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
    invalidate_as(unit, 0);
}

/// The same as the pair number `nth` of the queue, which begins with the first.
fn invalidate_as(unit: &Vtd, nth: u64) {
    let wait = [0x25 | 1 << 32, STATUS];
    for (index, word) in [SOURCE << 32 | 3, 0].into_iter().chain(wait).enumerate() {
        unit.memory().store(PhysAddr(QUEUE + 0x20 * nth + 8 * index as u64), word);
    }
    if nth == 0 {
        unit.write(0x90, Width::Bits64, QUEUE);
        unit.write(0x18, Width::Bits32, 1 << 26);
    }
    unit.write(0x88, Width::Bits64, 0x20 * (nth + 1));
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
fn memory_ends_where_processors_have_addresses() {
    let end = |memory_bytes| map::second_piece(memory_bytes).end;
    for (memory_bytes, bits) in [(2 << 20, 32), (3 << 30, 32), (63 << 30, 36), (1 << 40, 41), (1 << 40, 64)] {
        assert!(is_within(end(memory_bytes), bits), "{memory_bytes:#x}, {bits} bits");
    }
    for (memory_bytes, bits) in [((3 << 30) + (1 << 20), 32), ((63 << 30) + (1 << 20), 36), (1 << 40, 40)] {
        assert!(!is_within(end(memory_bytes), bits), "{memory_bytes:#x}, {bits} bits");
    }
}

#[test]
fn a_device_that_is_late_is_late_each_time() {
    let Some(machine) = machine(Answers::Late) else { return };
    let unit = machine.unit().expect("it has one");
    for nth in 0..3 {
        unit.memory().store(PhysAddr(STATUS), 0);
        invalidate_as(&unit, nth);
        assert!(!has_waited(&unit), "{nth}");
        machine.board.look_after_late();
        assert!(has_waited(&unit), "{nth}");
    }
}

#[test]
fn time_outs_are_looked_at_often_enough_and_not_all_the_time() {
    let ms = Duration::from_millis;
    for (limit, every) in [(ms(5), ms(5)), (Duration::from_secs(3600), ms(20)), (Duration::ZERO, ms(1))] {
        let answer_time_out = AnswerTimeOut::After(limit);
        let unit = UnitOptions { answers: Answers::Never, answer_time_out, ..UnitOptions::default() };
        let Some(machine) = machine_with(unit) else { return };
        assert_eq!(machine.board.lateness(), Some(every), "{limit:?}");
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
        (0x64, 0xff, "Left"),
        (0x92, 0x01, "Reset"),
        (0xcf9, 0x06, "Reset"),
        (0xcf9, 0x02, "Left"),
        (0x505, 0x01, "Panicked"),
        (0x505, 0x02, "Left"),
        (0x92, 0x02, "Left"),
        (0x600, 0x34, "PoweredOff"),
        (0x600, 0x14, "Left"),
        (0x600, 0x24, "Left"),
    ] {
        let Some(machine) = machine(Answers::Prompt) else { return };
        machine.board.serve(Access::Out { port, bytes: &[value] });
        assert_eq!(format!("{:?}", machine.end.take()), expected, "{value:#x} to port {port:#x}");
    }
}

fn load(machine: &Machine, address: u64) -> u32 {
    let mut bytes = [0; 4];
    machine.board.serve(Access::Load { address, bytes: &mut bytes });
    u32::from_le_bytes(bytes)
}

fn store(machine: &Machine, address: u64, value: u32) {
    machine.board.serve(Access::Store { address, bytes: &value.to_le_bytes() });
}

/// The I/O APIC's select register, and its window.
const SELECT: u64 = 0xfec0_0000;
const WINDOW: u64 = 0xfec0_0010;

#[test]
fn a_line_of_the_test_device_reaches_its_input() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    // Input 5: level, unmasked.
    store(&machine, SELECT, 0x10 + 2 * 5);
    store(&machine, WINDOW, 0x30 | 1 << 15);
    let is_sent = |machine: &Machine| load(machine, WINDOW) & 1 << 14 != 0;
    assert!(!is_sent(&machine));
    write(&machine, 0x2005, 1);
    assert!(is_sent(&machine), "remote IRR");
}

#[test]
fn registers_that_no_bar_moves_go_before_any_bar() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let configure = |register: u32, value: u32| {
        for (port, word) in [(0xcf8, 1 << 31 | 1 << 11 | register), (0xcfc, value)] {
            machine.board.serve(Access::Out { port, bytes: &word.to_le_bytes() });
        }
    };
    // The device decodes memory, elsewhere first.
    configure(4, 2);
    configure(0x10, 0xd000_0000);
    assert_eq!(load(&machine, 0xd000_0000) & 0xff, 0xed, "edu's identification");
    configure(0x10, 0xfec0_0000);
    assert_eq!(load(&machine, 0xd000_0000), u32::MAX, "it has moved");
    store(&machine, SELECT, 1);
    assert_eq!(load(&machine, SELECT), 1);
}

/// Reads a byte at `port`.
fn read(machine: &Machine, port: u16) -> u8 {
    let mut byte = [0x5a];
    machine.board.serve(Access::In { port, bytes: &mut byte });
    byte[0]
}

fn write(machine: &Machine, port: u16, byte: u8) {
    machine.board.serve(Access::Out { port, bytes: &[byte] });
}

#[test]
fn a_range_of_ports_ends_with_its_last() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    for port in [0x44, 0x60c, 0x72, 0xe4, 0xec, 0x400] {
        write(&machine, port, 0x12);
        assert_eq!(read(&machine, port), 0xff, "{port:#x}");
    }
}

#[test]
fn what_a_guest_looks_for_answers_at_its_port() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    assert_eq!(read(&machine, 0x505), 3, "both events of pvpanic");
    write(&machine, 0xe1, 0x77);
    assert_eq!(
        [0xe1, 0xe9, 0xe2].map(|port| read(&machine, port)),
        [0x77, 0x77, 0],
        "the word of pc-testdev"
    );
    write(&machine, 0x61, 1);
    assert_eq!(read(&machine, 0x61) & 3, 1, "the gate of the timer");
    write(&machine, 0x61, 0);
    assert_eq!(read(&machine, 0x61) & 3, 0, "the gate of the timer");
}

#[test]
fn what_is_written_to_the_test_device_comes_out_of_the_serial_port() {
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    let output = Spool::start("output", || {}, writer).expect("there is a thread");
    let Some(machine) = machine_that_says(UnitOptions::default(), Box::new(output)) else { return };
    write(&machine, 0xf1, b'x');
    let mut first = [0];
    std::io::Read::read_exact(&mut &reader, &mut first).expect("it comes");
    assert_eq!(first, *b"x");
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
    let run = machine.run(console, Round { every: Duration::from_millis(5), act: &mut act }, Vec::new());
    let run = run.expect("the host has threads");
    assert!(matches!(&run.ending, Ending::ThreadPanicked(name) if name == "vCPU 0"), "{run:?}");
    assert_eq!(run.behind, Vec::<String>::new());
}
