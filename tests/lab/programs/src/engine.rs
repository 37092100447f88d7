//! The DMA engine, driven by VFIO: its ring and its completion record lie in one page.
//!
//! Invariant: a descriptor is over before the next one begins. Offsets and codes: `docs/dma-engine.md`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use vfio_ioctls::{VfioDevice, VfioError};
use vm_memory::mmap::MmapRegionError;
use vm_memory::{MmapRegion, VolatileMemory, VolatileMemoryError};

use crate::space::{Memory, PAGE, Space};

const REGISTERS: u32 = 0;
const CONFIGURATION: u32 = 7;
const COMMAND: u64 = 4;
const MEMORY_AND_BUS_MASTER: u16 = 0b110;

const CONTROL: u64 = 0x08;
const RUN: u32 = 1;
const RESET: u32 = 2;
const RING_ADDRESS: u64 = 0x10;
const RING_SIZE: u64 = 0x18;
const TAIL: u64 = 0x20;
const HEAD: u64 = 0x24;

const RING_LOG2: u32 = 5;
const DESCRIPTOR: usize = 64;
const RECORD: usize = PAGE / 2;
/// Operation 2 and the flag that asks for a record.
const WRITE_WITH_RECORD: u64 = 2 | 8 << 8;
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a device cannot be driven.
#[derive(Error, Debug)]
pub enum EngineError {
    /// VFIO refuses.
    #[error("{0}")]
    Vfio(#[from] VfioError),
    /// There is no memory.
    #[error("{0}")]
    Memory(#[from] MmapRegionError),
    /// Outside of the ring.
    #[error("{0}")]
    Access(#[from] VolatileMemoryError),
    /// The engine stands still.
    #[error("nothing came within {} s", PATIENCE.as_secs())]
    Silent,
}

/// An engine that runs.
pub struct Engine {
    device: VfioDevice,
    ring: Memory,
    ring_at: u64,
    tail: u32,
}

impl Engine {
    /// The device of this path below `/sys`, in this space, with its ring at this address.
    pub fn open(path: &Path, space: &mut Space, ring_at: u64) -> Result<Self, EngineError> {
        let device = VfioDevice::new(path, space.container(), false)?;
        let ring = Arc::new(MmapRegion::new(PAGE)?);
        space.map(ring_at, &ring)?;
        let mut engine = Self { device, ring, ring_at, tail: 0 };
        engine.start()?;
        Ok(engine)
    }

    /// As after power-on, and then it runs.
    pub fn start(&mut self) -> Result<(), EngineError> {
        self.device.region_write(CONFIGURATION, &MEMORY_AND_BUS_MASTER.to_le_bytes(), COMMAND);
        self.set(CONTROL, RESET);
        self.wait(|engine| Ok(engine.register(CONTROL) & RESET == 0))?;
        let [low, high] = halves(self.ring_at);
        self.set(RING_ADDRESS, low);
        self.set(RING_ADDRESS + 4, high);
        self.set(RING_SIZE, RING_LOG2);
        self.set(CONTROL, RUN);
        self.tail = 0;
        Ok(())
    }

    /// A function-level reset. Whether the engine is as after power-on then.
    pub fn reset(&mut self) -> bool {
        self.device.reset();
        [CONTROL, RING_ADDRESS, RING_SIZE, TAIL, HEAD].iter().all(|offset| self.register(*offset) == 0)
    }

    /// Writes the value again and again. How that ended, as a code of the data sheet.
    pub fn write(&mut self, to: u64, value: u64, len: u32) -> Result<u8, EngineError> {
        self.post(to, value, len, 1)?;
        self.wait(|engine| Ok(engine.status()? & 1 != 0))?;
        Ok(self.status()?.to_le_bytes()[1])
    }

    /// The same so many times, without waiting for the end.
    pub fn post(&mut self, to: u64, value: u64, len: u32, times: usize) -> Result<(), EngineError> {
        self.ring.get_atomic_ref::<AtomicU64>(RECORD + 8)?.store(0, Ordering::Release);
        for _ in 0..times {
            let entry = usize::try_from(self.tail).map_err(|_| EngineError::Silent)? * DESCRIPTOR;
            let record = self.ring_at + RECORD as u64;
            let words = [WRITE_WITH_RECORD, 0, to, u64::from(len), value, 0, record, 0];
            for (number, word) in words.into_iter().enumerate() {
                self.ring.get_ref::<u64>(entry + 8 * number)?.store(word);
            }
            self.tail = (self.tail + 1) % (1 << RING_LOG2);
        }
        self.set(TAIL, self.tail);
        Ok(())
    }

    /// The second word of the completion record.
    fn status(&self) -> Result<u64, EngineError> {
        Ok(self.ring.get_atomic_ref::<AtomicU64>(RECORD + 8)?.load(Ordering::Acquire))
    }

    fn wait(&self, is_over: impl Fn(&Self) -> Result<bool, EngineError>) -> Result<(), EngineError> {
        let begun = Instant::now();
        while !is_over(self)? {
            if begun.elapsed() > PATIENCE {
                return Err(EngineError::Silent);
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn register(&self, offset: u64) -> u32 {
        // What cannot be read is not as after power-on.
        let mut word = [0xff; 4];
        self.device.region_read(REGISTERS, &mut word, offset);
        u32::from_le_bytes(word)
    }

    fn set(&self, offset: u64, value: u32) {
        self.device.region_write(REGISTERS, &value.to_le_bytes(), offset);
    }
}

/// The lower and the upper 32 bits.
fn halves(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn a_register_of_64_bits_is_written_by_halves() {
        assert_eq!(halves(0x1234_5678_9abc_def0), [0x9abc_def0, 0x1234_5678]);
    }
}
