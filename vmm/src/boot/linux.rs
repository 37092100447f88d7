//! A bzImage: Linux, packed, with code that unpacks it.
//!
//! Two ways: the kernel inside is unpacked here and entered by its PVH note; or the image is loaded by Linux's own boot
//! protocol, in 32-bit mode, and unpacks itself, which takes a guest without nested paging minutes. Invariant: the part in
//! front (real mode) is read and never run. Source: Documentation/arch/x86/boot.rst, protocol
//! 2.10 and later.

mod inside;

use super::bytes::{put, u8_at, u16_at, u32_at, u64_at};
use super::room::Room;
use super::{BootError, File, Payload, map, pvh};
use crate::kvm::processor::Entry;

/// Offsets in the image and, the same, in the block of parameters.
mod field {
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    pub(super) const MAGIC: usize = 0x202;
    pub(super) const HEADER_END: usize = 0x201;
    pub(super) const VERSION: usize = 0x206;
    pub(super) const KERNEL_VERSION: usize = 0x20e;
    pub(super) const LOADER: usize = 0x210;
    pub(super) const LOAD_FLAGS: usize = 0x211;
    pub(super) const INITRD: usize = 0x218;
    pub(super) const INITRD_BYTES: usize = 0x21c;
    pub(super) const COMMAND_LINE: usize = 0x228;
    pub(super) const INITRD_MAX: usize = 0x22c;
    pub(super) const COMMAND_LINE_BYTES: usize = 0x238;
    pub(super) const PREFERRED: usize = 0x258;
    pub(super) const INIT_BYTES: usize = 0x260;
    /// In the parameters alone: the ACPI root pointer, the memory map and its length.
    pub(super) const ACPI: usize = 0x070;
    pub(super) const MEMORY_MAP_LEN: usize = 0x1e8;
    pub(super) const MEMORY_MAP: usize = 0x2d0;
}

const MAGIC: u32 = u32::from_le_bytes(*b"HdrS");
/// The first version with all fields above.
const VERSION: u16 = 0x20a;
/// A load flag: the kernel goes to 1 MiB.
const LOADED_HIGH: u8 = 1;
/// A loader without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
const SECTOR_BYTES: usize = 512;
/// The version's text lies so far behind where the header says.
const VERSION_BASE: usize = 0x200;
/// Sectors of the part in front if the header says 0.
const DEFAULT_SECTORS: u8 = 4;
const PARAMETERS_BYTES: usize = 4096;

/// Whether `image` begins as a bzImage does.
#[must_use]
pub fn is_bzimage(image: &[u8]) -> bool {
    u32_at(image, field::MAGIC) == Some(MAGIC)
}

/// Whether the header of a bzImage names a version of Linux, such as `6.12.0 (who@where) #1 SMP`.
#[must_use]
pub fn is_linux(image: &[u8]) -> bool {
    let at = u16_at(image, field::KERNEL_VERSION).filter(|at| *at != 0 && is_bzimage(image));
    let Some(version) = at.and_then(|at| image.get(usize::from(at) + VERSION_BASE..)) else { return false };
    let text = version.split(|byte| *byte == 0).next().unwrap_or_default();
    text.first().is_some_and(u8::is_ascii_digit) && text.windows(2).any(|pair| pair == b" #")
}

/// Loads `kernel`, the image of `payload` unpacked, its initrd and what it is told.
///
/// # Errors
/// [`BootError`] in one line.
pub fn load(room: &mut Room<'_>, kernel: &File, payload: &Payload) -> Result<Entry, BootError> {
    let image = &kernel.bytes;
    if let Some(module) = payload.modules.first() {
        return Err(BootError::NoModules { file: kernel.name.clone(), module: module.file.name.clone() });
    }
    let header = Header::of(image).map_err(|what| BootError::Malformed {
        file: kernel.name.clone(),
        format: "bzImage",
        what,
    })?;
    let line: Vec<u8> = payload.command_line.bytes().chain([0]).collect();
    if line.len() > header.command_line_bytes {
        let what =
            format!("it takes a command line of {} bytes, not of {}", header.command_line_bytes, line.len());
        return Err(BootError::Malformed { file: kernel.name.clone(), format: "bzImage", what });
    }
    match inside::kernel(kernel, header.kernel_at, room.end()) {
        Ok(unpacked) => pvh::load(room, &unpacked, payload),
        Err(why) => {
            log::info!("{} unpacks itself: {why}", kernel.name);
            load_packed(room, kernel, &header, &line, payload)
        }
    }
}

/// It unpacks itself. `line` is what it is told, ended by 0.
fn load_packed(
    room: &mut Room<'_>,
    kernel: &File,
    header: &Header,
    line: &[u8],
    payload: &Payload,
) -> Result<Entry, BootError> {
    let image = &kernel.bytes;
    let protected = image.get(header.kernel_at..).unwrap_or_default();
    room.put(&kernel.name, map::HIGH_MEMORY, protected)?;
    check_working_room(room, &kernel.name, header, protected.len())?;
    let mut parameters = header.parameters(image);
    put(&mut parameters, field::COMMAND_LINE, room.information("command line", line)?.to_le_bytes());
    if let Some(initrd) = &payload.initrd {
        let range = room.module(&initrd.name, &initrd.bytes, header.initrd_end)?;
        put(&mut parameters, field::INITRD, range.start.to_le_bytes());
        put(&mut parameters, field::INITRD_BYTES, (range.end - range.start).to_le_bytes());
    }
    put(&mut parameters, field::ACPI, map::ACPI.to_le_bytes());
    put_memory_map(&mut parameters, room.memory_bytes());
    let esi = room.information("boot parameters", &parameters)?;
    let rip = u32::try_from(map::HIGH_MEMORY).unwrap_or(u32::MAX);
    Ok(Entry { rip, esi, ..Entry::default() })
}

/// What is needed of an image's header.
struct Header {
    kernel_at: usize,
    command_line_bytes: usize,
    initrd_end: u64,
    preferred: u64,
    init_bytes: u64,
}

impl Header {
    fn of(image: &[u8]) -> Result<Self, String> {
        let cut = || "it ends within its header".to_owned();
        let version = u16_at(image, field::VERSION).ok_or_else(cut)?;
        let flags = u8_at(image, field::LOAD_FLAGS).ok_or_else(cut)?;
        if version < VERSION || flags & LOADED_HIGH == 0 {
            return Err(format!(
                "boot protocol {version:#x} with flags {flags:#x}; from {VERSION:#x} on, loaded high"
            ));
        }
        let sectors = match u8_at(image, field::SETUP_SECTORS).ok_or_else(cut)? {
            0 => DEFAULT_SECTORS,
            sectors => sectors,
        };
        let kernel_at = (usize::from(sectors) + 1) * SECTOR_BYTES;
        if image.len() <= kernel_at {
            return Err(format!("it ends before its kernel at {kernel_at:#x}"));
        }
        let line_bytes = u32_at(image, field::COMMAND_LINE_BYTES).ok_or_else(cut)?;
        Ok(Self {
            kernel_at,
            command_line_bytes: usize::try_from(line_bytes)
                .map_or(usize::MAX, |bytes| bytes.saturating_add(1)),
            initrd_end: u64::from(u32_at(image, field::INITRD_MAX).ok_or_else(cut)?) + 1,
            preferred: u64_at(image, field::PREFERRED).ok_or_else(cut)?,
            init_bytes: u32_at(image, field::INIT_BYTES).ok_or_else(cut)?.into(),
        })
    }

    /// The block of parameters with the image's header in it.
    fn parameters(&self, image: &[u8]) -> [u8; PARAMETERS_BYTES] {
        let mut parameters = [0; PARAMETERS_BYTES];
        let end = field::MAGIC + usize::from(u8_at(image, field::HEADER_END).unwrap_or_default());
        let range = field::SETUP_SECTORS..end.min(image.len());
        parameters[range.clone()].copy_from_slice(&image[range]);
        parameters[field::LOADER] = UNKNOWN_LOADER;
        parameters
    }
}

/// It unpacks itself to its preferred address, or right where it lies if that is higher.
fn check_working_room(room: &Room<'_>, name: &str, header: &Header, len: usize) -> Result<(), BootError> {
    let start = header.preferred.max(map::HIGH_MEMORY);
    let range = start..start.saturating_add(header.init_bytes.max(len as u64));
    let memory_bytes = room.end();
    if range.end > memory_bytes {
        return Err(BootError::TooLarge { what: format!("{name}, unpacked,"), range, memory_bytes });
    }
    Ok(())
}

/// Elements of 20 bytes: start, length, use.
fn put_memory_map(parameters: &mut [u8], memory_bytes: u64) {
    let regions = map::regions(memory_bytes);
    parameters[field::MEMORY_MAP_LEN] = u8::try_from(regions.len()).unwrap_or(u8::MAX);
    for (at, region) in (field::MEMORY_MAP..).step_by(20).zip(regions) {
        put(parameters, at, region.to_bytes());
    }
}
