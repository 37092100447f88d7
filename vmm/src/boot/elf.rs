//! ELF files for the processor at hand, 32 and 64 bits wide: their segments, their entry, their notes.
//!
//! Invariant: every offset of the file is checked where it is used, and what a segment holds in the file is never more
//! than what it takes in memory. Source: System V ABI, chapters 4 and 5.

mod layout;

use super::bytes::{array, u16_at};
use super::room::Room;
use super::{BootError, File};
use layout::Layout;

/// Program headers that are read at most; a file with more is no kernel.
const MOST_HEADERS: u16 = 128;
/// Kinds of program headers.
const LOAD: u64 = 1;
const NOTE: u64 = 4;
/// Machines.
const I386: u16 = 3;
const X86_64: u16 = 62;

/// A file whose program headers have been read.
#[derive(Debug)]
pub struct Elf<'file> {
    file: &'file File,
    /// The first instruction's address.
    pub entry: u64,
    segments: Vec<Segment<'file>>,
    notes: Vec<&'file [u8]>,
}

#[derive(Debug)]
struct Segment<'file> {
    physical: u64,
    bytes: &'file [u8],
    memory_bytes: u64,
}

/// Whether `bytes` begin as an ELF file does.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

fn malformed(file: &File, what: impl Into<String>) -> BootError {
    BootError::Malformed { file: file.name.clone(), format: "ELF file", what: what.into() }
}

impl<'file> Elf<'file> {
    /// Reads the headers of `file`.
    ///
    /// # Errors
    /// [`BootError::Malformed`] says what is wrong.
    pub fn parse(file: &'file File) -> Result<Self, BootError> {
        let bytes = &file.bytes;
        let layout = Layout::of(bytes).ok_or_else(|| malformed(file, "it is not little-endian"))?;
        let machine = u16_at(bytes, 18).unwrap_or_default();
        if !matches!(machine, I386 | X86_64) {
            return Err(malformed(file, format!("it is for machine {machine}, not for x86")));
        }
        let cut = || malformed(file, "it ends within its headers");
        let entry = layout.word(bytes, layout.entry).ok_or_else(cut)?;
        let start = layout.word(bytes, layout.headers).ok_or_else(cut)?;
        let count = u16_at(bytes, layout.header_count).ok_or_else(cut)?;
        if count > MOST_HEADERS {
            return Err(malformed(file, format!("it has {count} program headers, above {MOST_HEADERS}")));
        }
        let mut elf = Self { file, entry, segments: Vec::new(), notes: Vec::new() };
        for number in 0..u64::from(count) {
            let at = start.checked_add(number * layout.header_bytes).and_then(|at| usize::try_from(at).ok());
            let header = at.and_then(|at| bytes.get(at..)).ok_or_else(cut)?;
            elf.add(&layout, header)?;
        }
        Ok(elf)
    }

    fn add(&mut self, layout: &Layout, header: &[u8]) -> Result<(), BootError> {
        let cut = || malformed(self.file, "it ends within its headers");
        let field = |offset| layout.word(header, offset).ok_or_else(cut);
        let kind = u64::from(super::bytes::u32_at(header, 0).ok_or_else(cut)?);
        let (offset, file_bytes) = (field(layout.offset)?, field(layout.file_bytes)?);
        let (physical, memory_bytes) = (field(layout.physical)?, field(layout.memory_bytes)?);
        if !matches!(kind, LOAD | NOTE) {
            return Ok(());
        }
        let end = offset.checked_add(file_bytes);
        let span = end.and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
        let bytes = span.and_then(|span| self.file.bytes.get(span)).ok_or_else(|| {
            malformed(
                self.file,
                format!("{file_bytes:#x} bytes of a segment at {offset:#x} lie behind its end"),
            )
        })?;
        if kind == NOTE {
            self.notes.push(bytes);
        } else if memory_bytes < file_bytes {
            let what = format!("a segment of {file_bytes:#x} bytes takes {memory_bytes:#x} in memory");
            return Err(malformed(self.file, what));
        } else if memory_bytes > 0 {
            self.segments.push(Segment { physical, bytes, memory_bytes });
        }
        Ok(())
    }

    /// Puts its segments where they say.
    ///
    /// # Errors
    /// [`BootError`] if there is no room, or nothing to put.
    pub fn load(&self, room: &mut Room<'_>) -> Result<(), BootError> {
        if self.segments.is_empty() {
            return Err(malformed(self.file, "it has nothing to load"));
        }
        for segment in &self.segments {
            let file_bytes = segment.bytes.len() as u64;
            room.put(&self.file.name, segment.physical, segment.bytes)?;
            // Memory is zero already.
            let rest = segment.memory_bytes - file_bytes;
            room.take(&self.file.name, segment.physical.saturating_add(file_bytes), rest)?;
        }
        Ok(())
    }

    /// What the note of that owner and kind holds.
    #[must_use]
    pub fn note(&self, owner: &[u8], kind: u32) -> Option<&'file [u8]> {
        self.notes.iter().find_map(|notes| find_note(notes, owner, kind))
    }
}

/// A list of notes: lengths of name and content, kind, name, content, both padded to 4 bytes.
fn find_note<'file>(mut notes: &'file [u8], owner: &[u8], kind: u32) -> Option<&'file [u8]> {
    loop {
        let [name, content, found] = [0, 4, 8].map(|at| array(notes, at).map(u32::from_le_bytes));
        let (name_bytes, content_bytes) = (usize::try_from(name?).ok()?, usize::try_from(content?).ok()?);
        let content_at = name_bytes.checked_next_multiple_of(4)?.checked_add(12)?;
        let name = notes.get(12..name_bytes.checked_add(12)?)?;
        let content = notes.get(content_at..content_at.checked_add(content_bytes)?)?;
        if found == Some(kind) && name.strip_suffix(b"\0").unwrap_or(name) == owner {
            return Some(content);
        }
        let next = content_at.checked_add(content_bytes.checked_next_multiple_of(4)?)?;
        notes = notes.get(next..)?;
    }
}
