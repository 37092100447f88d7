//! Memory behind the image, given out in frames, and what the boot loader tells.
//!
//! Invariant: a frame is given out once and never taken back; it is zero, as all memory of a new machine is.
//! Source: Multiboot Specification 0.6.96, 3.3.

use core::ops::Range;

use crate::hardware::{load8, load32, load64, own, own_above, store64};

/// Bytes of a frame.
pub const FRAME_BYTES: u64 = 0x1000;
/// Bytes of a large page.
pub const LARGE_BYTES: u64 = 0x20_0000;
/// Frames of a large page, as a power of two.
pub const LARGE_PAGES_LOG2: u32 = (LARGE_BYTES / FRAME_BYTES).trailing_zeros();
/// Words of a frame.
pub const FRAME_WORDS: u64 = FRAME_BYTES / 8;
/// Of the loader's information: KiB above the first MiB, the command line's address, length and address of the memory map.
const UPPER_KIB: u64 = 8;
const COMMAND_LINE: u64 = 16;
const MAP_BYTES: u64 = 44;
const MAP: u64 = 48;
/// Of an element of the map: the length of its rest, then where a piece starts, how long it is, and its use.
const PIECE_START: u64 = 4;
const PIECE_BYTES: u64 = 12;
const PIECE_USE: u64 = 20;
const USE_MEMORY: u32 = 1;
/// What is mapped above 4 GiB.
pub(crate) const ABOVE: Range<u64> = 1 << 32..5 << 30;
const HIGH_MEMORY: u64 = 0x10_0000;
/// The longest command line that is read.
const MOST_BYTES: usize = 512;

/// A frame of memory, by its address: a page, a table, a queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Frame(u64);

/// The frames that nobody has yet.
#[derive(Debug)]
pub struct Memory {
    next: u64,
    end: u64,
    /// What lies above 4 GiB, which is given out only to who asks for that.
    above: Range<u64>,
}

/// What the program is told, as the loader left it.
#[derive(Clone, Copy, Debug)]
pub struct CommandLine {
    bytes: [u8; MOST_BYTES],
    len: usize,
}

impl Frame {
    /// Where it lies.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// The frame that an entry of a table names.
    #[must_use]
    pub(crate) const fn at(address: u64) -> Self {
        Self(address)
    }

    /// The frame number `number` of the large page that begins with this one.
    #[must_use]
    pub const fn within(self, number: u64) -> Self {
        Self(self.0 + number * FRAME_BYTES)
    }

    /// Reads its word number `index`.
    #[must_use]
    pub fn load(self, index: u64) -> u64 {
        load64(self.place(index))
    }

    /// Writes its word number `index`.
    pub fn store(self, index: u64, value: u64) {
        store64(self.place(index), value);
    }

    /// Where its word number `index` lies.
    #[must_use]
    pub fn place(self, index: u64) -> u64 {
        assert!(index < FRAME_WORDS, "a frame has no word {index}");
        self.0 + index * 8
    }
}

impl Memory {
    /// Reads the loader's information, of an image that ends at `image_end`.
    #[must_use]
    pub fn begin(information: u64, image_end: u64) -> (Self, CommandLine) {
        // Until it is known where memory ends, only the loader's pages may be read.
        own(image_end, image_end);
        let end = HIGH_MEMORY + u64::from(load32(information + UPPER_KIB)) * 1024;
        let line = CommandLine::read(load32(information + COMMAND_LINE).into());
        own(image_end, end);
        let above = above(load32(information + MAP).into(), load32(information + MAP_BYTES).into());
        own_above(above.start, above.end);
        (Self { next: image_end, end, above }, line)
    }

    /// As many frames above 4 GiB; none if there are not so many.
    pub fn above(&mut self, frames: u64) -> Option<Self> {
        let (start, end) = (self.above.start, self.above.start + frames * FRAME_BYTES);
        (end <= self.above.end).then(|| {
            self.above.start = end;
            Self { next: start, end, above: end..end }
        })
    }

    /// A frame, all zeroes.
    ///
    /// # Panics
    /// If there is none left.
    pub fn frame(&mut self) -> Frame {
        let start = self.next;
        assert!(start + FRAME_BYTES <= self.end, "memory ends at {:#x}; give the machine more", self.end);
        self.next = start + FRAME_BYTES;
        Frame(start)
    }

    /// The first frame of 2 MiB, which begin at a multiple of that.
    ///
    /// # Panics
    /// As [`frame`](Self::frame).
    pub fn large_page(&mut self) -> Frame {
        self.next = self.next.next_multiple_of(LARGE_BYTES);
        let first = self.frame();
        self.next = first.0 + LARGE_BYTES;
        assert!(self.next <= self.end, "memory ends at {:#x}; give the machine more", self.end);
        first
    }

    /// A frame whose first word is `word`.
    pub fn page(&mut self, word: u64) -> Frame {
        let frame = self.frame();
        frame.store(0, word);
        frame
    }

    /// The first address behind all memory.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}

/// The piece of memory that the map at `map`, of that length, has above 4 GiB, as far as it is mapped.
fn above(map: u64, len_bytes: u64) -> Range<u64> {
    let read64 = |at| u64::from(load32(at)) | u64::from(load32(at + 4)) << 32;
    let mut at = map;
    while at < map + len_bytes {
        let start = read64(at + PIECE_START);
        if start == ABOVE.start && load32(at + PIECE_USE) == USE_MEMORY {
            return start..(start + read64(at + PIECE_BYTES)).min(ABOVE.end);
        }
        at += PIECE_START + u64::from(load32(at));
    }
    ABOVE.start..ABOVE.start
}

impl CommandLine {
    /// What `text` says.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut line = Self { bytes: [0; MOST_BYTES], len: text.len().min(MOST_BYTES) };
        line.bytes[..line.len].copy_from_slice(&text.as_bytes()[..line.len]);
        line
    }

    fn read(address: u64) -> Self {
        let mut line = Self { bytes: [0; MOST_BYTES], len: 0 };
        for (place, byte) in (address..).zip(line.bytes.iter_mut()) {
            *byte = load8(place);
            if *byte == 0 {
                break;
            }
            line.len += 1;
        }
        line
    }

    /// Its words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default().split_ascii_whitespace()
    }

    /// What stands behind `name=`, the last time if it stands there more than once.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.words().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).last()
    }

    /// The same as a number; none if it is none.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
