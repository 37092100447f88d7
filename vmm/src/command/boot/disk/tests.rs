//! What is understood, and what is said of the rest.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process;

use devices::virtio::blk::disk::Access;

use super::{Words, parse};

/// A file of that length in the temporary folder, which goes with it.
struct Temporary(PathBuf);

impl Temporary {
    fn of(name: &str, len_bytes: u64) -> Self {
        let path = env::temp_dir().join(format!("afterimage-disk-{name}-{}", process::id()));
        File::create(&path).unwrap().set_len(len_bytes).unwrap();
        Self(path)
    }

    fn words(&self, options: &str) -> Words {
        parse(&format!("{}{options}", self.0.display())).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn every_option_of_a_disk_is_understood_and_nothing_else() {
    let disk = parse("disk.img,ro,serial=abc").unwrap();
    assert_eq!((disk.access, disk.serial.as_str()), (Access::ReadOnly, "abc"));
    assert_eq!(parse("disk.img").unwrap().access, Access::ReadWrite);
    for text in ["", ",ro", "disk.img,rw", "disk.img,"] {
        assert!(parse(text).unwrap_err().contains("FILE[,ro][,serial=S]"), "{text}");
    }
}

#[test]
fn a_file_has_its_sectors_and_its_name() {
    let file = Temporary::of("good", 3 * 512);
    let disk = file.words(",serial=abc").open().unwrap();
    assert_eq!((disk.sectors(), disk.access(), &disk.serial()[..4]), (3, Access::ReadWrite, &b"abc\0"[..]));
}

#[test]
fn a_disk_that_somebody_writes_is_nobody_elses() {
    let file = Temporary::of("locked", 512);
    let writer = file.words("").open().unwrap();
    for options in ["", ",ro"] {
        let refused = file.words(options).open().unwrap_err();
        assert!(
            refused.contains("is in use, by another guest or twice by this one; end the other"),
            "{refused}"
        );
    }
    drop(writer);
    let readers = [file.words(",ro").open().unwrap(), file.words(",ro").open().unwrap()];
    assert!(file.words("").open().is_err());
    drop(readers);
    file.words("").open().unwrap();
}

#[test]
fn what_is_no_disk_is_refused_in_a_line_that_says_what_to_do() {
    let (empty, odd) = (Temporary::of("empty", 0), Temporary::of("odd", 513));
    // Nobody may write it, not even root.
    let fixed = PathBuf::from("/sys/kernel/uevent_seqnum");
    let missing = env::temp_dir().join("afterimage-no-such-disk");
    for (text, expected) in [
        (missing.display().to_string(), "`truncate -s 1G FILE` makes an empty disk"),
        (env::temp_dir().display().to_string(), "is a folder; give a file"),
        ("/dev/null".to_owned(), "is no file and no block device"),
        (fixed.display().to_string(), "give it with `,ro`, or let it be written"),
        (empty.0.display().to_string(), "has 0 bytes, which is no disk; give it a multiple of 512"),
        (odd.0.display().to_string(), "has 513 bytes, which is no disk"),
        (format!("{},serial={}", odd.0.display(), "x".repeat(21)), "which is no disk"),
    ] {
        let refused = parse(&text).unwrap().open().unwrap_err();
        assert!(refused.contains(expected) && refused.lines().count() == 1, "{text}: {refused}");
    }
    let file = Temporary::of("serial", 512);
    let refused = file.words(&format!(",serial={}", "x".repeat(21))).open().unwrap_err();
    assert!(refused.contains("a serial number of 21 bytes; give 1 to 20"), "{refused}");
}
