//! Numbers, images and the description agree, and setting one register sets it alone.

use std::collections::BTreeSet;

use gdbstub::arch::{Arch, RegId, Registers};

use super::{Image, Number, X86_64, place, rows};
use crate::kvm::processor::debug::RegisterFile;

fn number(name: &str) -> Number {
    Number(rows().position(|(found, _, _)| *found == name).expect("it is in the table"))
}

#[test]
fn the_image_has_every_register_of_the_description_at_its_place() {
    let mut file = RegisterFile::default();
    file.general.rax = 0x1122_3344_5566_7788;
    file.general.rip = 0x10;
    file.general.rflags = 0x2;
    file.special.cs.selector = 0x33;
    file.float.xmm[15] = [7; 16];
    file.special.cr3 = 0x1000;
    file.special.tr.base = 9;
    let image = Image::of(&file);
    let bytes = |name| image.bytes(number(name)).expect("it is there").to_vec();
    assert_eq!(bytes("rax"), 0x1122_3344_5566_7788_u64.to_le_bytes());
    assert_eq!(bytes("eflags"), [2, 0, 0, 0]);
    assert_eq!(bytes("cs"), [0x33, 0, 0, 0]);
    assert_eq!(bytes("xmm15"), [7; 16]);
    assert_eq!(bytes("cr3"), 0x1000_u64.to_le_bytes());
    assert_eq!(bytes("tr_base"), 9_u64.to_le_bytes());
    assert_eq!(image.pc(), 0x10);
    let mut packed = Vec::new();
    image.gdb_serialize(|byte| packed.extend(byte));
    let last = place(Number(rows().count() - 1)).expect("it is the last");
    assert_eq!(packed.len(), last.end);
    assert!(place(Number(rows().count())).is_none() && Number::from_raw_id(usize::MAX).is_none());
    // gdb's numbers for what it knows by itself.
    assert_eq!((number("eflags"), number("st0"), number("mxcsr")), (Number(17), Number(24), Number(56)));
}

#[test]
fn the_description_is_xml_and_names_each_register_once() {
    let text = X86_64::target_description_xml().expect("there is one");
    let names: BTreeSet<_> =
        text.split(r#"<reg name=""#).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names.len(), rows().count());
    assert_eq!(text.matches("<feature").count(), text.matches("</feature>").count());
}

#[test]
fn each_register_can_be_set_and_changes_no_other() {
    let before = RegisterFile::default();
    for index in 0..rows().count() {
        let mut image = Image::of(&before);
        let len = image.bytes(Number(index)).expect("it is there").len();
        let mut value = vec![0; len];
        value[0] = 1;
        image.set(Number(index), &value).expect("it fits");
        assert!(image.set(Number(index), &[0; 3]).is_none(), "not of another length");
        let name = rows().nth(index).expect("it is there").0;
        let after = Image::of(&image.applied_to(&before));
        // KVM has no words for these two.
        let expected = if matches!(name, "fiseg" | "foseg") { Image::of(&before) } else { image };
        assert_eq!(after, expected, "{name}");
    }
}

#[test]
fn a_whole_image_is_taken_and_a_short_one_is_not() {
    let mut file = RegisterFile::default();
    file.general.r15 = 15;
    let mut packed = Vec::new();
    Image::of(&file).gdb_serialize(|byte| packed.extend(byte));
    let mut image = Image::default();
    image.gdb_deserialize(&packed).expect("it is whole");
    assert_eq!(image.applied_to(&RegisterFile::default()), file);
    assert_eq!(image.gdb_deserialize(&packed[1..]), Err(()));
    assert_eq!(Image::default().applied_to(&file), file, "an empty one changes nothing");
}
