//! A PCI device of one's own in a machine: it doubles a word of the guest's memory, by DMA through the VT-d unit.
//!
//! Run: `cargo run -p afterimage-vmm --example own_device`. Without /dev/kvm it says `skipped: …`.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use devices::bus::Width;
use devices::pci::bar::{Bar, BarWidth};
use devices::pci::config::Identity;
use devices::pci::{ConfigSpace, Endpoint, Function};
use devices::serial::Transmit;
use mmu::address::VirtAddr;
use vmm::boot::{File, Payload};
use vmm::machine::ending::Ending;
use vmm::machine::options::{MachineOptions, OwnFunction};
use vmm::machine::{Machine, MachineError};

/// What is in the slot: vendor, device, a BAR of 4 KiB.
#[derive(Debug)]
struct Doubler;

impl OwnFunction for Doubler {
    fn config(&self) -> ConfigSpace {
        let identity = Identity { vendor: 0x1234, device: 0x0d0b, class: [0, 0xff, 0], revision: 1 };
        ConfigSpace::new(identity).with_bar(Bar::new(0, 4096, BarWidth::Bits32))
    }

    fn make(&self, endpoint: Arc<Endpoint>) -> io::Result<Arc<dyn Function>> {
        Ok(Arc::new(Attached(endpoint)))
    }
}

/// The device in its slot; the endpoint is its only way out.
struct Attached(Arc<Endpoint>);

impl Function for Attached {
    fn read(&self, _: u8, _: u64, width: Width) -> u64 {
        width.ones()
    }

    /// Doubles the 32 bits at the address that is written, if the unit lets it.
    fn write(&self, _: u8, _: u64, _: Width, address: u64) {
        let mut word = [0; 4];
        let read = self.0.read(None, VirtAddr(address), &mut word);
        let doubled = u32::from_le_bytes(word).wrapping_mul(2).to_le_bytes();
        if let Err(fault) = read.and_then(|()| self.0.write(None, VirtAddr(address), &doubled)) {
            log::warn!("{fault}");
        }
    }
}

/// A Multiboot image whose code stands at 1 MiB, behind its header.
fn guest() -> Vec<u8> {
    const CODE: &[u8] = &[
        0x66, 0xba, 0xf8, 0x0c, 0xb8, 0x04, 0x08, 0x00, 0x80, 0xef, // the command register of 00:01.0
        0x66, 0xba, 0xfc, 0x0c, 0xb8, 0x06, 0x00, 0x00, 0x00, 0xef, // = memory space, bus master
        0x66, 0xba, 0xf8, 0x0c, 0xb8, 0x10, 0x08, 0x00, 0x80, 0xef, // its BAR 0
        0x66, 0xba, 0xfc, 0x0c, 0xed, 0x24, 0xf0, // eax = where the BAR is
        0xc7, 0x05, 0x00, 0x80, 0x10, 0x00, 0x15, 0x00, 0x00, 0x00, // [0x108000] = 21
        0xc7, 0x00, 0x00, 0x80, 0x10, 0x00, // [eax] = 0x108000
        0xa1, 0x00, 0x80, 0x10, 0x00, // eax = [0x108000]
        0x66, 0xba, 0xf4, 0x00, 0xef, // the debug exit
        0xf4, 0xeb, 0xfd, // halt
    ];
    let (magic, flags) = (0x1bad_b002_u32, 1 << 16);
    let checksum = 0_u32.wrapping_sub(magic).wrapping_sub(flags);
    let header = [magic, flags, checksum, 0x10_0000, 0x10_0000, 0, 0, 0x10_0020];
    header.iter().flat_map(|word| word.to_le_bytes()).chain(CODE.iter().copied()).collect()
}

/// Where the guest's serial port goes.
struct Nowhere;

impl Transmit for Nowhere {
    fn send(&mut self, _: &[u8]) {}

    fn room_bytes(&self) -> usize {
        usize::MAX
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = MachineOptions { functions: vec![Arc::new(Doubler)], ..MachineOptions::default() };
    let payload = Payload::of(File { name: "guest".to_owned(), bytes: guest() });
    let mut out = io::stdout();
    let machine = match Machine::new(&options, &payload, Box::new(Nowhere)) {
        Ok(machine) => machine,
        Err(MachineError::System(error)) => return Ok(writeln!(out, "skipped: {error}")?),
        Err(error) => return Err(error.into()),
    };
    let unit = machine.unit().ok_or("the default machine has a unit")?;
    let run = machine.run_for(Duration::from_secs(30))?;
    unit.judge_the_rest();
    let stale = unit.take_stale_uses().len();
    match run.ending {
        Ending::Exit(value) => writeln!(out, "the guest has read {value}; {stale} stale uses")?,
        other => return Err(format!("the guest has not ended by itself: {other:?}").into()),
    }
    Ok(())
}
