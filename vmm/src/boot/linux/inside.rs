//! The kernel inside a bzImage: an ELF file, packed, behind the code that would unpack it.
//!
//! Invariant: what is taken for the kernel has the length that its build wrote behind it, and an entry of its own;
//! whatever is not so unpacks itself, as it does everywhere. Source: Documentation/arch/x86/boot.rst, `payload_offset`
//! and `payload_length` (protocol 2.08); scripts/Makefile.lib of Linux, `size_append`.

use std::fmt;

use super::super::bytes::u32_at;
use super::super::packed::{self, Packing};
use super::super::{BootError, File, pvh};

/// Offsets in the header: where the packed kernel begins, behind the part in front, and how long it is.
const PAYLOAD: usize = 0x248;
const PAYLOAD_BYTES: usize = 0x24c;
/// How long what was packed is, behind it: gzip says so itself, and of the others the kernel's build does.
const SIZE_BYTES: usize = 4;

/// Why a kernel has to unpack itself.
#[derive(Debug)]
pub(super) enum Why {
    /// Nothing packed lies where the header says, or nothing that is known here.
    Unknown,
    /// It cannot be unpacked, or not to what it was.
    Unpacking(BootError),
    /// It has this many bytes, and its build says another number.
    Length(usize),
    /// The kernel has no entry for who unpacks it: Linux has one with CONFIG_PVH.
    NoEntry,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("how it is packed is not known"),
            Self::Unpacking(error) => write!(f, "{error}"),
            Self::Length(bytes) => write!(f, "{bytes} bytes come out, and another number stands behind it"),
            Self::NoEntry => f.write_str("the kernel in it has no PVH note"),
        }
    }
}

/// The kernel in `image`, whose part that is loaded begins at `kernel_at`: `most_bytes` at most.
pub(super) fn kernel(image: &File, kernel_at: usize, most_bytes: u64) -> Result<File, Why> {
    let (packing, bytes) = packed_part(&image.bytes, kernel_at).ok_or(Why::Unknown)?;
    let unpacked = match packing {
        Packing::Gzip => packed::unpack(&image.name, bytes, packing, most_bytes).map_err(Why::Unpacking)?,
        Packing::Zstandard | Packing::Xz | Packing::Lz4 | Packing::Bzip2 => {
            let (bytes, size) = bytes.split_last_chunk::<SIZE_BYTES>().ok_or(Why::Unknown)?;
            let unpacked = packed::unpack(&image.name, bytes, packing, most_bytes).map_err(Why::Unpacking)?;
            if u32::try_from(unpacked.bytes.len()) != Ok(u32::from_le_bytes(*size)) {
                return Err(Why::Length(unpacked.bytes.len()));
            }
            unpacked
        }
    };
    if pvh::has_entry(&unpacked) { Ok(unpacked) } else { Err(Why::NoEntry) }
}

/// What lies packed where the header says, and how.
fn packed_part(image: &[u8], kernel_at: usize) -> Option<(Packing, &[u8])> {
    let [offset, len] = [PAYLOAD, PAYLOAD_BYTES].map(|at| u32_at(image, at));
    let start = kernel_at.checked_add(usize::try_from(offset?).ok()?)?;
    let bytes = image.get(start..start.checked_add(usize::try_from(len?).ok()?)?)?;
    Some((Packing::of(bytes)?, bytes))
}
