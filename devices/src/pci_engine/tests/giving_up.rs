//! Where the engine looks whether it is to give up: a reset that comes while one of its requests is under way.
//!
//! The gate lets software in while a request is on its way to memory, so that each of these moments can be hit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Ats, Msi, MsiSink, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};

use super::{Driver, PENDING, RECORD, Words, drive, r};
use crate::bus::Width;
use crate::pci::Function;
use crate::pci::capability::msix;
use crate::pci_engine::{PciEngine, PciEngineOptions};
use crate::rig::{Rig, Seen};
use crate::upstream::{Atomic, Direct, DmaFault, Port, Upstream};
use crate::worker::Hooks;

const DESTINATION: u64 = 0x4_0000;

/// Memory, whose writes from [`DESTINATION`] on wait until they are let in, and so do interrupts.
struct Gated {
    direct: Direct,
    gate: Arc<Gate>,
}

/// Tells where something is about to go, and waits.
struct Gate {
    arrived: Sender<u64>,
    let_in: Mutex<Receiver<()>>,
}

struct GatedPort {
    port: Box<dyn Port>,
    gate: Arc<Gate>,
}

impl Gate {
    fn pass(&self, address: u64) {
        if address >= DESTINATION {
            // Nobody is there any more if the test has failed.
            let _gone = self.arrived.send(address);
            let _gone = self.let_in.lock().recv();
        }
    }
}

impl Upstream for Gated {
    fn port(&self, source: SourceId) -> Box<dyn Port> {
        Box::new(GatedPort { port: self.direct.port(source), gate: Arc::clone(&self.gate) })
    }

    fn send(&self, source: SourceId, message: Msi) {
        self.gate.pass(message.address);
        self.direct.send(source, message);
    }
}

impl Port for GatedPort {
    fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        self.port.read(pasid, address, bytes)
    }

    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        self.gate.pass(address.0);
        self.port.write(pasid, address, bytes)
    }

    fn atomic(&mut self, pasid: Option<Pasid>, at: VirtAddr, operation: Atomic) -> Result<u64, DmaFault> {
        self.port.atomic(pasid, at, operation)
    }

    fn hold(&mut self, address: VirtAddr, access: Access) -> Result<PhysAddr, DmaFault> {
        self.port.hold(address, access)
    }

    fn release(&mut self) {
        self.port.release();
    }

    fn set_ats(&mut self, ats: Ats) {
        self.port.set_ats(ats);
    }

    fn reset(&mut self) {
        self.port.reset();
    }

    fn drop_responses(&mut self) {
        self.port.drop_responses();
    }

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        self.port.request_page(request)
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        self.port.next_response()
    }
}

/// An engine behind a gate, from the outside.
struct Machine {
    // Dropped first, so that the engine's thread, which the driver joins, waits for nobody.
    let_in: Sender<()>,
    arrived: Receiver<u64>,
    driver: Driver,
}

fn machine() -> Machine {
    let ((arriving, arrived), (let_in, entering)) = (channel(), channel());
    let gate = Arc::new(Gate { arrived: arriving, let_in: Mutex::new(entering) });
    let rig = Rig::behind(
        |memory: Arc<PhysicalMemory>, seen: Arc<Seen>| {
            let direct = Direct::new(memory, Arc::new(move |message| seen.send(message)));
            Arc::new(Gated { direct, gate })
        },
        PciEngine::config(PciEngineOptions::default()),
        |endpoint, _| PciEngine::start(endpoint, Hooks::default()).expect("the host has a thread"),
    );
    Machine { let_in, arrived, driver: drive(rig) }
}

impl Machine {
    /// A reset comes while the write that has arrived is under way; where the writes go that the engine makes of it
    /// from there on, until it has been put back.
    fn reset_meanwhile(&self) -> Vec<u64> {
        self.driver.store(r::CONTROL, r::RESET.into());
        self.let_in.send(()).unwrap();
        self.driver.wait(|driver| {
            // Whoever comes now finds the gate open.
            let _unused = self.let_in.send(());
            driver.load(r::CONTROL) == 0
        });
        self.arrived.try_iter().collect()
    }

    fn record(&self) -> u64 {
        self.driver.rig.memory.load(PhysAddr(RECORD + 8))
    }
}

fn write(len_bytes: u64) -> Words {
    Words { operation: 2, destination: DESTINATION, len_bytes, operand: 7, ..Words::default() }
}

#[test]
fn a_reset_ends_a_long_descriptor_behind_the_piece_at_hand() {
    let mut machine = machine();
    machine.driver.submit(write(5 * 4096).encode());
    assert_eq!(machine.arrived.recv(), Ok(DESTINATION));
    assert_eq!(machine.reset_meanwhile(), [0; 0], "four more pieces were to come");
    assert_eq!(machine.record(), PENDING);
}

#[test]
fn a_reset_during_the_last_request_leaves_no_completion_record() {
    let mut machine = machine();
    machine.driver.submit(Words { flags: 0b1_0000, ..write(8) }.encode());
    assert_eq!(machine.arrived.recv(), Ok(DESTINATION));
    assert_eq!(machine.reset_meanwhile(), [0; 0]);
    assert_eq!(machine.driver.rig.memory.load(PhysAddr(DESTINATION)), 7, "what was under way has arrived");
    assert_eq!(machine.record(), PENDING, "but nobody is told");
    assert_eq!((machine.driver.load(r::HEAD), machine.driver.load(r::EXECUTED)), (0, 0));
}

#[test]
fn without_a_reset_every_piece_comes_and_the_record_behind_them() {
    let mut machine = machine();
    machine.driver.submit(write(2 * 4096).encode());
    for piece in 0..2 {
        assert_eq!(machine.arrived.recv(), Ok(DESTINATION + piece * 4096));
        assert_eq!(machine.record(), PENDING);
        machine.let_in.send(()).unwrap();
    }
    machine.driver.wait(|driver| driver.load(r::EXECUTED) == 1);
    assert_eq!(machine.record(), 1 | (2 * 4096) << 32);
}

#[test]
fn a_reset_that_is_under_way_is_not_taken_back() {
    let mut machine = machine();
    machine.driver.submit(write(8).encode());
    assert_eq!(machine.arrived.recv(), Ok(DESTINATION));
    machine.driver.store(r::CONTROL, r::RESET.into());
    machine.driver.store(r::CONTROL, r::RUN.into());
    machine.let_in.send(()).unwrap();
    machine.driver.wait(|driver| driver.load(r::CONTROL) & u64::from(r::RESET) == 0);
    assert_eq!(machine.driver.load(r::CONTROL), 0, "it was put back");
    assert_eq!(machine.record(), PENDING);
}

#[test]
fn the_result_is_written_before_the_status_and_the_interrupt_leaves_when_head_has_passed() {
    const COMPLETION: u64 = DESTINATION + 0x1000;
    let mut machine = machine();
    let at = machine.driver.rig.endpoint.config().find(msix::ID).unwrap();
    for (offset, value) in [(0x1000, 0xfee0_0000), (0x1008, 0x41), (0x100c, 0)] {
        machine.driver.rig.device.write(0, offset, Width::Dword, value);
    }
    machine.driver.rig.endpoint.configure(at + 2, Width::Word, 1 << 15);
    let mut words = Words { flags: 0b1_0000, ..write(8) }.encode();
    words[6] = COMPLETION;
    machine.driver.submit(words);
    for address in [DESTINATION, COMPLETION, COMPLETION + 8] {
        assert_eq!(machine.arrived.recv(), Ok(address));
        assert_eq!(machine.driver.load(r::HEAD), 0);
        machine.let_in.send(()).unwrap();
    }
    assert_eq!(machine.arrived.recv(), Ok(0xfee0_0000));
    assert_eq!(machine.driver.load(r::HEAD), 1);
    machine.let_in.send(()).unwrap();
}
