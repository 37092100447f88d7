//! What is asked for and cannot be, each with its one line.

use guest_images::bare::{BareImage, ElfWidth};

use super::{boot, file};
use crate::text;

#[test]
fn memory_that_the_host_does_not_have_is_refused_in_one_line() {
    let output = boot(&file("hello-memory", &BareImage::Hello.elf(ElfWidth::Bits32)), &["--memory", "1024G"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--memory 1048576M is more than this host has"), "{message}");
    assert!(message.ends_with("give less\n") && message.lines().count() == 1, "{message}");
}

#[test]
fn a_root_disk_without_a_root_is_refused_unless_the_line_names_one() {
    let mut disk = vec![0; 1 << 20];
    // One partition, of swap.
    disk[450] = 0x82;
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let disk = file("root-disk-of-swap", &disk);
    let (hello, path) = (file("hello-root", &BareImage::Hello.elf(ElfWidth::Bits32)), disk.to_str().unwrap());
    let output = boot(&hello, &["--root-disk", path]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    let expected =
        format!("--root-disk {path} has a partition table without a partition of Linux; say root=");
    assert!(message.contains(&expected) && message.lines().count() == 1, "{message}");
    let named = boot(&hello, &["--root-disk", path, "--cmdline", "root=/dev/nfs"]);
    assert!(!text(&named.stderr).contains("partition"), "{}", text(&named.stderr));
}
