//! Interrupts as messages.
//!
//! Invariant: a message is a store of 32 bits to 0xfeexxxxx; [`Msi`] is one, whatever it came from.
//! Source: PCI 3.0, 6.8; SDM vol. 3, 11.11.

/// An interrupt on its way: what is stored, and where.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Msi {
    /// 0xfeexxxxx; in bits 63:40, bits 31:8 of an x2APIC id.
    pub address: u64,
    /// Vector, delivery mode, trigger mode.
    pub data: u32,
}

/// Whoever delivers interrupts to CPUs.
pub trait MsiSink: Send + Sync {
    /// Delivers one; its destination is in the compatibility format, with bits 31:8 of an x2APIC id in address
    /// bits 63:40. Called with no lock held that a device or a CPU waits for.
    fn send(&self, message: Msi);
}

impl Msi {
    /// Where the range begins that interrupts are stored to, 1 MiB.
    pub const FIRST_ADDRESS: u64 = 0xfee0_0000;

    /// Bits 39:0: what lies above is the rest of an x2APIC id.
    const WITHOUT_X2APIC: u64 = (1 << 40) - 1;

    /// Whether `address` is one that interrupts are stored to.
    #[inline]
    #[must_use]
    pub const fn is_address(address: u64) -> bool {
        address >> 20 == Self::FIRST_ADDRESS >> 20
    }

    /// Whether a local APIC takes it: a store anywhere else is not an interrupt.
    #[must_use]
    pub const fn is_interrupt(self) -> bool {
        Self::is_address(self.address & Self::WITHOUT_X2APIC)
    }
}
