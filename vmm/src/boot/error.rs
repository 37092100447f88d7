//! Why an image does not boot.

use std::ops::Range;

use thiserror::Error;

use super::map;

/// What is wrong with what was to be booted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BootError {
    /// None of the protocols.
    #[error(
        "{file} is no image that boots here; give one with a Multiboot 1 header, a PVH note, or a Linux bzImage"
    )]
    Unknown {
        /// Which file.
        file: String,
    },
    /// An image of a protocol, but broken.
    #[error("{file} is no proper {format}: {what}")]
    Malformed {
        /// Which file.
        file: String,
        /// What it claims to be.
        format: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A module for a protocol that has none.
    #[error("{file} is a bzImage, which takes no module {module}; give --initrd")]
    NoModules {
        /// The image.
        file: String,
        /// The first module.
        module: String,
    },
    /// More than there is memory.
    #[error(
        "{what} needs {:#x}..{:#x}, but memory ends at {memory_bytes:#x}; {}", .range.start, .range.end, more(*.memory_bytes)
    )]
    TooLarge {
        /// What needs it.
        what: String,
        /// Where.
        range: Range<u64>,
        /// Where memory ends.
        memory_bytes: u64,
    },
    /// Two pieces in one place.
    #[error("{what} at {:#x}..{:#x} would lie over {other}; link it elsewhere", .range.start, .range.end)]
    Overlap {
        /// What.
        what: String,
        /// Where.
        range: Range<u64>,
        /// Over what.
        other: String,
    },
    /// Packed in a way that is not unpacked here.
    #[error("{file} is a {format}, which is not unpacked here; unpack it first: {command} -k {file}")]
    Packed {
        /// Which file.
        file: String,
        /// What it is.
        format: &'static str,
        /// What unpacks it.
        command: &'static str,
    },
    /// More than there is memory, when it is unpacked.
    #[error(
        "{file}, unpacked, has more than the {most_bytes} bytes of memory; {}, or unpack it first: {command} -k {file}",
        more(*.most_bytes)
    )]
    UnpackedTooLarge {
        /// Which file.
        file: String,
        /// What there is.
        most_bytes: u64,
        /// What unpacks it.
        command: &'static str,
    },
    /// What unpacks it says that it is broken, or needs too much memory.
    #[error("{file} is a {format} that cannot be unpacked here: {what}; try {command} -k {file}")]
    Unpacking {
        /// Which file.
        file: String,
        /// What it is.
        format: &'static str,
        /// What unpacks it.
        command: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The host has no memory for what is unpacked.
    #[error("the host has no memory to unpack {file}; give this program more (`ulimit -v`), or end others")]
    NoHostMemory {
        /// Which file.
        file: String,
    },
}

/// What to do about memory that ends there.
const fn more(end: u64) -> &'static str {
    if end < map::HOLE {
        "give more --memory"
    } else {
        "more --memory lies above 4 GiB, where no image goes: give a smaller file"
    }
}

impl BootError {
    /// Whether the host is to blame, and not a file.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        matches!(self, Self::NoHostMemory { .. })
    }
}
