//! What is read, and what is not.

use std::path::PathBuf;

use super::*;

fn file(name: &str, bytes: &[u8], len_bytes: u64) -> PathBuf {
    let path = std::env::temp_dir().join(format!("afterimage-image-{}-{name}", std::process::id()));
    let file = fs::File::create(&path).expect("there is a temporary folder");
    io::Write::write_all(&mut &file, bytes).expect("it takes some bytes");
    file.set_len(len_bytes).expect("a file may have holes");
    path
}

#[test]
fn what_does_not_begin_as_an_image_is_none() {
    let path = file("none", b"MZ", 1 << 20);
    let (status, told) = kernel(&path).expect_err("it is none");
    assert!(status == UNUSABLE && told.contains("is no image that boots here"), "{told}");
    fs::remove_file(path).expect("it was made");
}

#[test]
fn an_image_is_read_to_its_end_and_a_module_up_to_the_memory_of_the_guest() {
    let len_bytes = 300 << 10;
    let path = file("elf", b"\x7fELF", len_bytes);
    assert_eq!(kernel(&path).expect("it may be one").bytes.len() as u64, len_bytes);
    assert_eq!(module(&path, len_bytes).expect("it fits").bytes.len() as u64, len_bytes);
    let (status, told) = module(&path, len_bytes - 1).expect_err("it does not fit");
    assert!(status == UNUSABLE && told.contains("has more than the 307199 bytes"), "{told}");
    fs::remove_file(path).expect("it was made");
}

#[test]
fn a_file_that_grew_is_not_followed() {
    let path = file("grown", b"\x7fELF", 4096);
    let open = Open::of(&path).expect("it is a file");
    fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).expect("a hole");
    assert!(open.rest(10_000).is_err());
    fs::remove_file(path).expect("it was made");
}

#[test]
fn what_has_no_end_is_not_opened() {
    for path in ["/dev/zero", "/", "/dev/tty"] {
        let (status, told) = kernel(Path::new(path)).expect_err("it is no file");
        assert!(status == UNUSABLE && told.contains("is no file"), "{told}");
    }
}
