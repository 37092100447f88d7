//! Images that are nearly right.
//!
//! Invariant: it knows offsets by itself. Source: System V ABI, chapters 4 and 5; Multiboot 0.6.96, 3.1; Linux's boot.rst.

use devices::bus::value_of;
use guest_images::bare::{BareImage, ElfWidth};
use vmm::kvm::Entry;

use crate::fuzz::Choices;

/// What an image begins as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Image {
    Elf32,
    Elf64,
    Pvh,
    Linux,
    /// A Multiboot header that says itself where the file goes.
    Addresses,
    /// Nothing but the first bytes of an ELF file.
    Nothing,
}

/// The fields of ELF headers, of the program headers behind them and of notes: offset and bytes.
const ELF32_FIELDS: [(usize, usize); 16] = [
    (4, 1),
    (5, 1),
    (18, 2),
    (24, 4),
    (28, 4),
    (44, 2),
    (52, 4),
    (56, 4),
    (64, 4),
    (68, 4),
    (72, 4),
    (84, 4),
    (88, 4),
    (96, 4),
    (100, 4),
    (0x1004, 4),
];
const ELF64_FIELDS: [(usize, usize); 18] = [
    (4, 1),
    (5, 1),
    (18, 2),
    (24, 8),
    (32, 8),
    (56, 2),
    (64, 4),
    (72, 8),
    (88, 8),
    (96, 8),
    (104, 8),
    (120, 4),
    (128, 8),
    (144, 8),
    (152, 8),
    (160, 8),
    (176, 4),
    (180, 4),
];
const LINUX_FIELDS: [(usize, usize); 11] = [
    (0x1f1, 1),
    (0x201, 1),
    (0x202, 4),
    (0x206, 2),
    (0x211, 1),
    (0x22c, 4),
    (0x238, 4),
    (0x258, 8),
    (0x260, 4),
    (0x250, 4),
    (0x1fe, 2),
];
const ADDRESSES_FIELDS: [(usize, usize); 8] =
    [(0x20, 4), (0x24, 4), (0x28, 4), (0x2c, 4), (0x30, 4), (0x34, 4), (0x38, 4), (0x3c, 4)];

/// Where something lies already: the image, what the guest is told, the ACPI tables; and the end of memory.
const PLACES: [u64; 8] = [0xf800, 0x1_0000, 0x1_0020, 0xd_ff00, 0xe_0000, 0x10_0000, 0x10_1000, 0x1f_ff00];
/// In a program header.
const LOAD: u32 = 1;

/// Headers of every kind lie in as many bytes.
const HEADS: u64 = 0x300;

impl Image {
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        choices.of(&[
            Self::Elf32,
            Self::Elf32,
            Self::Elf64,
            Self::Elf64,
            Self::Pvh,
            Self::Pvh,
            Self::Linux,
            Self::Linux,
            Self::Addresses,
            Self::Addresses,
            Self::Nothing,
        ])
    }

    /// Its bytes, of which some are spoilt.
    pub(super) fn bytes(self, choices: &mut Choices<'_>) -> Vec<u8> {
        let bare = choices.of(&[BareImage::Hello, BareImage::Echo, BareImage::Edu]);
        let (mut bytes, fields) = match self {
            Self::Elf32 => (two_segments(bare.elf(ElfWidth::Bits32)), &ELF32_FIELDS[..]),
            Self::Elf64 => (bare.elf(ElfWidth::Bits64), &ELF64_FIELDS[..]),
            Self::Pvh => (bare.pvh(), &ELF64_FIELDS[..]),
            Self::Linux => (bare.bzimage(), &LINUX_FIELDS[..]),
            Self::Addresses => (addresses(), &ADDRESSES_FIELDS[..]),
            Self::Nothing => (b"\x7fELF\x01\x01".to_vec(), &ELF32_FIELDS[..]),
        };
        for _ in 0..choices.of(&[0, 1, 1, 1, 2, 3]) {
            let (at, len) = choices.of(fields);
            let before = value_of(bytes.get(at..at + len).unwrap_or_default());
            let value = new_value(before, choices).to_le_bytes();
            if let Some(field) = bytes.get_mut(at..at + len) {
                field.copy_from_slice(&value[..len]);
            }
        }
        if choices.one_in(4) {
            let at = usize::try_from(choices.below(HEADS)).unwrap_or(0);
            bytes
                .get_mut(at..)
                .and_then(<[u8]>::first_mut)
                .into_iter()
                .for_each(|byte| *byte = choices.byte());
        }
        if choices.one_in(8) {
            let end = choices.word() % (bytes.len() as u64 + 1);
            bytes.truncate(usize::try_from(end).unwrap_or(0));
        }
        if self == Self::Addresses && !choices.one_in(8) {
            seal(&mut bytes);
        }
        bytes
    }
}

/// An address near the ends of things, among them that of all numbers; a length, a flag, or nearly what was there.
fn new_value(before: u64, choices: &mut Choices<'_>) -> u64 {
    match choices.below(8) {
        0 => choices.number(),
        1 => before.wrapping_add(choices.number()),
        2 => choices.spoil(before, 1),
        3 => (choices.below(8) << 20).wrapping_sub(choices.below(0x100)),
        4 => choices.of(&PLACES).wrapping_add(choices.number()),
        5 => choices.of(&PLACES),
        6 => 0_u64.wrapping_sub(1 + choices.below(0x40)),
        _ => choices.below(200),
    }
}

/// With a second segment of 64 bytes.
fn two_segments(mut elf32: Vec<u8>) -> Vec<u8> {
    elf32[44] = 2;
    for (at, word) in (84..).step_by(4).zip([LOAD, 0x1000, 0x11_0000, 0x11_0000, 0x40, 0x80]) {
        elf32[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    elf32
}

/// A Multiboot header at 0x20 with five addresses, before and behind which there is some more.
fn addresses() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=u8::MAX).cycle().take(0x400).collect();
    let words: [u32; 8] = [0x1bad_b002, 1 << 16, 0, 0x20_0020, 0x20_0000, 0x20_0400, 0x20_1000, 0x20_0040];
    for (at, word) in (0x20..).step_by(4).zip(words) {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    seal(&mut bytes);
    bytes
}

/// Makes the checksum right.
fn seal(bytes: &mut [u8]) {
    let flags = value_of(bytes.get(0x24..0x28).unwrap_or_default());
    let sum = 0_u64.wrapping_sub(0x1bad_b002 + flags);
    if let Some(checksum) = bytes.get_mut(0x28..0x2c) {
        checksum.copy_from_slice(&sum.to_le_bytes()[..4]);
    }
}

/// What of `image` must stand in memory, and where, as the file itself says.
pub(super) fn segments<'image>(image: &'image [u8], entry: &Entry) -> Vec<(u64, &'image [u8])> {
    let field = |at: usize, len: usize| value_of(image.get(at..at + len).unwrap_or_default());
    let piece = |at: u64, len: u64| -> &'image [u8] {
        let [at, end] = [at, at + len].map(|place| usize::try_from(place).unwrap_or(usize::MAX));
        image.get(at..end).expect("what was loaded lies in the file")
    };
    if entry.esi != 0 {
        let sectors = if field(0x1f1, 1) == 0 { 4 } else { field(0x1f1, 1) };
        let at = (sectors + 1) * 512;
        return vec![(0x10_0000, piece(at, image.len() as u64 - at))];
    }
    if !image.starts_with(b"\x7fELF") {
        let (header, load, end) = (field(0x2c, 4), field(0x30, 4), field(0x34, 4));
        let at = 0x20 - (header - load);
        let len = if end == 0 { image.len() as u64 - at } else { end - load };
        return vec![(load, piece(at, len))];
    }
    let is_wide = field(4, 1) == 2;
    let ([headers, word, count], step) = if is_wide { ([32, 8, 56], 56) } else { ([28, 4, 44], 32) };
    let [offset, physical, file_bytes] = if is_wide { [8, 24, 32] } else { [4, 12, 16] };
    let first = field(headers, word);
    (0..field(count, 2))
        .filter_map(|number| usize::try_from(first + number * step).ok())
        .filter(|at| field(*at, 4) == u64::from(LOAD))
        .map(|at| (field(at + physical, word), piece(field(at + offset, word), field(at + file_bytes, word))))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}
