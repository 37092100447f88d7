//! Whole images for a machine of their own: no operating system, no firmware, one file each.
//!
//! Invariant: an image is a Multiboot 1 kernel of at most one frame, linked at [`LOAD_ADDRESS`], with its header in its
//! first 12 bytes and its entry behind it; it starts in 32-bit protected mode without paging, ends by the debug exit
//! (port 0xf4), and says on the serial port (0x3f8) what it is. Source: Multiboot Specification 0.6.96.

mod edu;
mod elf;
mod triple_fault;

/// Where images are linked.
pub const LOAD_ADDRESS: u32 = 0x10_0000;
/// Bytes of the Multiboot header, which stands first; the entry is behind it.
const HEADER_BYTES: u32 = 12;

/// An image, by what it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BareImage {
    /// Drives an `edu` device: registers, transfers, MSI, INTx. Ends with [`PASSED`], or with the number of the check
    /// that failed.
    Edu,
    /// Breaks down at once.
    TripleFault,
}

/// Which ELF format an image is wrapped in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ElfWidth {
    /// ELF32 for i386.
    Bits32,
    /// ELF64 for x86-64, entered in 32-bit mode all the same.
    Bits64,
}

/// What an image writes to the debug exit when every check has passed; checks have lower numbers.
pub const PASSED: u32 = 0x40;

impl BareImage {
    /// The image as a file.
    #[must_use]
    pub fn elf(self, width: ElfWidth) -> Vec<u8> {
        elf::wrap(self.code(), LOAD_ADDRESS, LOAD_ADDRESS + HEADER_BYTES, width)
    }

    fn code(self) -> &'static [u8] {
        match self {
            Self::Edu => edu::code(),
            Self::TripleFault => triple_fault::code(),
        }
    }
}

#[cfg(test)]
mod tests;
