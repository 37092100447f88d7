//! Each packing, whole, broken and too large.

use std::io::Write;

use super::*;

/// What `bytes` become by each packing that is unpacked.
fn packed(bytes: &[u8]) -> Vec<(Packing, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(bytes).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(bytes).unwrap();
    let zstandard = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    vec![
        (Packing::Gzip, gzip.finish().unwrap()),
        (Packing::Zstandard, zstandard),
        (Packing::Xz, xz.finish().unwrap()),
        (Packing::Lz4, lz4.finish().unwrap()),
    ]
}

fn unpacked(bytes: &[u8], packing: Packing, most_bytes: u64) -> Result<Vec<u8>, BootError> {
    unpack("it", bytes, packing, most_bytes).map(|file| file.bytes)
}

fn contents() -> Vec<u8> {
    (0..300_000_u32).flat_map(|word| (word / 7).to_le_bytes()).collect()
}

#[test]
fn what_was_packed_comes_back_and_may_fill_what_there_is() {
    let bytes = contents();
    for (packing, packed) in packed(&bytes) {
        assert_eq!(Packing::of(&packed), Some(packing));
        assert!(unpacked(&packed, packing, bytes.len() as u64).unwrap() == bytes, "{packing:?}");
    }
}

#[test]
fn several_streams_behind_each_other_are_one_image() {
    let bytes = contents();
    for (packing, packed) in packed(&bytes) {
        let twice = [packed.clone(), packed].concat();
        let found = unpacked(&twice, packing, 1 << 30).unwrap();
        assert!(found == [bytes.clone(), bytes.clone()].concat(), "{packing:?}: {}", found.len());
    }
}

#[test]
fn a_byte_too_many_is_refused_with_one_line_and_takes_no_more_memory() {
    let bytes = contents();
    let most_bytes = bytes.len() as u64 - 1;
    for (packing, packed) in packed(&bytes) {
        let told = unpacked(&packed, packing, most_bytes).unwrap_err().to_string();
        assert!(told.contains("give more --memory") && !told.contains('\n'), "{packing:?}: {told}");
    }
    let mut all = Vec::new();
    assert!(!read_behind(io::repeat(0), 5 << 20, &mut all).unwrap(), "it never ends");
    assert!(all.len() <= 5 << 20 && all.capacity() <= 5 << 20, "{}", all.capacity());
}

#[test]
fn whatever_is_broken_is_one_line() {
    let bytes = contents()[..1000].to_vec();
    for (packing, packed) in packed(&bytes) {
        for at in 0..packed.len() {
            let cut = unpacked(&packed[..at], packing, 1 << 20);
            // What is cut within LZ4's checksum at the end is whole.
            assert!(cut.is_err() || cut.is_ok_and(|found| found == bytes), "{packing:?} cut at {at}");
            for change in [0x01, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[at] ^= change;
                match unpacked(&changed, packing, 1 << 20) {
                    Ok(found) => assert!(found.len() <= 1 << 20),
                    Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
                }
            }
        }
    }
}

#[test]
fn a_dictionary_that_no_guest_needs_is_refused() {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut small = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    small.write_all(b"small").unwrap();
    let mut bytes = small.finish().unwrap();
    // The block header: its size, flags, LZMA2's id, one byte of properties, which is the size of the dictionary.
    assert_eq!(bytes[14..16], [0x21, 1]);
    bytes[16] = 40;
    let crc = flate2_crc(&bytes[12..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    let told = unpacked(&bytes, Packing::Xz, 1 << 20).unwrap_err().to_string();
    assert!(told.contains("memory"), "{told}");
}

fn flate2_crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn what_is_not_unpacked_says_how_to() {
    let told = unpacked(b"BZh91AY", Packing::Bzip2, 1 << 20).unwrap_err().to_string();
    assert_eq!(told, "it is a bzip2 file, which is not unpacked here; unpack it first: bunzip2 -k it");
}
