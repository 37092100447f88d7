//! The engine's registers, at the beginning of BAR 0.
//!
//! Invariant: offsets and bits here are those of `docs/dma-engine.md`. A register has 32 or 64 bits; one of 64 may be
//! accessed by halves.

/// Bytes of the registers.
pub const LEN_BYTES: u64 = 0x50;

/// Says which device this is: [`IDENTIFICATION_VALUE`].
pub const IDENTIFICATION: u16 = 0x00;
/// Bits 7:0: most entries of a ring, bits 15:8: most bytes of a descriptor, both as powers of two.
pub const LIMITS: u16 = 0x04;
/// Runs and resets.
pub const CONTROL: u16 = 0x08;
/// Whether it works, and whether it can.
pub const STATUS: u16 = 0x0c;
/// Where the ring lies (64 bits), a multiple of 64.
pub const RING_ADDRESS: u16 = 0x10;
/// Entries of the ring as a power of two.
pub const RING_SIZE: u16 = 0x18;
/// In whose name the ring is read.
pub const RING_PASID: u16 = 0x1c;
/// The entry behind the last one to execute; a write is the doorbell.
pub const TAIL: u16 = 0x20;
/// The next entry to execute.
pub const HEAD: u16 = 0x24;
/// Why it interrupts; written ones clear.
pub const INTERRUPT_STATUS: u16 = 0x28;
/// For which reasons it interrupts by INTx and MSI.
pub const INTERRUPT_ENABLE: u16 = 0x2c;
/// Where the first fault was (64 bits).
pub const FAULT_ADDRESS: u16 = 0x30;
/// What it was; a 1 written to [`FAULT_VALID`] makes room for the next.
pub const FAULT: u16 = 0x38;
/// Descriptors executed since reset (64 bits).
pub const EXECUTED: u16 = 0x40;
/// Descriptors that failed since reset (64 bits).
pub const FAILED: u16 = 0x48;

/// "FA" and version 1.0.
pub const IDENTIFICATION_VALUE: u32 = 0x4146_0100;
/// Most entries of a ring, as a power of two.
pub const MOST_ENTRIES_LOG2: u8 = 12;
/// Most bytes of a descriptor, as a power of two.
pub const MOST_BYTES_LOG2: u8 = 20;

/// In CONTROL: executes descriptors.
pub const RUN: u32 = 1 << 0;
/// In CONTROL: puts all registers back; reads 1 until that is done.
pub const RESET: u32 = 1 << 1;
/// In STATUS: a descriptor is being executed.
pub const BUSY: u32 = 1 << 0;
/// In STATUS: the ring cannot be used; only a reset helps.
pub const HALTED: u32 = 1 << 1;

/// In RING_PASID and FAULT: the PASID in bits 19:0 counts.
pub const RING_PASID_VALID: u32 = 1 << 31;
/// In INTERRUPT_STATUS and INTERRUPT_ENABLE: a descriptor that asks for it is over.
pub const INTERRUPT_DONE: u32 = 1 << 0;
/// In the same: a descriptor failed.
pub const INTERRUPT_FAULT: u32 = 1 << 1;
/// In the same: the engine has halted.
pub const INTERRUPT_HALT: u32 = 1 << 2;
/// All of them.
pub const INTERRUPTS: u32 = INTERRUPT_DONE | INTERRUPT_FAULT | INTERRUPT_HALT;

/// In FAULT: the register holds a fault.
pub const FAULT_VALID: u32 = 1 << 31;
/// In FAULT: of a write.
pub const FAULT_WRITE: u32 = 1 << 30;
/// In FAULT: with the PASID in bits 19:0.
pub const FAULT_PASID: u32 = 1 << 29;
/// In FAULT: where the code begins, 5 bits.
pub const FAULT_CODE_SHIFT: u32 = 24;
