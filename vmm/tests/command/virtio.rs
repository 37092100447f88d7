//! virtio devices of `afterimage boot`, by a driver behind the unit, inside the fence.
//!
//! Invariant: no time is asserted; counts and contents are.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

use crate::disk::{disk, plain, words};
use crate::{afterimage, has_kvm, text};

fn boot(arguments: &[&str]) -> Output {
    afterimage(&[&["boot", "--timeout", "60", "--guest", "virtio"], arguments].concat())
}

#[test]
fn a_right_driver_is_served_and_has_no_report() {
    if !has_kvm() {
        return;
    }
    let disk = disk("right", 256);
    for unit in
        ["vtd", "vtd,report=first-use", "vtd,caching-mode=on", "vtd,caches=off", "vtd,caches=never-evict"]
    {
        let output = boot(&["--rng", "--disk", plain(&disk), "--iommu", unit]);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{unit}: {told}{}", text(&output.stderr));
        assert_eq!(
            told, "entropy: 64 requests\ndisk: 2048 sectors\ndisk: 32 pages moved\npassed\n",
            "{unit}"
        );
        assert_eq!(text(&output.stderr), "stale uses: none\n", "{unit}");
    }
    let file = File::open(&disk).expect("it is there");
    assert!((0..32).all(|page| words(&file, page)[0] == page + 1), "what was written is in the file");
}

/// How often a processor left the guest for a doorbell, and whether the run was right.
fn exits_for_doorbells(name: &str, arguments: &[&str]) -> u64 {
    let disk = disk(name, 256);
    let output = boot(&[&["--disk", plain(&disk), "--log", "info"], arguments].concat());
    let (told, lines) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(told, "disk: 2048 sectors\ndisk: 32 pages moved\npassed\n", "{lines}");
    assert!(lines.contains("stale uses: none"), "{lines}");
    let counted = lines.lines().find_map(|line| {
        line.split_once(" stores to its doorbells were exits")?.0.rsplit(' ').next()?.parse().ok()
    });
    counted.unwrap_or_else(|| panic!("no count in {lines}"))
}

#[test]
fn a_doorbell_is_rung_without_leaving_the_guest_unless_a_trace_is_to_show_it() {
    if !has_kvm() {
        return;
    }
    // 32 pages are written, flushed and read, and 32 more are read.
    let trace = format!("{}/doorbells.json", env!("CARGO_TARGET_TMPDIR"));
    assert_eq!(exits_for_doorbells("rung-by-exits", &["--trace", &trace]), 128);
    assert_eq!(exits_for_doorbells("rung-by-kvm", &[]), 0);
    assert_eq!(exits_for_doorbells("rung-behind-a-port", &["--root-ports"]), 0);
}

#[test]
fn a_page_that_moves_under_a_disk_without_an_invalidation_is_reported() {
    if !has_kvm() {
        return;
    }
    let disk = disk("stale", 256);
    let output = boot(&["--disk", plain(&disk), "--cmdline", "bug=missing-flush"]);
    let (told, reports) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(4), "{told}{reports}");
    // The sector went to the page that was there before.
    assert!(told.contains("disk: [2, 0] after a page moved"), "{told}");
    for part in [
        "stale use: 00:01.0 wrote 0x140000000 through the IOTLB",
        "mistake: nothing was invalidated for the page",
        "stale uses: 1\n",
    ] {
        assert!(reports.contains(part), "no `{part}` in {reports}");
    }
}

#[test]
fn each_ring_that_is_none_breaks_its_device_with_one_line_and_nothing_else() {
    if !has_kvm() {
        return;
    }
    let output = boot(&["--rng", "--cmdline", "do=broken"]);
    let (told, lines) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}{lines}");
    assert!(told.contains("passed: 14 kinds"), "{told}");
    let broken: Vec<_> =
        lines.lines().filter(|line| line.contains("the driver's ring is broken: ")).collect();
    assert_eq!((broken.len(), lines.lines().count()), (14, 15), "one each, and the summary: {lines}");
}

#[test]
fn what_cannot_be_a_disk_is_wrong_usage_in_one_line_that_says_what_to_do() {
    if !has_kvm() {
        return;
    }
    let disk = disk("twice", 1);
    let missing = format!("{}/no-such-disk", env!("CARGO_TARGET_TMPDIR"));
    let twice = ["--disk", plain(&disk)];
    for (arguments, expected) in [
        (vec!["--disk", &missing], "`truncate -s 1G FILE` makes an empty disk"),
        (vec!["--disk", env!("CARGO_TARGET_TMPDIR")], "is a folder; give a file"),
        (vec!["--disk", "/dev/null"], "is no file and no block device"),
        ([twice, twice].concat(), "is in use, by another guest or twice by this one"),
    ] {
        let output = boot(&arguments);
        let told = text(&output.stderr);
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{arguments:?}: {told}");
        assert!(told.starts_with("afterimage: ") && told.contains(expected), "{arguments:?}: {told}");
    }
    let reader = format!("{},ro", plain(&disk));
    let many: Vec<&str> = (0..40).flat_map(|_| ["--disk", &reader]).collect();
    let output = boot(&many);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("room for 32 devices and no more; give fewer"), "{told}");
}

#[test]
fn a_disk_in_use_is_nobody_elses() {
    if !has_kvm() {
        return;
    }
    let disk = disk("in-use", 8);
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args([
            "boot",
            "--timeout",
            "120",
            "--guest",
            "virtio",
            "--cmdline",
            "do=writes",
            "--disk",
            plain(&disk),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command was built");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    output.read_line(&mut String::new()).expect("it is text");
    let refused = boot(&["--disk", plain(&disk)]);
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("is in use"), "{}", text(&refused.stderr));
    // The lock goes with the program that had it, however that ended; this disk is too small for what is done with it then.
    let next = boot(&["--disk", plain(&disk)]);
    assert!(!text(&next.stderr).contains("is in use"), "{}", text(&next.stderr));
}

#[test]
fn what_is_typed_goes_to_the_console_that_listens() {
    if !has_kvm() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "120", "--guest", "virtio", "--cmdline", "do=console", "--console"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut told = String::new();
    output.read_line(&mut told).expect("it is text");
    let mut typed = child.stdin.take().expect("it is piped");
    typed.write_all(b"typed by the user\n").expect("somebody reads");
    output.read_to_string(&mut told).expect("it is text");
    let ended = child.wait_with_output().expect("the child is ours");
    assert_eq!(told, "console: listening\ntyped by the user\nconsole: 18 bytes\n");
    assert_eq!((ended.status.code(), text(&ended.stderr).as_str()), (Some(0), "stale uses: none\n"));
}

/// A host whose limit of files, 40 MiB, is lower than the disk is long.
#[test]
fn an_error_of_the_host_is_an_error_of_the_disk_and_one_line() {
    if !has_kvm() {
        return;
    }
    let disk = disk("limited", 16384);
    let limit = "ulimit -f 81920; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limit, env!("CARGO_BIN_EXE_afterimage"), "boot", "--timeout", "60", "--guest", "virtio"])
        .args(["--memory", "32M", "--cmdline", "do=writes from=12000", "--disk", plain(&disk)])
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    let (told, lines) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}{lines}");
    assert!(told.contains("ends with status 1"), "the driver is told: {told}");
    let said: Vec<_> =
        lines.lines().filter(|line| line.contains("a write fails, and the guest is told: ")).collect();
    assert!(said.len() == 1 && said[0].ends_with("raise `ulimit -f`"), "{lines}");
}
