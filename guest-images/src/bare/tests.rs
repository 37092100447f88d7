//! The shape of the files.

use super::{BareImage, ElfWidth, LOAD_ADDRESS};

#[test]
fn the_header_stands_in_the_first_eight_kibibytes_and_the_entry_behind_it() {
    for image in [
        BareImage::Hello,
        BareImage::Edu,
        BareImage::Testdev,
        BareImage::Timers,
        BareImage::Hypercall,
        BareImage::Button,
        BareImage::Panic,
        BareImage::Reset,
        BareImage::TripleFault,
    ] {
        for (width, entry_at) in [(ElfWidth::Bits32, 24), (ElfWidth::Bits64, 24)] {
            let file = image.elf(width);
            let header = file.windows(4).position(|word| word == 0x1bad_b002_u32.to_le_bytes()).unwrap();
            assert!(header < 8192 - 12 && header.is_multiple_of(4));
            let entry = u32::from_le_bytes(file[entry_at..entry_at + 4].try_into().unwrap());
            assert_eq!(entry, LOAD_ADDRESS + 12);
        }
    }
}
