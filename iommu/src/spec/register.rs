//! The register map.
//!
//! Invariant: a [`Register`] is the offset of a 32-bit register or of the lower half of a 64-bit one; the upper half
//! lies 4 bytes behind. Source: VT-d 11.4.

/// A register's offset from the unit's base, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Register(pub u16);

/// Bytes of a fault recording register.
pub const FAULT_RECORD_BYTES: u16 = 16;

impl Register {
    /// VER, 32 bits: the architecture version.
    pub const VERSION: Self = Self(0x00);
    /// CAP, 64 bits: see [`capability`](super::capability).
    pub const CAPABILITY: Self = Self(0x08);
    /// ECAP, 64 bits.
    pub const EXTENDED_CAPABILITY: Self = Self(0x10);
    /// GCMD, 32 bits: see [`command`](super::command).
    pub const GLOBAL_COMMAND: Self = Self(0x18);
    /// GSTS, 32 bits.
    pub const GLOBAL_STATUS: Self = Self(0x1c);
    /// RTADDR, 64 bits: the root table, and the mode in bits 11:10.
    pub const ROOT_TABLE: Self = Self(0x20);
    /// CCMD, 64 bits: context-cache invalidation without the queue.
    pub const CONTEXT_COMMAND: Self = Self(0x28);
    /// FSTS, 32 bits: see [`status`](super::status).
    pub const FAULT_STATUS: Self = Self(0x34);
    /// FECTL and the three registers behind it: the fault event.
    pub const FAULT_EVENT: Self = Self(0x38);
    /// IQH, 64 bits: where the unit reads the invalidation queue, in bytes from its base.
    pub const QUEUE_HEAD: Self = Self(0x80);
    /// IQT, 64 bits: where software writes it.
    pub const QUEUE_TAIL: Self = Self(0x88);
    /// IQA, 64 bits: where it lies, how large it is, how wide its descriptors are.
    pub const QUEUE_ADDRESS: Self = Self(0x90);
    /// ICS, 32 bits: a wait descriptor asked for an interrupt.
    pub const COMPLETION_STATUS: Self = Self(0x9c);
    /// IECTL and the three registers behind it: the invalidation event.
    pub const COMPLETION_EVENT: Self = Self(0xa0);
    /// IQERCD, 64 bits: what went wrong in the queue.
    pub const QUEUE_ERROR: Self = Self(0xb0);
    /// IRTA, 64 bits: the interrupt remapping table.
    pub const INTERRUPT_TABLE: Self = Self(0xb8);
    /// PQH, 64 bits: where software reads the page request queue.
    pub const REQUEST_HEAD: Self = Self(0xc0);
    /// PQT, 64 bits: where the unit writes it.
    pub const REQUEST_TAIL: Self = Self(0xc8);
    /// PQA, 64 bits: where it lies and how large it is.
    pub const REQUEST_ADDRESS: Self = Self(0xd0);
    /// PRS, 32 bits.
    pub const REQUEST_STATUS: Self = Self(0xdc);
    /// PECTL and the three registers behind it: the page request event.
    pub const REQUEST_EVENT: Self = Self(0xe0);
    /// IVA, 64 bits: the address of an IOTLB invalidation without the queue. Where it lies is told by ECAP.IRO.
    pub const INVALIDATE_ADDRESS: Self = Self(0xf0);
    /// IOTLB, 64 bits: IOTLB invalidation without the queue.
    pub const IOTLB_INVALIDATE: Self = Self(0xf8);
    /// FRCD, 128 bits each: the fault records. Where they lie is told by CAP.FRO.
    pub const FAULT_RECORDS: Self = Self(0x220);

    /// The register, or half of one, `bytes` behind this one.
    #[must_use]
    pub const fn plus(self, bytes: u16) -> Self {
        Self(self.0 + bytes)
    }

    /// The upper half of this 64-bit register.
    #[must_use]
    pub const fn upper(self) -> Self {
        self.plus(4)
    }
}
