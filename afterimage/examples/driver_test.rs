//! A driver's test in CI: it ends with status 1 and the reports if the driver forgets an invalidation.
//!
//! `driver_test` runs the driver as it should be; `driver_test --forget` one that does not invalidate what it unmaps.
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use afterimage::unit::{Port, SourceId, Unit, VirtAddr, Width};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const DEVICE: SourceId = SourceId::new(0, 3, 0);
const DOMAIN: u64 = 7;
const LEAVES: u64 = 0x6000;
const QUEUE: u64 = 0x8000;
const WINDOW: u64 = 0x20_0000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The driver under test: put your own here, with its registers led to `Unit::read` and `Unit::write`.
struct Driver {
    memory: Arc<GuestMemoryMmap>,
    unit: Unit,
    tail: u64,
    forgets: bool,
}

impl Driver {
    fn start(forgets: bool) -> Outcome<Self> {
        let memory =
            GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20), (GuestAddress(4 << 20), 1 << 20)])?;
        let memory = Arc::new(memory);
        let driver = Self { unit: Unit::new(Arc::clone(&memory))?, memory, tail: 0, forgets };
        let entry = 0x2000 + u64::from(DEVICE.devfn()) * 16;
        let words = [(0x1000, 0x2001), (entry + 8, DOMAIN << 8 | 2), (entry, 0x3001)];
        let tables = [(0x3000, 0x4003), (0x4000, 0x5003), (0x5008, LEAVES | 3)];
        for (at, word) in words.into_iter().chain(tables) {
            driver.put(at, word)?;
        }
        driver.unit.write(0x20, Width::Bits64, 0x1000);
        driver.unit.write(0x18, Width::Bits32, 1 << 30);
        driver.unit.write(0x90, Width::Bits64, QUEUE);
        driver.unit.write(0x18, Width::Bits32, 1 << 26);
        driver.unit.write(0x18, Width::Bits32, 1 << 26 | 1 << 31);
        Ok(driver)
    }

    fn put(&self, at: u64, word: u64) -> Outcome<()> {
        Ok(self.memory.write_obj(word, GuestAddress(at))?)
    }

    /// dma_map_single(): the address at which the device finds the frame.
    fn map(&self, frame: u64) -> Outcome<VirtAddr> {
        self.put(LEAVES, frame | 3)?;
        Ok(VirtAddr(WINDOW))
    }

    /// dma_unmap_single().
    fn unmap(&mut self, page: VirtAddr) -> Outcome<()> {
        self.put(LEAVES, 0)?;
        if self.forgets {
            return Ok(());
        }
        for word in [2 | 3 << 4 | 3 << 6 | DOMAIN << 16, page.0] {
            self.put(QUEUE + self.tail, word)?;
            self.tail += 8;
        }
        self.unit.write(0x88, Width::Bits64, self.tail);
        Ok(())
    }
}

/// Maps, lets the device write, unmaps, and does that again with another frame.
fn exercise(driver: &mut Driver, device: &mut Port) -> Outcome<()> {
    for frame in [0x1_0000, 4 << 20, 0x1_2000] {
        let page = driver.map(frame)?;
        device.write(None, page, &frame.to_le_bytes())?;
        driver.unmap(page)?;
    }
    Ok(())
}

fn main() -> Outcome<ExitCode> {
    let forgets = std::env::args().any(|word| word == "--forget");
    let mut driver = Driver::start(forgets)?;
    let mut device = driver.unit.port(DEVICE);
    exercise(&mut driver, &mut device)?;
    let (reports, mut out) = (driver.unit.finish(), std::io::stdout());
    reports.iter().try_for_each(|report| writeln!(out, "{report}"))?;
    writeln!(out, "{} stale uses", reports.len())?;
    Ok(if reports.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
