//! Which instructions are put out page by page, and a guest whose string is. Without /dev/kvm, "skipped: ...".
//!
//! Invariant: the test stands in for the device, and counts accesses.

use std::io::{Write, stdout};
use std::sync::Arc;

use guest_images::bare::{BareImage, ElfWidth, outs_text};
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use mmu::memory::PhysicalMemory;

use super::{DF, EFER_LMA, REP_OUTSB, Rest, TF, VM, Width};
use crate::boot::{self, File, Payload};
use crate::kvm::registers::Registers;
use crate::kvm::vm::IoApicPins;
use crate::kvm::{Access, Count, CpuFlags, Processor, System, VcpuId, Vm};

const PORT: u16 = 0x3f8;
const EXIT: u16 = 0xf4;

/// A flat kernel of `width` in the middle of `rep outsb`, with 10 bytes left from 0x1ffa on.
fn registers(width: Width) -> Registers {
    let segment = kvm_segment { limit: u32::MAX, present: 1, s: 1, db: 1, type_: 3, ..Default::default() };
    let general =
        kvm_regs { rip: 0x1000, rsi: 0x1ffa, rcx: 10, rdx: PORT.into(), rflags: 2, ..Default::default() };
    let mut special = kvm_sregs {
        cr0: 1,
        cs: kvm_segment { type_: 11, ..segment },
        ds: segment,
        ss: segment,
        ..Default::default()
    };
    if width == Width::Bits64 {
        special.efer = EFER_LMA;
        (special.cs.l, special.cs.db) = (1, 0);
    }
    Registers { general, special }
}

/// Where and how much is put out.
fn rest(registers: &Registers) -> Option<(u64, usize)> {
    let rest = Rest::of(registers, Width::of(registers)?, REP_OUTSB, PORT)?;
    Some((rest.linear, rest.len_bytes))
}

/// The registers of both widths after `change`.
fn each(change: impl Fn(&mut Registers)) -> [Option<(u64, usize)>; 2] {
    [Width::Bits32, Width::Bits64].map(|width| {
        let mut registers = registers(width);
        change(&mut registers);
        rest(&registers)
    })
}

#[test]
fn a_string_is_put_out_to_the_end_of_the_page_and_of_its_count() {
    assert_eq!(each(|_| {}), [Some((0x1ffa, 6)); 2]);
    assert_eq!(each(|it| it.general.rcx = 3), [Some((0x1ffa, 3)); 2]);
    assert_eq!(each(|it| it.general.rsi = 0x2000), [Some((0x2000, 0)); 2], "KVM loads the first of a page");
    let upper = 7 << 32;
    assert_eq!(each(|it| it.general.rsi += upper), [Some((0x1ffa, 6)), Some((upper + 0x1ffa, 6))]);
    assert_eq!(each(|it| it.general.rcx += upper), [Some((0x1ffa, 6)); 2]);
}

#[test]
fn a_segment_has_a_base_and_a_limit_in_32_bit_code_only() {
    let plain = Some((0x1ffa, 6));
    assert_eq!(each(|it| it.special.ds.base = 0x5003), [Some((0x6ffd, 3)), plain]);
    assert_eq!(each(|it| it.special.ds.limit = 0x1ffc), [Some((0x1ffa, 3)), plain]);
    assert_eq!(each(|it| it.special.ds.limit = 0x1ff8), [None, plain]);
    assert_eq!(each(|it| it.special.ds.type_ = 3 | 1 << 2), [None, plain], "it grows downwards");
    assert_eq!(each(|it| it.special.ds.type_ = 9), [None, plain], "it can be executed only");
    assert_eq!(each(|it| it.special.ds.type_ = 11), [plain; 2]);
    assert_eq!(each(|it| it.special.ds.unusable = 1), [None, plain]);
    assert_eq!(each(|it| it.special.ds.present = 0), [None, plain]);
}

#[test]
fn what_is_not_plain_is_left_to_kvm() {
    let none = [None; 2];
    assert_eq!(each(|it| it.general.rflags |= TF), none);
    assert_eq!(each(|it| it.general.rflags |= DF), none);
    assert_eq!(each(|it| it.special.ss.dpl = 3), none);
    assert_eq!(each(|it| it.general.rdx = 0x2f8), none);
    assert_eq!(each(|it| (it.special.cs.l, it.special.cs.db) = (0, 0)), none, "16-bit code");
    let [narrow, _] = each(|it| it.special.cr0 = 0);
    assert_eq!(narrow, None, "real mode");
    let [narrow, _] = each(|it| it.general.rflags |= VM);
    assert_eq!(narrow, None, "virtual 8086 mode");
    for code in [[0x6e, 0xf3], [0xf3, 0x6f], [0xf3, 0x6c], [0xf2, 0x6e]] {
        assert_eq!(Rest::of(&registers(Width::Bits32), Width::Bits32, code, PORT), None, "{code:02x?}");
    }
}

/// What the serial port got, and by how many accesses of a byte and of a string.
struct Heard {
    text: Vec<u8>,
    bytes: usize,
    strings: usize,
}

/// A guest that puts out [`outs_text`], in front of a port that takes at most `most` bytes of a string.
fn hear(most: usize) -> Option<Heard> {
    let system = match System::open() {
        Ok(system) => system,
        Err(error) => {
            writeln!(stdout(), "skipped: {error}").expect("a test can be read");
            return None;
        }
    };
    let memory = Arc::new(PhysicalMemory::new(4 << 20).expect("4 MiB are there"));
    let kernel = File { name: "outs".to_owned(), bytes: BareImage::Outs.elf(ElfWidth::Bits32) };
    let payload = Payload {
        kernel,
        initrd: None,
        modules: Vec::new(),
        command_line: String::new(),
        if_linux: Vec::new(),
    };
    let entry = boot::load(&memory, &payload).expect("it is an image");
    let vm = Vm::with_io_apic(&system, memory, IoApicPins(24)).expect("there is a machine");
    let mut processor = Processor::new(&system, &vm, VcpuId::FIRST, Count(1), &CpuFlags::default(), &entry)
        .expect("and a processor");
    let (mut heard, handle) = (Heard { text: Vec::new(), bytes: 0, strings: 0 }, processor.handle());
    let ended = processor.run(|access| match access {
        Access::Out { port: PORT, bytes } => {
            heard.bytes += 1;
            heard.text.extend_from_slice(bytes);
        }
        Access::OutString { port: PORT, bytes, taken } => {
            heard.strings += 1;
            *taken = bytes.len().min(most);
            heard.text.extend_from_slice(&bytes[..*taken]);
        }
        Access::Out { port: EXIT, .. } => handle.request_stop(),
        other => panic!("the guest has nothing to do with {other:?}"),
    });
    ended.expect("the guest ends");
    Some(heard)
}

#[test]
fn a_string_costs_one_exit_for_a_page() {
    let Some(heard) = hear(usize::MAX) else { return };
    assert!(heard.text == outs_text(), "{} bytes", heard.text.len());
    assert!(heard.bytes < 50 && heard.strings == 16, "{} and {}", heard.bytes, heard.strings);
}

#[test]
fn what_a_device_does_not_take_comes_again_byte_by_byte() {
    for most in [0, 100] {
        let Some(heard) = hear(most) else { return };
        assert!(heard.text == outs_text(), "{most}: {} bytes", heard.text.len());
        assert!(heard.strings > 0, "{most}");
    }
}
