//! A processor's registers as gdb numbers and packs them.
//!
//! Invariant: `TABLE` is the order of the numbers, of the packed image and of the description that gdb reads, so they cannot
//! disagree. What has fewer bits in gdb's image than in the processor keeps its other bits when it is set. Sources: gdb's
//! features/i386/64bit-core.xml, 64bit-sse.xml and 64bit-segments.xml for what it insists on; kvm_regs, kvm_sregs, kvm_fpu.

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use gdbstub::arch::{Arch, RegId, Registers};
use kvm_bindings::kvm_segment;

use crate::kvm::processor::debug::RegisterFile;

/// x86-64, as gdb is told of it.
#[derive(Debug)]
pub(super) enum X86_64 {}

/// A register's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Number(pub(super) usize);

/// All of them, packed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Image(Vec<u8>);

/// One register: its name, its type in gdb's words, its bytes.
type Row = (&'static str, &'static str, usize);

/// A feature in gdb's words, with its registers.
type Feature = (&'static str, &'static str, &'static [Row]);

/// What gdb needs to know to show flags and vectors by their parts.
const SSE_TYPES: &str = r#"<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/><union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>"#;

#[rustfmt::skip]
const CORE: &[Row] = &[
    ("rax", "int64", 8), ("rbx", "int64", 8), ("rcx", "int64", 8), ("rdx", "int64", 8),
    ("rsi", "int64", 8), ("rdi", "int64", 8), ("rbp", "data_ptr", 8), ("rsp", "data_ptr", 8),
    ("r8", "int64", 8), ("r9", "int64", 8), ("r10", "int64", 8), ("r11", "int64", 8),
    ("r12", "int64", 8), ("r13", "int64", 8), ("r14", "int64", 8), ("r15", "int64", 8),
    ("rip", "code_ptr", 8), ("eflags", "int32", 4),
    ("cs", "int32", 4), ("ss", "int32", 4), ("ds", "int32", 4), ("es", "int32", 4), ("fs", "int32", 4), ("gs", "int32", 4),
    ("st0", "i387_ext", 10), ("st1", "i387_ext", 10), ("st2", "i387_ext", 10), ("st3", "i387_ext", 10),
    ("st4", "i387_ext", 10), ("st5", "i387_ext", 10), ("st6", "i387_ext", 10), ("st7", "i387_ext", 10),
    ("fctrl", "int", 4), ("fstat", "int", 4), ("ftag", "int", 4), ("fiseg", "int", 4),
    ("fioff", "int", 4), ("foseg", "int", 4), ("fooff", "int", 4), ("fop", "int", 4),
];
#[rustfmt::skip]
const SSE: &[Row] = &[
    ("xmm0", "vec128", 16), ("xmm1", "vec128", 16), ("xmm2", "vec128", 16), ("xmm3", "vec128", 16),
    ("xmm4", "vec128", 16), ("xmm5", "vec128", 16), ("xmm6", "vec128", 16), ("xmm7", "vec128", 16),
    ("xmm8", "vec128", 16), ("xmm9", "vec128", 16), ("xmm10", "vec128", 16), ("xmm11", "vec128", 16),
    ("xmm12", "vec128", 16), ("xmm13", "vec128", 16), ("xmm14", "vec128", 16), ("xmm15", "vec128", 16),
    ("mxcsr", "int", 4),
];
const SEGMENTS: &[Row] = &[("fs_base", "int64", 8), ("gs_base", "int64", 8)];
#[rustfmt::skip]
const CONTROL: &[Row] = &[
    ("cr0", "int64", 8), ("cr2", "int64", 8), ("cr3", "int64", 8), ("cr4", "int64", 8), ("cr8", "int64", 8), ("efer", "int64", 8),
    ("gdt_base", "int64", 8), ("idt_base", "int64", 8), ("tr_base", "int64", 8),
];

const TABLE: [Feature; 4] = [
    ("org.gnu.gdb.i386.core", "", CORE),
    ("org.gnu.gdb.i386.sse", SSE_TYPES, SSE),
    ("org.gnu.gdb.i386.segments", "", SEGMENTS),
    // gdb shows what it does not know.
    ("afterimage.control", "", CONTROL),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().flat_map(|(_, _, rows)| *rows)
}

/// Where register `number` lies in an image.
pub(super) fn place(Number(number): Number) -> Option<std::ops::Range<usize>> {
    let (_, _, len) = rows().nth(number)?;
    let start: usize = rows().take(number).map(|(_, _, len)| len).sum();
    Some(start..start + len)
}

fn description() -> String {
    let feature = |(name, types, rows): &Feature| {
        let rows: String = rows
            .iter()
            .map(|(name, kind, len)| format!(r#"<reg name="{name}" bitsize="{}" type="{kind}"/>"#, len * 8))
            .collect();
        format!(r#"<feature name="{name}">{types}{rows}</feature>"#)
    };
    let features: String = TABLE.iter().map(feature).collect();
    format!(
        r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>i386:x86-64</architecture>{features}</target>"#
    )
}

impl Arch for X86_64 {
    type Usize = u64;
    type Registers = Image;
    type BreakpointKind = usize;
    type RegId = Number;

    fn target_description_xml() -> Option<&'static str> {
        static TEXT: OnceLock<String> = OnceLock::new();
        Some(TEXT.get_or_init(description))
    }
}

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let (_, _, len) = rows().nth(id)?;
        Some((Self(id), NonZeroUsize::new(*len)))
    }
}

impl Registers for Image {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        // Asked of nobody here, and 0 of an image that nobody has filled.
        self.0.get(128..136).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|byte| write_byte(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let len: usize = rows().map(|(_, _, len)| len).sum();
        self.0 = bytes.get(..len).ok_or(())?.to_vec();
        Ok(())
    }
}

impl Image {
    /// That of a processor.
    pub(super) fn of(file: &RegisterFile) -> Self {
        let mut file = *file;
        let mut image = Vec::new();
        visit(&mut file, &mut |field| image.extend(field.bytes()));
        Self(image)
    }

    /// The bytes of one register.
    pub(super) fn bytes(&self, number: Number) -> Option<&[u8]> {
        self.0.get(place(number)?)
    }

    /// Sets one register.
    pub(super) fn set(&mut self, number: Number, bytes: &[u8]) -> Option<()> {
        let place = self.0.get_mut(place(number)?)?;
        (place.len() == bytes.len()).then(|| place.copy_from_slice(bytes))
    }

    /// What `file` becomes with it.
    pub(super) fn applied_to(&self, file: &RegisterFile) -> RegisterFile {
        let mut changed = *file;
        let mut rest = self.0.as_slice();
        visit(&mut changed, &mut |mut field| {
            if let Some((bytes, behind)) = rest.split_at_checked(field.bytes().len()) {
                // A selector that is set as it was keeps the descriptor behind it.
                if bytes != field.bytes() {
                    field.set(bytes);
                }
                rest = behind;
            }
        });
        changed
    }
}

/// A place of a register, for one visit.
enum Field<'a> {
    Long(&'a mut u64),
    /// The lower half of a register.
    Low(&'a mut u64),
    Word(&'a mut u32),
    Half(&'a mut u16),
    Byte(&'a mut u8),
    /// The lower 32 bits of an address.
    LowOf(&'a mut u64),
    Bytes(&'a mut [u8]),
    /// Not in KVM's words.
    Zero,
}

impl Field<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Long(value) => value.to_le_bytes().to_vec(),
            Self::Low(value) | Self::LowOf(value) => value.to_le_bytes()[..4].to_vec(),
            Self::Word(value) => value.to_le_bytes().to_vec(),
            Self::Half(value) => u32::from(**value).to_le_bytes().to_vec(),
            Self::Byte(value) => u32::from(**value).to_le_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Zero => vec![0; 4],
        }
    }

    /// From as many bytes as `bytes` gives.
    fn set(&mut self, bytes: &[u8]) {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(bytes) {
            *to = *from;
        }
        let [a, b, c, d, ..] = wide;
        match self {
            Self::Long(value) => **value = u64::from_le_bytes(wide),
            Self::Low(value) | Self::LowOf(value) => {
                **value = **value >> 32 << 32 | u64::from(u32::from_le_bytes([a, b, c, d]));
            }
            Self::Word(value) => **value = u32::from_le_bytes([a, b, c, d]),
            Self::Half(value) => **value = u16::from_le_bytes([a, b]),
            Self::Byte(value) => **value = a,
            Self::Bytes(place) => place.copy_from_slice(bytes),
            Self::Zero => {}
        }
    }
}

/// Each register of [`TABLE`], in its order.
fn visit(file: &mut RegisterFile, see: &mut dyn FnMut(Field<'_>)) {
    let RegisterFile { general: r, special: s, float: f } = file;
    let general = [
        &mut r.rax, &mut r.rbx, &mut r.rcx, &mut r.rdx, &mut r.rsi, &mut r.rdi, &mut r.rbp, &mut r.rsp,
        &mut r.r8, &mut r.r9, &mut r.r10, &mut r.r11, &mut r.r12, &mut r.r13, &mut r.r14, &mut r.r15,
        &mut r.rip,
    ];
    general.into_iter().for_each(|value| see(Field::Long(value)));
    see(Field::Low(&mut r.rflags));
    let segments: [&mut kvm_segment; 6] = [&mut s.cs, &mut s.ss, &mut s.ds, &mut s.es, &mut s.fs, &mut s.gs];
    segments.into_iter().for_each(|segment| see(Field::Half(&mut segment.selector)));
    f.fpr.iter_mut().for_each(|value| see(Field::Bytes(&mut value[..10])));
    see(Field::Half(&mut f.fcw));
    see(Field::Half(&mut f.fsw));
    see(Field::Byte(&mut f.ftwx));
    see(Field::Zero);
    see(Field::LowOf(&mut f.last_ip));
    see(Field::Zero);
    see(Field::LowOf(&mut f.last_dp));
    see(Field::Half(&mut f.last_opcode));
    f.xmm.iter_mut().for_each(|value| see(Field::Bytes(value)));
    see(Field::Word(&mut f.mxcsr));
    let rest = [
        &mut s.fs.base,
        &mut s.gs.base,
        &mut s.cr0,
        &mut s.cr2,
        &mut s.cr3,
        &mut s.cr4,
        &mut s.cr8,
        &mut s.efer,
        &mut s.gdt.base,
        &mut s.idt.base,
        &mut s.tr.base,
    ];
    rest.into_iter().for_each(|value| see(Field::Long(value)));
}

#[cfg(test)]
mod tests;
