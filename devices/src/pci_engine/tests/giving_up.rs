//! Where the engine looks whether it is to give up: a reset that comes while one of its requests is under way.
//!
//! The gate lets software in while a request is on its way to memory, so that each of these moments can be hit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use iommu::pasid::Pasid;
use iommu::spec::descriptor::PageGroupResponse;
use iommu::spec::id::SourceId;
use iommu::spec::interrupt::Msi;
use iommu::spec::page_request::PageRequest;
use iommu::vtd::RequestOutcome;
use iommu::vtd::interrupts::MsiSink;
use iommu::vtd::port::Ats;
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::{Driver, PENDING, RECORD, Words, drive, r};
use crate::pci_engine::{PciEngine, PciEngineOptions};
use crate::rig::{Rig, Seen};
use crate::upstream::{Atomic, Direct, DmaFault, Port, Upstream};

const DESTINATION: u64 = 0x4_0000;

/// Memory, whose writes from [`DESTINATION`] on wait until they are let in.
struct Gated {
    direct: Direct,
    gate: Mutex<Option<Gate>>,
}

/// Tells where a write is about to go, and waits.
struct Gate {
    arrived: Sender<u64>,
    let_in: Receiver<()>,
}

struct GatedPort {
    port: Box<dyn Port>,
    gate: Option<Gate>,
}

impl Upstream for Gated {
    fn port(&self, source: SourceId) -> Box<dyn Port> {
        Box::new(GatedPort { port: self.direct.port(source), gate: self.gate.lock().take() })
    }

    fn send(&self, source: SourceId, message: Msi) {
        self.direct.send(source, message);
    }
}

impl Port for GatedPort {
    fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        self.port.read(pasid, address, bytes)
    }

    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        if let Some(gate) = self.gate.as_ref().filter(|_| address.0 >= DESTINATION) {
            // Nobody is there any more if the test has failed.
            let _gone = gate.arrived.send(address.0);
            let _gone = gate.let_in.recv();
        }
        self.port.write(pasid, address, bytes)
    }

    fn atomic(&mut self, pasid: Option<Pasid>, at: VirtAddr, operation: Atomic) -> Result<u64, DmaFault> {
        self.port.atomic(pasid, at, operation)
    }

    fn set_ats(&mut self, ats: Ats) {
        self.port.set_ats(ats);
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
    let gate = Gate { arrived: arriving, let_in: entering };
    let rig = Rig::behind(
        |memory: Arc<PhysicalMemory>, seen: Arc<Seen>| {
            let direct = Direct::new(memory, Arc::new(move |message| seen.send(message)));
            Arc::new(Gated { direct, gate: Mutex::new(Some(gate)) })
        },
        PciEngine::config(PciEngineOptions::default()),
        |endpoint, _| PciEngine::start(endpoint).expect("the host has a thread"),
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
    assert_eq!(machine.record(), 1 | 2 * 4096 << 32);
}
