//! The register file: what software reads and writes, word by word.
//!
//! Invariant: software changes a bit only if its row allows it; a register without a row reads 0 (or what the unit put
//! there) and takes nothing. What a write sets in motion is not known here. Source: VT-d 11.1, 11.2 (accesses), 11.4.

use crate::spec::capability::VERSION_1_0;
use crate::spec::fault::RECORD_IN_USE;
use crate::spec::register::{FAULT_RECORD_BYTES, Register};
use crate::spec::status;
use crate::vtd::options::{FAULT_RECORDS, VtdOptions};

/// How wide an access to a register is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// Bytes of the register page.
pub const REGISTER_BYTES: u64 = 0x1000;
const WORDS: usize = 0x1000 / 4;

/// What software may do to the bits of one word.
#[derive(Clone, Copy)]
struct Row {
    register: Register,
    writable: u32,
    /// Cleared by writing 1.
    clears: u32,
}

const fn writable(register: Register, writable: u32) -> Row {
    Row { register, writable, clears: 0 }
}

const fn clears(register: Register, clears: u32) -> Row {
    Row { register, writable: 0, clears }
}

const ALL: u32 = u32::MAX;
const FAULT_STATUS_CLEARS: u32 =
    status::FAULT_OVERFLOW | status::QUEUE_ERROR | status::COMPLETION_ERROR | status::TIME_OUT_ERROR;
const ROWS: [Row; 32] = [
    writable(Register::GLOBAL_COMMAND, ALL),
    writable(Register::ROOT_TABLE, 0xffff_fc00),
    writable(Register::ROOT_TABLE.upper(), ALL),
    writable(Register::CONTEXT_COMMAND, ALL),
    writable(Register::CONTEXT_COMMAND.upper(), 0xe000_0003),
    clears(Register::FAULT_STATUS, FAULT_STATUS_CLEARS),
    writable(Register::FAULT_EVENT, status::EVENT_MASKED),
    writable(Register::FAULT_EVENT.plus(4), ALL),
    writable(Register::FAULT_EVENT.plus(8), ALL),
    writable(Register::FAULT_EVENT.plus(12), ALL),
    writable(Register::QUEUE_TAIL, 0x7_fff0),
    writable(Register::QUEUE_ADDRESS, 0xffff_f807),
    writable(Register::QUEUE_ADDRESS.upper(), ALL),
    clears(Register::COMPLETION_STATUS, status::WAIT_COMPLETE),
    writable(Register::COMPLETION_EVENT, status::EVENT_MASKED),
    writable(Register::COMPLETION_EVENT.plus(4), ALL),
    writable(Register::COMPLETION_EVENT.plus(8), ALL),
    writable(Register::COMPLETION_EVENT.plus(12), ALL),
    writable(Register::INTERRUPT_TABLE, 0xffff_f80f),
    writable(Register::INTERRUPT_TABLE.upper(), ALL),
    writable(Register::REQUEST_HEAD, 0x7_ffe0),
    writable(Register::REQUEST_TAIL, 0x7_ffe0),
    writable(Register::REQUEST_ADDRESS, 0xffff_f007),
    writable(Register::REQUEST_ADDRESS.upper(), ALL),
    clears(Register::REQUEST_STATUS, status::REQUEST_PENDING | status::REQUEST_OVERFLOW),
    writable(Register::REQUEST_EVENT, status::EVENT_MASKED),
    writable(Register::REQUEST_EVENT.plus(4), ALL),
    writable(Register::REQUEST_EVENT.plus(8), ALL),
    writable(Register::REQUEST_EVENT.plus(12), ALL),
    writable(Register::INVALIDATE_ADDRESS, 0xffff_f07f),
    writable(Register::INVALIDATE_ADDRESS.upper(), ALL),
    writable(Register::IOTLB_INVALIDATE.upper(), 0xb003_ffff),
];

/// The file.
#[derive(Debug)]
pub(crate) struct Registers {
    words: Box<[u32]>,
}

impl Registers {
    /// The registers after reset.
    pub(crate) fn new(options: &VtdOptions) -> Self {
        let mut registers = Self { words: vec![0; WORDS].into_boxed_slice() };
        registers.set(Register::VERSION, VERSION_1_0);
        registers.set_long(Register::CAPABILITY, options.capability());
        registers.set_long(Register::EXTENDED_CAPABILITY, options.extended_capability());
        for event in [Register::FAULT_EVENT, Register::COMPLETION_EVENT, Register::REQUEST_EVENT] {
            registers.set(event, status::EVENT_MASKED);
        }
        registers
    }

    /// What software reads at `offset`; 0 where no access of that width is possible.
    pub(crate) fn read(&self, offset: u64, width: Width) -> u64 {
        match aligned(offset, width) {
            Some(register) if width == Width::Bits32 => u64::from(self.word(register)),
            Some(register) => self.long(register),
            None => 0,
        }
    }

    /// Writes as software does, and tells which words were written.
    pub(crate) fn write(&mut self, offset: u64, width: Width, value: u64) -> [Option<Register>; 2] {
        let Some(register) = aligned(offset, width) else { return [None; 2] };
        let [low, high] = halves(value);
        self.write_word(register, low);
        if width == Width::Bits32 {
            return [Some(register), None];
        }
        self.write_word(register.upper(), high);
        [Some(register), Some(register.upper())]
    }

    fn write_word(&mut self, register: Register, value: u32) {
        let row = row(register);
        let word = self.word(register);
        self.set(register, (word & !row.writable | value & row.writable) & !(value & row.clears));
    }

    pub(crate) fn word(&self, register: Register) -> u32 {
        self.words[usize::from(register.0 / 4)]
    }

    pub(crate) fn set(&mut self, register: Register, word: u32) {
        self.words[usize::from(register.0 / 4)] = word;
    }

    /// A 64-bit register.
    pub(crate) fn long(&self, register: Register) -> u64 {
        u64::from(self.word(register.upper())) << 32 | u64::from(self.word(register))
    }

    pub(crate) fn set_long(&mut self, register: Register, value: u64) {
        let [low, high] = halves(value);
        self.set(register, low);
        self.set(register.upper(), high);
    }

    /// Sets bits of a status register.
    pub(crate) fn raise(&mut self, register: Register, bits: u32) {
        self.set(register, self.word(register) | bits);
    }
}

/// The register that an access of `width` at `offset` begins at.
fn aligned(offset: u64, width: Width) -> Option<Register> {
    let len_bytes = if width == Width::Bits32 { 4 } else { 8 };
    let inside = offset.is_multiple_of(len_bytes) && offset < REGISTER_BYTES;
    u16::try_from(offset).ok().filter(|_| inside).map(Register)
}

fn row(register: Register) -> Row {
    let record = Register::FAULT_RECORDS.0..Register::FAULT_RECORDS.0 + FAULT_RECORDS * FAULT_RECORD_BYTES;
    if record.contains(&register.0) && register.0 % FAULT_RECORD_BYTES == 12 {
        return clears(register, halves(RECORD_IN_USE)[1]);
    }
    ROWS.into_iter().find(|row| row.register == register).unwrap_or(writable(register, 0))
}

/// The lower and the upper half.
#[expect(clippy::cast_possible_truncation, reason = "halves are what is wanted")]
const fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}
