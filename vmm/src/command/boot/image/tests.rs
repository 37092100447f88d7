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
fn an_image_that_is_larger_than_any_memory_is_refused_before_it_is_read() {
    let path = file("huge", b"\x7fELF", MOST_IMAGE_BYTES + 1);
    let (status, told) = kernel(&path).map(|file| file.bytes.len()).expect_err("it is too large");
    assert!(status == UNUSABLE && told.contains("has more than the 3221225472 bytes"), "{told}");
    fs::remove_file(path).expect("it was made");
}

#[test]
fn of_what_is_too_large_by_its_length_nothing_is_read() {
    let path = file("long", b"\x7fELF", 4096);
    // A length that is no place for: whoever reserves it fails.
    let open = Open { len_bytes: 1 << 60, ..Open::of(&path).expect("it is a file") };
    let (status, told) = open.rest(1 << 59).map(|file| file.bytes.len()).expect_err("it is too large");
    assert_eq!(status, UNUSABLE, "{told}");
    fs::remove_file(path).expect("it was made");
}

#[test]
fn a_host_without_memory_for_a_file_is_the_hosts_fault() {
    let path = file("immense", b"\x7fELF", 4096);
    let open = Open { len_bytes: 1 << 60, ..Open::of(&path).expect("it is a file") };
    let (status, told) = open.rest(1 << 61).map(|file| file.bytes.len()).expect_err("there is no room");
    assert!(status == HOST && told.contains("give this program more memory"), "{told}");
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
