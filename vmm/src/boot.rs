//! Boot: from an image to memory that is laid out and a processor that knows where to start.
//!
//! Invariant: an image is data. Whatever bytes it holds, loading ends with an [`Entry`] or with a [`BootError`] of one
//! line; nothing of it is written outside memory or over another piece.
//!
//! Three protocols, told apart by the image itself: [`multiboot`] (a header in its first 8 KiB), [`linux`] (a bzImage),
//! [`pvh`] (a note in an ELF file). All of them start in 32-bit protected mode.
//! Read in this order: [`map`] (who lies where), `firmware`, [`room`] (writing without colliding), [`packed`], [`elf`], the
//! protocols, then [`told`] (what Linux is told besides).

pub mod elf;
pub mod linux;
pub mod map;
pub mod multiboot;
pub mod packed;
pub mod pvh;
pub mod room;
pub mod told;

mod bytes;
mod error;
mod firmware;

use std::borrow::Cow;

use mmu::memory::PhysicalMemory;

pub use error::BootError;

use crate::kvm::processor::{CODE_SELECTOR, DATA_SELECTOR, Entry};
use packed::Packing;
use room::Room;
use told::Told;

/// A file that goes into the guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// What it is called, for messages and for guests that ask.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What is to be booted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// The image.
    pub kernel: File,
    /// A file that it is given: Multiboot's and PVH's first module, Linux's initrd.
    pub initrd: Option<File>,
    /// Further modules, which Linux's own protocol does not have.
    pub modules: Vec<Module>,
    /// What it is told.
    pub command_line: String,
    /// What it is told besides if it is Linux, unless the command line says it already.
    pub if_linux: Vec<Told>,
}

/// A file for a kernel, and what the kernel is told about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    /// The file.
    pub file: File,
    /// What stands behind its name.
    pub command_line: String,
}

impl Payload {
    /// An image alone, with nothing said to it.
    #[must_use]
    pub fn of(kernel: File) -> Self {
        Self { kernel, initrd: None, modules: Vec::new(), command_line: String::new(), if_linux: Vec::new() }
    }

    /// What is said to `kernel`, its image unpacked.
    fn told(&self, kernel: &File) -> Cow<'_, Self> {
        if self.if_linux.is_empty() || !(linux::is_linux(&kernel.bytes) || pvh::is_linux(kernel)) {
            return Cow::Borrowed(self);
        }
        let command_line = told::complete(&self.command_line, &self.if_linux);
        log::info!("Linux is told: {command_line}");
        Cow::Owned(Self { command_line, ..self.clone() })
    }

    /// All modules, in order: the file, and its name with what is told about it, ended by 0.
    fn all_modules(&self) -> impl Iterator<Item = (&File, Vec<u8>)> {
        let first = self.initrd.iter().map(|file| (file, ""));
        let further = self.modules.iter().map(|module| (&module.file, module.command_line.as_str()));
        first.chain(further).map(|(file, told)| (file, with_name(&file.name, told)))
    }
}

/// By convention the first word names the file.
fn with_name(name: &str, told: &str) -> Vec<u8> {
    format!("{name} {told}").trim_end().bytes().chain([0]).collect()
}

/// Puts `payload` into `memory`.
///
/// # Errors
/// [`BootError`] in one line: what is wrong with which file.
pub fn load(memory: &PhysicalMemory, payload: &Payload) -> Result<Entry, BootError> {
    let mut room = Room::new(memory);
    room.take("ACPI tables", map::ACPI, map::ACPI_BYTES)?;
    room.take("SMBIOS tables", map::SMBIOS, map::SMBIOS_BYTES)?;
    firmware::write(&mut room)?;
    let entry = match Packing::of(&payload.kernel.bytes) {
        None => load_image(&mut room, &payload.kernel, payload)?,
        Some(packing) => {
            let unpacked = packed::unpack(&payload.kernel.name, &payload.kernel.bytes, packing, room.end())?;
            load_image(&mut room, &unpacked, payload)?
        }
    };
    let entry = with_descriptors(&mut room, entry)?;
    firmware::write_low(&mut room)?;
    Ok(entry)
}

fn load_image(room: &mut Room<'_>, kernel: &File, payload: &Payload) -> Result<Entry, BootError> {
    let image = &kernel.bytes;
    let payload = &payload.told(kernel);
    if let Some(header) = multiboot::find(image) {
        multiboot::load(room, kernel, payload, header)
    } else if linux::is_bzimage(image) {
        linux::load(room, kernel, payload)
    } else if elf::is_elf(image) {
        pvh::load(room, kernel, payload)
    } else {
        Err(BootError::Unknown { file: kernel.name.clone() })
    }
}

/// Whether a file that begins with `head`, its first 8 KiB at least, may be an image, packed or not.
#[must_use]
pub fn is_image(head: &[u8]) -> bool {
    Packing::of(head).is_some()
        || multiboot::find(head).is_some()
        || linux::is_bzimage(head)
        || elf::is_elf(head)
}

/// A flat code segment and a flat data segment (Intel SDM vol. 3, 3.4.5).
const CODE_DESCRIPTOR: u64 = 0x00cf_9b00_0000_ffff;
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;

fn with_descriptors(room: &mut Room<'_>, entry: Entry) -> Result<Entry, BootError> {
    let mut table = [0_u64; 4];
    table[usize::from(CODE_SELECTOR / 8)] = CODE_DESCRIPTOR;
    table[usize::from(DATA_SELECTOR / 8)] = DATA_DESCRIPTOR;
    let bytes: Vec<u8> = table.iter().flat_map(|descriptor| descriptor.to_le_bytes()).collect();
    let descriptors = room.information("descriptor table", &bytes)?;
    Ok(Entry { descriptors, descriptors_len_bytes: 32, ..entry })
}

#[cfg(test)]
mod tests;
