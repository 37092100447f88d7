//! Images that boot and images that do not, each with its one line.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use guest_images::bare::{BareImage, ElfWidth, LOAD_ADDRESS};
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::room::Room;
use super::told::Told;
use super::{BootError, File, Module, Payload, load, map};
use crate::kvm::Entry;

const MEMORY_BYTES: u64 = 4 << 20;

fn memory() -> PhysicalMemory {
    PhysicalMemory::new(MEMORY_BYTES).unwrap()
}

fn payload(bytes: Vec<u8>) -> Payload {
    Payload {
        kernel: File { name: "kernel".into(), bytes },
        initrd: None,
        modules: Vec::new(),
        command_line: "a b".into(),
        if_linux: Vec::new(),
    }
}

fn refusal(bytes: Vec<u8>) -> String {
    let error = load(&memory(), &payload(bytes)).unwrap_err().to_string();
    assert!(!error.contains('\n') && error.contains("kernel"), "{error}");
    error
}

fn refusal_of(bytes: Vec<u8>) -> BootError {
    load(&memory(), &payload(bytes)).unwrap_err()
}

fn word(memory: &PhysicalMemory, at: u32) -> u32 {
    let mut bytes = [0; 4];
    memory.read_bytes(PhysAddr(at.into()), &mut bytes);
    u32::from_le_bytes(bytes)
}

fn text(memory: &PhysicalMemory, at: u32) -> String {
    let mut text = String::new();
    for at in at.. {
        match word(memory, at).to_le_bytes()[0] {
            0 => break,
            byte => text.write_char(byte.into()).unwrap(),
        }
    }
    text
}

/// Puts `value` into a copy of `bytes`.
fn with<const N: usize>(bytes: &[u8], at: usize, value: [u8; N]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + N].copy_from_slice(&value);
    bytes
}

#[test]
fn a_multiboot_image_of_either_width_is_loaded_and_told_what_there_is() {
    for width in [ElfWidth::Bits32, ElfWidth::Bits64] {
        let memory = memory();
        let mut payload = payload(BareImage::Edu.elf(width));
        payload.initrd = Some(File { name: "module".into(), bytes: b"contents".into() });
        let entry = load(&memory, &payload).unwrap();
        assert_eq!((entry.rip, entry.eax), (LOAD_ADDRESS + 12, 0x2bad_b002));
        assert_eq!(word(&memory, LOAD_ADDRESS), 0x1bad_b002);
        let information = entry.ebx;
        assert_eq!(word(&memory, information + 8), 3 << 10, "KiB above 1 MiB");
        assert_eq!(text(&memory, word(&memory, information + 16)), "kernel a b");
        assert_eq!(word(&memory, information + 20), 1);
        let module = word(&memory, information + 24);
        assert_eq!(word(&memory, module + 4) - word(&memory, module), 8);
        assert_eq!(word(&memory, word(&memory, module)), u32::from_le_bytes(*b"cont"));
        assert_eq!(text(&memory, word(&memory, module + 8)), "module");
        assert_eq!(memory_map(&memory, information), map::regions(MEMORY_BYTES).len());
    }
}

fn module(name: &str, len: usize, command_line: &str) -> Module {
    let file = File { name: name.into(), bytes: vec![name.as_bytes()[0]; len] };
    Module { file, command_line: command_line.into() }
}

#[test]
fn modules_follow_the_image_page_by_page_and_each_is_told_its_own_line() {
    let memory = memory();
    let mut payload = payload(BareImage::Hello.elf(ElfWidth::Bits32));
    payload.initrd = Some(File { name: "first".into(), bytes: vec![1; 0x1001] });
    payload.modules = vec![module("second", 5, "x y"), module("third", 0x1000, "")];
    let information = load(&memory, &payload).unwrap().ebx;
    assert_eq!(word(&memory, information + 20), 3);
    let list = word(&memory, information + 24);
    let found: Vec<_> = (list..list + 48)
        .step_by(16)
        .map(|at| (word(&memory, at), word(&memory, at + 4), text(&memory, word(&memory, at + 8))))
        .collect();
    let expected = [
        (0x10_2000, 0x10_3001, "first"),
        (0x10_4000, 0x10_4005, "second x y"),
        (0x10_5000, 0x10_6000, "third"),
    ];
    assert_eq!(found, expected.map(|(start, end, line)| (start, end, line.to_owned())));
    assert_eq!(word(&memory, 0x10_4000), u32::from_le_bytes(*b"ssss"));
}

#[test]
fn a_module_goes_below_an_image_that_ends_where_memory_ends() {
    let memory = memory();
    let image = with(&BareImage::Hello.elf(ElfWidth::Bits32), 52 + 12, 0x3f_f000_u32.to_le_bytes());
    let mut payload = payload(image);
    payload.modules = vec![module("m", 0x2000, "")];
    let information = load(&memory, &payload).unwrap().ebx;
    assert_eq!(word(&memory, word(&memory, information + 24)), 0x10_0000);
}

#[test]
fn pvh_takes_several_modules_and_a_bzimage_none() {
    let memory = memory();
    let mut payload = payload(pvh());
    payload.modules = vec![module("one", 9, "1"), module("two", 8, "2")];
    let information = load(&memory, &payload).unwrap().ebx;
    assert_eq!(word(&memory, information + 12), 2);
    let list = word(&memory, information + 16);
    let second = list + 32;
    assert_eq!(
        (word(&memory, second + 8), word(&memory, word(&memory, second))),
        (8, u32::from_le_bytes(*b"tttt"))
    );
    assert_eq!(text(&memory, word(&memory, list + 16)), "one 1");
    payload.kernel.bytes = bzimage();
    let error = load(&memory, &payload).unwrap_err().to_string();
    assert!(error.contains("takes no module one; give --initrd"), "{error}");
}

#[test]
fn what_a_guest_is_told_goes_where_its_image_does_not_lie() {
    let memory = memory();
    let image = BareImage::Hello.elf(ElfWidth::Bits32);
    let image = with(&with(&image, 52 + 12, 0x8000_u32.to_le_bytes()), 52 + 20, 0x9000_u32.to_le_bytes());
    let information = load(&memory, &payload(image.clone())).unwrap().ebx;
    assert!(information >= 0x1_1000, "{information:#x}");
    assert_eq!(text(&memory, word(&memory, information + 16)), "kernel a b");
    let covered = refusal_of(with(&image, 52 + 20, 0x9_7000_u32.to_le_bytes()));
    assert!(matches!(covered, BootError::TooLarge { .. }), "{covered}");
}

#[test]
fn a_service_of_the_firmware_says_that_it_is_not_there() {
    let memory = memory();
    load(&memory, &payload(BareImage::Hello.elf(ElfWidth::Bits32))).unwrap();
    let vector = |number: u32| {
        let [a, b, c, d] = word(&memory, 4 * number).to_le_bytes();
        u32::from(u16::from_le_bytes([c, d])) << 4 | u32::from(u16::from_le_bytes([a, b]))
    };
    // push bp; mov bp, sp; or byte [bp + 6], carry
    assert_eq!(word(&memory, vector(0x13)), u32::from_le_bytes([0x55, 0x89, 0xe5, 0x80]));
    assert_eq!(word(&memory, vector(0x12)), u32::from_le_bytes([0xb8, 0x7f, 0x02, 0xcf]), "639 KiB");
    assert_eq!((word(&memory, 0x400) & 0xffff, word(&memory, 0x40e) & 0xffff), (0x3f8, 0x9fc0));
    assert_eq!(word(&memory, 0x413) & 0xffff, 639);
}

#[test]
fn an_image_may_lie_where_the_firmware_has_its_tables() {
    let memory = memory();
    let image = with(&BareImage::Hello.elf(ElfWidth::Bits32), 52 + 12, 0x100_u32.to_le_bytes());
    load(&memory, &payload(image)).unwrap();
    assert_eq!(word(&memory, 0x100), 0x1bad_b002);
    assert_eq!(word(&memory, 0), 0, "no table over or around it");
    assert_eq!(word(&memory, 0x413) & 0xffff, 639, "the data area is free");
}

/// The number of elements, each with a length of 20 in front.
fn memory_map(memory: &PhysicalMemory, information: u32) -> usize {
    let (len, start) = (word(memory, information + 44), word(memory, information + 48));
    assert!((start..start + len).step_by(24).all(|at| word(memory, at) == 20));
    usize::try_from(len / 24).unwrap()
}

#[test]
fn a_multiboot_image_with_addresses_in_its_header_is_loaded_there() {
    let mut image = vec![0; 64];
    let flags: u32 = 1 << 16;
    let checksum = 0_u32.wrapping_sub(0x1bad_b002 + flags);
    let (header, load_at, load_end, bss_end, entry) = (0x20_0010, 0x20_0008, 0x20_0028, 0x20_0100, 0x20_0020);
    let words: [u32; 8] = [0x1bad_b002, flags, checksum, header, load_at, load_end, bss_end, entry];
    for (at, word) in (32..).step_by(4).zip(words).take(8) {
        image[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    let memory = memory();
    assert_eq!(load(&memory, &payload(image.clone())).unwrap().rip, entry);
    assert_eq!(word(&memory, header), 0x1bad_b002);
    for (at, wrong) in [(44, 0x30_0000_u32), (48, 0), (52, 1), (48, 0x20_0020)] {
        assert!(refusal(with(&image, at, wrong.to_le_bytes())).contains("do not fit together"), "{at}");
    }
}

#[test]
fn a_jump_to_ffff_0_finds_code_that_resets() {
    let memory = memory();
    load(&memory, &payload(BareImage::Hello.elf(ElfWidth::Bits32))).unwrap();
    // mov al, 0xfe; out 0x64, al
    assert_eq!(word(&memory, 0xf_fff0), u32::from_le_bytes([0xb0, 0xfe, 0xe6, 0x64]));
}

fn pvh() -> Vec<u8> {
    BareImage::Hello.pvh()
}

#[test]
fn an_elf_file_with_a_pvh_note_is_entered_where_the_note_says() {
    let memory = memory();
    let entry = load(&memory, &payload(pvh())).unwrap();
    assert_eq!((entry.rip, entry.eax), (LOAD_ADDRESS + 12, 0));
    assert_eq!(word(&memory, entry.ebx), 0x336e_c578);
    assert_eq!(text(&memory, word(&memory, entry.ebx + 24)), "a b");
    assert_eq!(word(&memory, entry.ebx + 32), u32::try_from(map::ACPI).unwrap());
    let without = with(&pvh(), 64 + 56, 0_u32.to_le_bytes());
    assert!(refusal(without).contains("no image that boots here"));
}

fn bzimage() -> Vec<u8> {
    BareImage::Hello.bzimage()
}

#[test]
fn a_bzimage_is_entered_at_its_kernel_with_its_parameters() {
    let memory = memory();
    let mut payload = payload(bzimage());
    payload.initrd = Some(File { name: "initrd".into(), bytes: vec![7; 5000] });
    let Entry { rip, esi, descriptors, .. } = load(&memory, &payload).unwrap();
    assert_eq!((rip, word(&memory, rip) & 0xff), (0x10_0000, 0xe9), "a jump");
    assert_eq!(word(&memory, esi + 0x202), u32::from_le_bytes(*b"HdrS"));
    assert_eq!(text(&memory, word(&memory, esi + 0x228)), "a b");
    assert_eq!((word(&memory, esi + 0x21c), word(&memory, word(&memory, esi + 0x218))), (5000, 0x0707_0707));
    assert_eq!(word(&memory, esi + 0x1e8) & 0xff, 5, "elements of the memory map");
    assert_eq!(word(&memory, esi + 0x2d0 + 20 * 3), 0x10_0000);
    assert_ne!(word(&memory, descriptors + 0x14), 0, "the code segment that the protocol names");
}

/// The addresses are the mapping's: of most of the memory nothing is ever touched.
#[test]
fn a_guest_of_6_gib_is_told_of_both_pieces_and_has_its_files_in_the_first() {
    let memory = PhysicalMemory::around(6 << 30, map::HOLE..map::HOLE_BEHIND).unwrap();
    let mut payload = payload(bzimage());
    payload.initrd = Some(File { name: "initrd".into(), bytes: vec![7; 5000] });
    let esi = load(&memory, &payload).unwrap().esi;
    assert_eq!(word(&memory, esi + 0x1e8) & 0xff, 6, "elements of the memory map");
    let last = [0, 4, 8, 12, 16].map(|at| word(&memory, esi + 0x2d0 + 20 * 5 + at));
    assert_eq!(last, [0, 1, 0xc000_0000, 0, 1], "3 GiB from 4 GiB on");
    let initrd = u64::from(word(&memory, esi + 0x218));
    assert!(initrd + 5000 <= map::HOLE, "{initrd:#x}");
    let too_large = with(&bzimage(), 0x260, [0, 0, 0, 0xc0]);
    payload.kernel.bytes = too_large;
    let memory = PhysicalMemory::around(6 << 30, map::HOLE..map::HOLE_BEHIND).unwrap();
    let refused = load(&memory, &payload).unwrap_err().to_string();
    assert!(
        refused.ends_with("more --memory lies above 4 GiB, where no image goes: give a smaller file"),
        "{refused}"
    );
}

/// What a kernel with `bytes` is told as its line, if it is to be told this besides.
fn told(bytes: Vec<u8>, line_at: impl Fn(&PhysicalMemory, &Entry) -> u32) -> String {
    let memory = memory();
    let word = "panic=-1".to_owned();
    let payload = Payload { if_linux: vec![Told { word, unless: &["panic"] }], ..payload(bytes) };
    let entry = load(&memory, &payload).unwrap();
    text(&memory, line_at(&memory, &entry))
}

#[test]
fn linux_alone_is_told_what_nobody_told_it() {
    let by_protocol = |bytes| told(bytes, |memory, entry| word(memory, entry.esi + 0x228));
    assert_eq!(by_protocol(bzimage()), "a b", "no version, no Linux");
    let named = |version: &[u8]| {
        let mut image = with(&bzimage(), 0x20e, 0x100_u16.to_le_bytes());
        image[0x300..0x300 + version.len()].copy_from_slice(version);
        image
    };
    assert_eq!(by_protocol(named(b"6.12.1 (me@here) #1 SMP\0")), "panic=-1 a b");
    assert_eq!(by_protocol(named(b"iPXE 1.0 #1\0")), "a b");
    assert_eq!(by_protocol(named(b"6.20 (memtest86+)\0 #1")), "a b");
    let by_note = |bytes| told(bytes, |memory, entry| word(memory, entry.ebx + 24));
    assert_eq!(by_note(pvh()), "a b");
    assert_eq!(by_note(pvh_of_linux()), "panic=-1 a b");
    let multiboot = BareImage::Hello.elf(ElfWidth::Bits32);
    assert_eq!(told(multiboot, |memory, entry| word(memory, entry.ebx + 16)), "kernel a b");
}

/// With a second note, which Linux's build leaves in it.
fn pvh_of_linux() -> Vec<u8> {
    let mut image = pvh();
    for word in [6, 0, 0x100, u32::from_le_bytes(*b"Linu"), u32::from_le_bytes(*b"x\0\0\0")] {
        image.extend(word.to_le_bytes());
    }
    with(&with(&image, 120 + 32, 40_u64.to_le_bytes()), 120 + 40, 40_u64.to_le_bytes())
}

/// A bzImage with `packed` behind its code, where its header says.
fn bzimage_of(packed: &[u8]) -> Vec<u8> {
    let image = bzimage();
    let kernel_at = (usize::from(image[0x1f1]) + 1) * 512;
    let offset = u32::try_from(image.len() - kernel_at).unwrap();
    let image = with(&image, 0x248, offset.to_le_bytes());
    let image = with(&image, 0x24c, u32::try_from(packed.len()).unwrap().to_le_bytes());
    [&image, packed].concat()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// As the kernel's build packs it: the length stands behind.
fn lz4_of(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut packed = lz4_flex::frame::FrameEncoder::new(Vec::new());
    packed.write_all(bytes).unwrap();
    [packed.finish().unwrap(), u32::try_from(len).unwrap().to_le_bytes().to_vec()].concat()
}

/// Where a guest of that image begins.
fn entered(image: Vec<u8>) -> u32 {
    load(&memory(), &payload(image)).unwrap().rip
}

#[test]
fn the_kernel_in_a_bzimage_is_unpacked_and_entered_by_its_note() {
    for packed in [gzipped(&pvh()), lz4_of(&pvh(), pvh().len())] {
        let memory = memory();
        let entry = load(&memory, &payload(bzimage_of(&packed))).unwrap();
        assert_eq!((entry.rip, word(&memory, entry.ebx)), (LOAD_ADDRESS + 12, 0x336e_c578));
        assert_eq!(text(&memory, word(&memory, entry.ebx + 24)), "a b");
    }
}

#[test]
fn a_kernel_that_cannot_be_unpacked_here_unpacks_itself() {
    const ITSELF: u32 = 0x10_0000;
    let without_note = with(&pvh(), 64 + 56, 0_u32.to_le_bytes());
    assert_eq!(entered(bzimage_of(&gzipped(&without_note))), ITSELF);
    assert_eq!(entered(bzimage_of(&gzipped(b"no ELF file"))), ITSELF);
    assert_eq!(entered(bzimage_of(b"lzo, say")), ITSELF);
    assert_eq!(entered(bzimage_of(b"BZh9")), ITSELF);
    let cut = gzipped(&pvh());
    assert_eq!(entered(bzimage_of(&cut[..cut.len() - 9])), ITSELF);
    assert_eq!(entered(bzimage_of(&lz4_of(&pvh(), pvh().len() + 1))), ITSELF, "another length");
    let larger_than_memory = vec![0; usize::try_from(MEMORY_BYTES).unwrap() + 1];
    assert_eq!(entered(bzimage_of(&gzipped(&larger_than_memory))), ITSELF);
    let behind_its_end = with(&bzimage_of(&gzipped(&pvh())), 0x24c, u32::MAX.to_le_bytes());
    assert_eq!(entered(behind_its_end), ITSELF);
}

#[test]
fn a_bzimage_takes_no_module_and_no_long_line_however_it_is_unpacked() {
    let image = bzimage_of(&gzipped(&pvh()));
    assert!(refusal(with(&image, 0x238, [1, 0, 0, 0])).contains("a command line of 2 bytes, not of 4"));
    let mut payload = payload(image);
    payload.modules = vec![module("further", 1, "")];
    let refused = load(&memory(), &payload).unwrap_err();
    assert!(matches!(refused, BootError::NoModules { .. }), "{refused}");
}

#[test]
fn a_bzimage_that_is_old_cut_or_too_large_is_refused() {
    assert!(refusal(with(&bzimage(), 0x206, [2, 2])).contains("boot protocol 0x202"));
    assert!(refusal(with(&bzimage(), 0x211, [0])).contains("with flags 0x0"));
    assert!(refusal(bzimage()[..0x240].to_vec()).contains("it ends"));
    assert!(refusal(bzimage()[..5 * 512].to_vec()).contains("it ends before its kernel"));
    assert!(refusal(with(&bzimage(), 0x238, [1, 0, 0, 0])).contains("a command line of 2 bytes, not of 4"));
    assert!(refusal(with(&bzimage(), 0x260, [0, 0, 0, 1])).contains("give more --memory"));
}

#[test]
fn what_is_no_image_is_refused_in_one_line() {
    for bytes in [vec![], vec![0; 100], b"#!/bin/sh\n".to_vec(), b"\x7fELF".to_vec()] {
        refusal(bytes);
    }
}

#[test]
fn a_segment_that_leaves_memory_or_hits_the_information_is_refused() {
    let image = BareImage::Edu.elf(ElfWidth::Bits32);
    let placed = |at: u32| refusal(with(&image, 52 + 12, at.to_le_bytes()));
    assert!(placed(0x3f_ffff).contains("memory ends at 0x400000; give more --memory"));
    assert!(placed(u32::MAX).contains("give more --memory"));
    assert!(placed(0xe_0000).contains("would lie over ACPI tables"));
    let grown = with(&image, 52 + 20, u32::MAX.to_le_bytes());
    assert!(refusal(grown).contains("give more --memory"));
    let shrunk = with(&image, 52 + 20, 1_u32.to_le_bytes());
    assert!(refusal(shrunk).contains("takes 0x1 in memory"));
}

#[test]
fn a_multiboot_image_that_asks_for_a_video_mode_is_refused() {
    let image = BareImage::Edu.elf(ElfWidth::Bits32);
    let flags: u32 = 4;
    let image = with(&image, 0x1004, flags.to_le_bytes());
    let image = with(&image, 0x1008, 0_u32.wrapping_sub(0x1bad_b002 + flags).to_le_bytes());
    assert!(refusal(image).contains("asks for 0x4"));
}

#[test]
fn a_multiboot_header_whose_sum_is_wrong_is_none() {
    let image = BareImage::Edu.elf(ElfWidth::Bits32);
    let error = refusal_of(with(&image, 0x1008, [0; 4]));
    assert!(matches!(error, BootError::Unknown { .. }), "{error}");
}

#[test]
fn an_image_of_too_many_pieces_is_refused() {
    let memory = memory();
    let mut room = Room::new(&memory);
    let taken = (0..1000).take_while(|number| room.take("a piece", number * 16, 16).is_ok()).count();
    assert_eq!(taken, 256);
}

#[test]
fn an_initrd_that_does_not_fit_is_refused() {
    let mut payload = payload(BareImage::Edu.elf(ElfWidth::Bits32));
    payload.initrd = Some(File { name: "initrd".into(), bytes: vec![0; 5 << 20] });
    assert!(matches!(load(&memory(), &payload), Err(BootError::TooLarge { .. })));
    payload.initrd = Some(File { name: "initrd".into(), bytes: vec![0; (3 << 20) - 0x800] });
    assert!(matches!(load(&memory(), &payload), Err(BootError::TooLarge { .. })));
    payload.kernel.bytes = pvh();
    assert!(matches!(load(&memory(), &payload), Err(BootError::Overlap { .. })));
    payload.kernel.bytes = BareImage::Edu.elf(ElfWidth::Bits32);
    payload.initrd = None;
    payload.command_line = "x".repeat(1 << 20);
    assert!(matches!(load(&memory(), &payload), Err(BootError::TooLarge { .. })));
}
