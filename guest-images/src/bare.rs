//! Whole images for a machine of their own: no operating system, no firmware, one file each.
//!
//! Invariant: an image is at most one frame, linked at [`LOAD_ADDRESS`], with a Multiboot 1 header in its first 12 bytes
//! and its entry behind it; it starts in 32-bit protected mode without paging, ends by the debug exit (port 0xf4) or
//! as its name says, and says on the serial port (0x3f8) what it is. Sources: Multiboot Specification 0.6.96; Documentation/arch/x86/boot.rst.

mod button;
mod bzimage;
mod echo;
mod edu;
mod elf;
mod flood;
mod hello;
mod hypercall;
mod outs;
mod panic;
mod reset;
mod testdev;
mod timers;
mod triple_fault;

/// Where images are linked.
pub const LOAD_ADDRESS: u32 = 0x10_1000;
/// Bytes of the Multiboot header, which stands first; the entry is behind it.
const HEADER_BYTES: u32 = 12;

/// An image, by what it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BareImage {
    /// Says hello and ends with [`PASSED`].
    Hello,
    /// Puts out again what comes in on the serial port, and ends with [`PASSED`] at the first `.`, or when the carrier has
    /// gone.
    Echo,
    /// Drives an `edu` device: registers, transfers, MSI, INTx; the last two also through a VT-d unit, if there is one.
    /// Ends with [`PASSED`], or with the number of the check
    /// that failed.
    Edu,
    /// Drives an `iommu-testdev` device through a VT-d unit in legacy mode: a page that is mapped, one that is mapped
    /// elsewhere without an invalidation, and the invalidation. Ends as [`Edu`](Self::Edu) does.
    Testdev,
    /// Asks the timers of a PC, one of which interrupts, its masked 8259 and `pc-testdev`. Ends as [`Edu`](Self::Edu) does.
    Timers,
    /// Asks the hypervisor for something that does not exist, by either vendor's instruction. Ends with [`PASSED`],
    /// whether they come back or are invalid opcodes.
    Hypercall,
    /// Writes to the serial port for ever.
    Flood,
    /// Puts [`outs_text`] out on the serial port, by one instruction, and ends with [`PASSED`].
    Outs,
    /// Says `l` when it listens for the power button; powers off when it is pressed, or, if it was told anything, says `n`
    /// and goes on for ever.
    Button,
    /// Says to a pvpanic device that it panicked; ends with 0 if the device is not there.
    Panic,
    /// Restarts the machine by a jump to ffff:0000 in real mode.
    Reset,
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

/// What an image writes to the debug exit when every check has passed; checks have numbers from 1 on.
pub const PASSED: u32 = 0;

/// What [`BareImage::Outs`] puts out: some 60 KiB.
#[must_use]
pub fn outs_text() -> Vec<u8> {
    outs::text()
}

impl BareImage {
    /// The image as a file.
    #[must_use]
    pub fn elf(self, width: ElfWidth) -> Vec<u8> {
        elf::wrap(self.code(), LOAD_ADDRESS, LOAD_ADDRESS + HEADER_BYTES, width)
    }

    /// The image as an ELF64 file without a Multiboot header and with a PVH note.
    #[must_use]
    pub fn pvh(self) -> Vec<u8> {
        elf::with_note(&self.without_header(), LOAD_ADDRESS, LOAD_ADDRESS + HEADER_BYTES)
    }

    /// The image as the kernel of a Linux bzImage.
    #[must_use]
    pub fn bzimage(self) -> Vec<u8> {
        bzimage::wrap(&self.without_header(), LOAD_ADDRESS + HEADER_BYTES)
    }

    /// Bytes of the image itself, which end the files of [`elf`](Self::elf).
    #[must_use]
    pub fn len_bytes(self) -> usize {
        self.code().len()
    }

    /// No protocol but the one that is meant finds its mark.
    fn without_header(self) -> Vec<u8> {
        let mut code = self.code().to_vec();
        code[..HEADER_BYTES as usize].fill(0);
        code
    }

    fn code(self) -> &'static [u8] {
        match self {
            Self::Hello => hello::code(),
            Self::Echo => echo::code(),
            Self::Edu => edu::code(),
            Self::Testdev => testdev::code(),
            Self::Flood => flood::code(),
            Self::Outs => outs::code(),
            Self::Timers => timers::code(),
            Self::Hypercall => hypercall::code(),
            Self::Button => button::code(),
            Self::Panic => panic::code(),
            Self::Reset => reset::code(),
            Self::TripleFault => triple_fault::code(),
        }
    }
}

#[cfg(test)]
mod tests;
