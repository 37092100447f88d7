//! What a Multiboot image is told: memory, command line, modules.
//!
//! Source: Multiboot Specification 0.6.96, 3.3.

use crate::boot::bytes::put;
use crate::boot::room::Room;
use crate::boot::{BootError, Payload, map, with_name};

/// Bytes of the structure that EBX points to.
const LEN_BYTES: usize = 88;

/// Which fields are there.
const MEMORY: u32 = 1 << 0;
const COMMAND_LINE: u32 = 1 << 2;
const MODULES: u32 = 1 << 3;
const MEMORY_MAP: u32 = 1 << 6;
const LOADER_NAME: u32 = 1 << 9;

const LOADER: &[u8] = b"afterimage\0";

/// Writes it; where it lies.
pub(super) fn write(room: &mut Room<'_>, payload: &Payload) -> Result<u32, BootError> {
    let mut block = [0; LEN_BYTES];
    let mut field = |offset: usize, value: u32| put(&mut block, offset, value.to_le_bytes());
    field(0, MEMORY | COMMAND_LINE | MODULES | MEMORY_MAP | LOADER_NAME);
    field(4, kibibytes(map::CONVENTIONAL_END));
    field(8, kibibytes(room.end().saturating_sub(map::HIGH_MEMORY)));
    let line = with_name(&payload.kernel.name, &payload.command_line);
    field(16, room.information("command line", &line)?);
    let (count, modules) = modules(room, payload)?;
    field(20, count);
    field(24, modules);
    let memory_map = memory_map(room.memory_bytes());
    field(44, u32::try_from(memory_map.len()).unwrap_or(u32::MAX));
    field(48, room.information("memory map", &memory_map)?);
    field(64, room.information("loader name", LOADER)?);
    room.information("Multiboot information", &block)
}

fn kibibytes(len_bytes: u64) -> u32 {
    u32::try_from(len_bytes / 1024).unwrap_or(u32::MAX)
}

/// How many modules there are, and where their list lies: 0 if it has no element. They lie behind the image, as other
/// loaders put them: kernels put themselves behind the last one.
fn modules(room: &mut Room<'_>, payload: &Payload) -> Result<(u32, u32), BootError> {
    let (mut count, mut list) = (0, Vec::new());
    for (file, told) in payload.all_modules() {
        let range = room.module_behind(&file.name, &file.bytes)?;
        let told = room.information("module's command line", &told)?;
        list.extend([range.start, range.end, told, 0].iter().flat_map(|field| field.to_le_bytes()));
        count += 1;
    }
    let at = if list.is_empty() { 0 } else { room.information("module list", &list)? };
    Ok((count, at))
}

/// Elements of 24 bytes, each with the length of its rest in front.
fn memory_map(memory_bytes: u64) -> Vec<u8> {
    let element = |region: map::Region| 20_u32.to_le_bytes().into_iter().chain(region.to_bytes());
    map::regions(memory_bytes).into_iter().flat_map(element).collect()
}
