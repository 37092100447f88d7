//! PVH: an ELF file whose note names a 32-bit entry.
//!
//! Source: Xen's public headers, arch-x86/hvm/start_info.h; Documentation/virt of Linux, "PVH boot".

use super::bytes::{array, put};
use super::elf::Elf;
use super::room::Room;
use super::{BootError, File, Payload, map};
use crate::kvm::processor::Entry;

/// The note's owner and kind.
const OWNER: &[u8] = b"Xen";
const PHYSICAL_ENTRY: u32 = 18;

const MAGIC: u32 = 0x336e_c578;
/// With a memory map.
const VERSION: u32 = 1;

/// The owner of a note that Linux's own build leaves in every kernel (include/linux/build-salt.h), and its kind.
const LINUX: &[u8] = b"Linux";
const BUILD_SALT: u32 = 0x100;

/// Whether an ELF file says that it is Linux.
#[must_use]
pub fn is_linux(kernel: &File) -> bool {
    super::elf::is_elf(&kernel.bytes)
        && Elf::parse(kernel).is_ok_and(|elf| elf.note(LINUX, BUILD_SALT).is_some())
}

/// Whether `kernel` has the note that names an entry.
pub(super) fn has_entry(kernel: &File) -> bool {
    super::elf::is_elf(&kernel.bytes)
        && Elf::parse(kernel).is_ok_and(|elf| elf.note(OWNER, PHYSICAL_ENTRY).is_some())
}

/// Loads `kernel`, the image of `payload` unpacked, its module and what it is told.
///
/// # Errors
/// [`BootError`] in one line; [`BootError::Unknown`] without the note.
pub fn load(room: &mut Room<'_>, kernel: &File, payload: &Payload) -> Result<Entry, BootError> {
    let elf = Elf::parse(kernel)?;
    let unknown = || BootError::Unknown { file: kernel.name.clone() };
    let note = elf.note(OWNER, PHYSICAL_ENTRY).ok_or_else(unknown)?;
    // Four bytes, or eight of which an address below 4 GiB needs four.
    let rip = array(note, 0).map(u32::from_le_bytes).ok_or_else(unknown)?;
    elf.load(room)?;
    Ok(Entry { rip, ebx: start_info(room, payload)?, ..Entry::default() })
}

/// How many modules there are, and where their list lies: 0 if it has no element.
fn modules(room: &mut Room<'_>, payload: &Payload) -> Result<(u32, u64), BootError> {
    let (mut count, mut list) = (0, Vec::new());
    for (file, told) in payload.all_modules() {
        let range = room.module(&file.name, &file.bytes, room.end())?;
        let told = room.information("module's command line", &told)?;
        list.extend(
            [range.start, range.end - range.start, told, 0]
                .iter()
                .flat_map(|field| u64::from(*field).to_le_bytes()),
        );
        count += 1;
    }
    let at = if list.is_empty() { 0 } else { room.information("module list", &list)? };
    Ok((count, at.into()))
}

fn start_info(room: &mut Room<'_>, payload: &Payload) -> Result<u32, BootError> {
    let mut block = [0; 56];
    put(&mut block, 0, MAGIC.to_le_bytes());
    put(&mut block, 4, VERSION.to_le_bytes());
    let (count, modules) = modules(room, payload)?;
    put(&mut block, 12, count.to_le_bytes());
    put(&mut block, 16, modules.to_le_bytes());
    let line: Vec<u8> = payload.command_line.bytes().chain([0]).collect();
    put(&mut block, 24, u64::from(room.information("command line", &line)?).to_le_bytes());
    put(&mut block, 32, map::ACPI.to_le_bytes());
    let regions = map::regions(room.memory_bytes());
    let memory_map: Vec<u8> =
        regions.iter().flat_map(|region| region.to_bytes().into_iter().chain([0; 4])).collect();
    put(&mut block, 40, u64::from(room.information("memory map", &memory_map)?).to_le_bytes());
    put(&mut block, 48, u32::try_from(regions.len()).unwrap_or(u32::MAX).to_le_bytes());
    room.information("PVH start info", &block)
}
