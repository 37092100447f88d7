//! The DMA engine: a function that reads and writes memory as it is told.
//!
//! Invariant: [`run`](Engine::run) returns when every job has its completion record. Ring and records are reached by
//! requests without PASID, at the addresses where they lie. Source: docs/dma-engine.md.

mod interrupts;
mod pages;

pub use interrupts::Slot;

use crate::entry::DeviceTlb;
use crate::hardware::{load32, store32, store64};
use crate::id::{Iova, Pasid, Source};
use crate::interrupt_entry::Message;
use crate::memory::{Frame, Memory};
use crate::patience::wait_until;
use crate::pci::{Capability, Function};

/// Which function it is.
pub(crate) const VENDOR: u16 = 0x1234;
pub(crate) const DEVICE: u16 = 0x0a17;
/// Registers.
const CONTROL: u64 = 0x08;
const STATUS: u64 = 0x0c;
const RING_ADDRESS: u64 = 0x10;
const RING_SIZE: u64 = 0x18;
const TAIL: u64 = 0x20;
const RUN: u32 = 1;
const RESET: u32 = 2;
const HALTED: u32 = 2;
/// Entries of the ring, which fills a frame, as a power of two.
const ENTRIES_LOG2: u32 = 6;
const ENTRIES: u64 = 1 << ENTRIES_LOG2;
/// Words of a descriptor and of a completion record.
const DESCRIPTOR_WORDS: u64 = 8;
const RECORD_WORDS: u64 = 2;
/// Operations and flags, in the first word.
const NOTHING: u64 = 0;
const READ: u64 = 1;
const WRITE: u64 = 2;
const STOP: u64 = 7;
const SOURCE_PASID: u64 = 1 << 8;
const DESTINATION_PASID: u64 = 1 << 9;
const COMPLETION: u64 = 1 << 11;
const INTERRUPT: u64 = 1 << 12;
const VECTOR_SHIFT: u32 = 16;
const PASID_SHIFT: u32 = 32;
/// Bytes that a job moves which moves a word.
const LEN_BYTES: u64 = 8;
/// Bytes of an interrupt.
const MESSAGE_BYTES: u64 = 4;
/// Capabilities' control registers, behind their heads, and their bits.
const CONTROL_OF_ATS: u16 = 6;
const CONTROL_OF_PASID: u16 = 6;
const ATS_ON: u16 = 1 << 15;
const PASID_ON: u16 = 1;

const NOWHERE: Target = Target { pasid: None, at: Iova(0) };

/// An address of the device, in whose name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The process; none for the device as such.
    pub pasid: Option<Pasid>,
    /// Where.
    pub at: Iova,
}

/// One word that is moved, or nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Job {
    /// Out of memory.
    Read(Target),
    /// Into it.
    Write(Target, u64),
    /// Many words out of memory, which are added up.
    Sum {
        /// The first.
        from: Target,
        /// How much, a multiple of 8.
        len_bytes: u32,
    },
    /// An interrupt, written like any word, of half the length.
    Message(Message),
    /// No word; says that the process is not used any more (a stop marker).
    Stop(Pasid),
    /// No word; an interrupt at its end.
    Interrupt(Slot),
    /// No word.
    Nothing,
}

/// How a job ended: with the word that was read, 0 for a write, or with the engine's code.
pub type Outcome = Result<u64, u8>;

/// Jobs that were begun, by the first one's place in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "jobs end"]
pub struct Begun<const N: usize>(u64);

/// One engine.
#[derive(Debug)]
pub struct Engine {
    function: Function,
    /// Where its capabilities lie.
    ats: Option<u16>,
    pasid: Option<u16>,
    registers: u64,
    ring: Frame,
    records: Frame,
    tail: u64,
}

impl Engine {
    /// The engine number `number` on the bus, running.
    pub fn start(memory: &mut Memory, number: usize) -> Option<Self> {
        let function = Function::all(VENDOR, DEVICE).nth(number)?;
        function.enable();
        let (ats, pasid) = (function.capability(Capability::ATS), function.capability(Capability::PASID));
        if let Some(at) = pasid {
            function.write16(at + CONTROL_OF_PASID, PASID_ON);
        }
        let engine = Self {
            function,
            ats,
            pasid,
            registers: function.bar(),
            ring: memory.frame(),
            records: memory.frame(),
            tail: 0,
        };
        engine.reset();
        Some(engine)
    }

    /// Waits until it has given up: its ring could not be read.
    pub fn wait_for_halt(&self) {
        wait_until("the engine's halt", || self.has_halted());
    }

    /// Gives it a job in a ring that it should not reach. Whether it gave up: then it begins anew. Otherwise it did the job.
    pub fn gives_up(&mut self, job: Job) -> bool {
        let begun = self.begin([job]);
        wait_until("the engine's end or halt", || self.over(begun) == 1 || self.has_halted());
        let halted = self.has_halted();
        if halted {
            self.restart();
        }
        halted
    }

    fn has_halted(&self) -> bool {
        load32(self.registers + STATUS) & HALTED != 0
    }

    /// Begins anew with an empty ring.
    pub fn restart(&mut self) {
        self.tail = 0;
        self.reset();
    }

    fn reset(&self) {
        store32(self.registers + CONTROL, RESET);
        wait_until("the engine's reset", || load32(self.registers + CONTROL) & RESET == 0);
        store64(self.registers + RING_ADDRESS, self.ring.address());
        store32(self.registers + RING_SIZE, ENTRIES_LOG2);
        store32(self.registers + CONTROL, RUN);
    }

    /// What its requests carry.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.function.source()
    }

    /// The frames that it must reach without PASID.
    #[must_use]
    pub const fn own_frames(&self) -> [Frame; 2] {
        [self.ring, self.records]
    }

    /// Lets it translate ahead, or not; nothing happens if it cannot.
    pub fn translate_ahead(&self, device_tlb: DeviceTlb) {
        if let Some(at) = self.ats {
            self.function.write16(at + CONTROL_OF_ATS, if device_tlb == DeviceTlb::On { ATS_ON } else { 0 });
        }
    }

    /// Whether it can translate ahead.
    #[must_use]
    pub const fn has_device_tlb(&self) -> bool {
        self.ats.is_some()
    }

    /// Whether it can name processes.
    #[must_use]
    pub const fn has_pasids(&self) -> bool {
        self.pasid.is_some()
    }

    /// Does `jobs` one after the other.
    pub fn run<const N: usize>(&mut self, jobs: [Job; N]) -> [Outcome; N] {
        let begun = self.begin(jobs);
        self.end(begun)
    }

    /// Lets it do `jobs` while the caller does something else.
    pub fn begin<const N: usize>(&mut self, jobs: [Job; N]) -> Begun<N> {
        assert!((N as u64) < ENTRIES, "the ring has {ENTRIES} entries");
        let first = self.tail;
        jobs.into_iter().for_each(|job| self.put(job));
        store32(self.registers + TAIL, u32::try_from(self.tail).unwrap_or_default());
        Begun(first)
    }

    /// How many of them are done.
    #[must_use]
    pub fn over<const N: usize>(&self, begun: Begun<N>) -> usize {
        let Begun(first) = begun;
        let is_over = |number: &u64| self.records.load(number % ENTRIES * RECORD_WORDS + 1) != 0;
        (first..).take(N).take_while(is_over).count()
    }

    /// Waits until they are done.
    pub fn end<const N: usize>(&self, begun: Begun<N>) -> [Outcome; N] {
        let Begun(mut number) = begun;
        [(); N].map(|()| {
            let outcome = self.outcome(number);
            number = (number + 1) % ENTRIES;
            outcome
        })
    }

    fn put(&mut self, job: Job) {
        let record = self.tail * RECORD_WORDS;
        self.records.store(record + 1, 0);
        let (operation, target, pasid_flag, operand) = match job {
            Job::Read(target) | Job::Sum { from: target, .. } => (READ, target, SOURCE_PASID, 0),
            Job::Write(target, word) => (WRITE, target, DESTINATION_PASID, word),
            Job::Interrupt(slot) => (NOTHING | INTERRUPT | u64::from(slot.0) << VECTOR_SHIFT, NOWHERE, 0, 0),
            Job::Message(Message { address, data }) => {
                (WRITE, Target { pasid: None, at: Iova(address) }, 0, data.into())
            }
            Job::Stop(pasid) => (STOP, Target { pasid: Some(pasid), at: Iova(0) }, 0, 0),
            Job::Nothing => (NOTHING, NOWHERE, 0, 0),
        };
        let len_bytes = match job {
            Job::Sum { len_bytes, .. } => len_bytes.into(),
            Job::Message(_) => MESSAGE_BYTES,
            _ => LEN_BYTES,
        };
        let pasid = target.pasid.map_or(0, |pasid| pasid_flag | u64::from(pasid.0) << PASID_SHIFT);
        let words = [
            operation | COMPLETION | pasid,
            target.at.0,
            target.at.0,
            len_bytes,
            operand,
            0,
            self.records.place(record),
            0,
        ];
        for (index, word) in (self.tail * DESCRIPTOR_WORDS..).zip(words) {
            self.ring.store(index, word);
        }
        self.tail = (self.tail + 1) % ENTRIES;
    }

    fn outcome(&self, number: u64) -> Outcome {
        let record = number * RECORD_WORDS;
        wait_until("a completion record", || self.records.load(record + 1) != 0);
        match self.records.load(record + 1).to_le_bytes()[1] {
            0 => Ok(self.records.load(record)),
            code => Err(code),
        }
    }
}
