//! `afterimage boot` of images of our own, as its users meet it.
//!
//! Invariant: exit statuses and output are asserted, never times; every guest has a timeout.

mod level;
mod refused;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use guest_images::bare::{BareImage, ElfWidth, outs_text};
use serde_json::{Value, json};

use crate::{has_kvm, text};

/// A file of this test's own.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("the target folder can be written");
    path
}

fn boot(kernel: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--kernel"])
        .arg(kernel)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command was built")
}

/// The statuses of a guest that passed, of one that failed, and of a stale use.
const PASSED: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const STALE: Option<i32> = Some(4);

#[test]
fn an_image_of_either_width_drives_edu() {
    if !has_kvm() {
        return;
    }
    let through_unit = "interrupts through the unit\n";
    for (name, width, iommu, remapping) in
        [("edu32", ElfWidth::Bits32, "none", ""), ("edu64", ElfWidth::Bits64, "vtd", through_unit)]
    {
        let output = boot(&file(name, &BareImage::Edu.elf(width)), &["--device", "edu", "--iommu", iommu]);
        let expected = format!("edu driver\n{remapping}passed\n");
        assert_eq!(text(&output.stdout), expected, "{name}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), PASSED, "{name}");
    }
}

#[test]
fn a_string_is_put_out_whole_within_the_fence() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("outs", &BareImage::Outs.elf(ElfWidth::Bits32)), &[]);
    assert_eq!(output.status.code(), PASSED, "{}", text(&output.stderr));
    assert!(output.stdout == outs_text(), "{} bytes", output.stdout.len());
}

#[test]
fn every_protocol_starts_the_same_image() {
    if !has_kvm() {
        return;
    }
    let images = [
        ("hello32", BareImage::Hello.elf(ElfWidth::Bits32)),
        ("hello64", BareImage::Hello.elf(ElfWidth::Bits64)),
        ("hello-pvh", BareImage::Hello.pvh()),
        ("hello-bzimage", BareImage::Hello.bzimage()),
    ];
    for (name, image) in images {
        let output = boot(&file(name, &image), &["--cpus", "2", "--memory", "4M"]);
        assert_eq!(text(&output.stdout), "hello\n", "{name}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), PASSED, "{name}");
    }
}

#[test]
fn a_page_that_was_not_invalidated_is_still_used_until_it_is() {
    if !has_kvm() {
        return;
    }
    let image = file("testdev", &BareImage::Testdev.elf(ElfWidth::Bits32));
    let output = boot(&image, &["--device", "iommu-testdev"]);
    assert_eq!(text(&output.stdout), "iommu-testdev driver\npassed\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), PASSED);
    // Without caches nothing is stale, and the image's fourth check fails.
    let uncached = ["--device", "iommu-testdev", "--iommu", "vtd,caches=off"];
    let output = boot(&image, &uncached);
    assert_eq!(output.status.code(), FAILED, "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("the guest said 0x4 at the debug exit"), "{output:?}");
    // As tests that were written for the debug exit want it.
    let output = boot(&image, &[&uncached[..], &["--exit-code", "guest"]].concat());
    assert_eq!(output.status.code(), Some(4 << 1 | 1));
}

/// The image that rewrites an entry without an invalidation, on a bus with its device.
fn boot_testdev(name: &str, arguments: &[&str]) -> Output {
    let image = file(name, &BareImage::Testdev.elf(ElfWidth::Bits32));
    // The guest tells a stale use itself, before it invalidates.
    let unit = if arguments.contains(&"--iommu") { &[][..] } else { &["--iommu", "vtd,report=first-use"] };
    boot(&image, &[&["--device", "iommu-testdev"], unit, arguments].concat())
}

#[test]
fn a_stale_use_is_reported_with_the_invalidation_that_is_missing() {
    if !has_kvm() {
        return;
    }
    let output = boot_testdev("testdev-report", &[]);
    let report = text(&output.stderr);
    for expected in [
        "stale use: 00:01.0 wrote 0x0 through the IOTLB, reached 4K page 0x187000, where the tables have 4K page 0x188000",
        "no invalidation was received since",
        "would have helped:\n    IOTLB, domain 1, page 0x0, IH 1\n",
        "\nstale uses: 1\n",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert_eq!(output.status.code(), STALE, "although the guest passed");
}

#[test]
fn a_stale_use_is_reported_to_tools_as_one_object_a_line() {
    if !has_kvm() {
        return;
    }
    let output = boot_testdev("testdev-json", &["--stale-report", "json"]);
    let lines: Vec<Value> = text(&output.stderr)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is an object"))
        .collect();
    let [report, summary] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&report["event"], &report["source"]), (&json!("stale-use"), &json!("00:01.0")));
    assert_eq!((&report["cached"]["page"], &report["now"]["page"]), (&json!("0x187000"), &json!("0x188000")));
    assert_eq!(summary, &json!({ "event": "stale-uses", "count": 1, "changes_in_place": 0, "printed": 1 }));
}

#[test]
fn a_fatal_stale_use_ends_with_4_and_is_reported() {
    if !has_kvm() {
        return;
    }
    let output = boot_testdev("testdev-fatal", &["--stale-fatal"]);
    let report = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{report}");
    assert!(report.contains("stale use: 00:01.0 wrote 0x0"), "{report}");
    let output = boot_testdev("testdev-silent", &["--stale-fatal", "--stale-report", "off"]);
    let report = text(&output.stderr);
    assert_eq!((output.status.code(), report.contains("stale use:")), (Some(4), false), "{report}");
}

#[test]
fn without_a_stale_use_there_is_no_report() {
    if !has_kvm() {
        return;
    }
    let output = boot_testdev("testdev-uncached", &["--iommu", "vtd,caches=off", "--stale-fatal"]);
    assert!(text(&output.stderr).starts_with("stale uses: none\n"));
    assert_eq!(output.status.code(), FAILED, "the guest's own");
    let edu = file("edu-report", &BareImage::Edu.elf(ElfWidth::Bits32));
    let output = boot(&edu, &["--device", "edu", "--stale-fatal"]);
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("stale uses: none\n", PASSED));
    for quiet in [&["--iommu", "none"][..], &["--stale-report", "off"]] {
        let output = boot(&edu, &[&["--device", "edu"], quiet].concat());
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", PASSED), "{quiet:?}");
    }
}

#[test]
fn an_invalidation_that_a_knob_drops_is_in_the_report_of_what_it_left() {
    if !has_kvm() {
        return;
    }
    let summary = |output: &Output| {
        let told = text(&output.stderr);
        told.lines().find(|line| line.starts_with("stale uses: ")).unwrap_or_default().to_owned()
    };
    assert_eq!(summary(&boot_testdev("testdev-kept", &[])), "stale uses: 1", "before its invalidation");
    let output = boot_testdev("testdev-late", &["--iommu", "vtd"]);
    assert_eq!(summary(&output), "stale uses: none", "which came in time");
    let note = "note: 1 changed entries were used before their invalidation was complete; 1 were invalidated in time\n";
    assert!(text(&output.stderr).starts_with(note), "{output:?}");
    let output = boot_testdev("testdev-drop", &["--iommu", "vtd,drop=1,report=first-use"]);
    let report = text(&output.stderr);
    assert_eq!(summary(&output), "stale uses: 2", "and after it, which is a mistake of its own");
    assert_eq!(output.status.code(), STALE, "{report}");
    assert!(report.contains("the guest said 0x5"), "the page is stale after its invalidation: {report}");
    assert!(report.contains("IOTLB, domain 1, page 0x0, IH 0: not carried out"), "{report}");
}

#[test]
fn a_fatal_stale_use_ends_a_guest_that_would_wait_for_ever() {
    if !has_kvm() {
        return;
    }
    let held = ["--iommu", "vtd,hold-queue=0,report=first-use", "--stale-fatal"];
    let output = boot_testdev("testdev-held", &held);
    assert_eq!(text(&output.stdout), "iommu-testdev driver\n", "its wait never completes");
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{message}");
    assert!(!message.contains("time is over"), "{message}");
}

#[test]
fn of_a_guest_that_was_stopped_nobody_judges_what_it_may_yet_have_invalidated() {
    if !has_kvm() {
        return;
    }
    let image = file("testdev-stopped", &BareImage::Testdev.elf(ElfWidth::Bits32));
    let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "5", "--device", "iommu-testdev", "--kernel"])
        .arg(image)
        .args(["--iommu", "vtd,hold-queue=0,patience=3600s"])
        .stdin(Stdio::null())
        .output()
        .expect("the command was built");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{told}");
    assert!(told.contains("; 0 were invalidated in time, of 1 nobody can say\nstale uses: none\n"), "{told}");
}

#[test]
fn the_keys_of_the_unit_are_listed_without_a_kernel() {
    let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--iommu", "help"])
        .output()
        .expect("the command was built");
    let listed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(listed.contains("caches=off|never-evict") && listed.contains("drop=N"), "{listed}");
}

#[test]
fn the_serial_port_takes_more_input_than_its_buffer_holds() {
    if !has_kvm() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--kernel"])
        .arg(file("echo", &BareImage::Echo.elf(ElfWidth::Bits32)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command was built");
    // Ctrl-A x is no way out of a pipe.
    let input = format!("\u{1}x{}.", "0123456789".repeat(3000));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("the guest reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stdout), input);
    assert_eq!(output.status.code(), PASSED);
}

#[test]
fn a_guest_whose_time_is_over_ends_with_124() {
    if !has_kvm() {
        return;
    }
    // A jump to itself.
    let mut image = BareImage::Hello.elf(ElfWidth::Bits32);
    let entry = image.len() - BareImage::Hello.len_bytes() + 12;
    image[entry..entry + 2].copy_from_slice(&[0xeb, 0xfe]);
    let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "0.2", "--kernel"])
        .arg(file("endless", &image))
        .stdin(Stdio::null())
        .output()
        .expect("the command was built");
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
}

#[test]
fn without_its_device_the_image_ends_with_the_check_that_failed() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("edu-missing", &BareImage::Edu.elf(ElfWidth::Bits32)), &[]);
    assert_eq!(text(&output.stdout), "edu driver\nFAILED\n");
    assert_eq!(output.status.code(), FAILED);
}

#[test]
fn a_guest_that_breaks_down_ends_with_3_and_its_registers() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("triple-fault", &BareImage::TripleFault.elf(ElfWidth::Bits32)), &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("vCPU 0 cannot go on") && message.contains("cr0"), "{message}");
}

#[test]
fn a_jump_to_the_reset_vector_ends_with_6() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("reset", &BareImage::Reset.elf(ElfWidth::Bits32)), &[]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
}

#[test]
fn a_panic_that_is_told_ends_with_5_at_once() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("panic", &BareImage::Panic.elf(ElfWidth::Bits32)), &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(
        message.contains("its crash kernel goes on") && message.contains("the guest's kernel panicked"),
        "{message}"
    );
}

#[test]
fn a_kernel_can_calibrate_mask_and_be_interrupted_by_a_timer() {
    if !has_kvm() {
        return;
    }
    for iommu in ["none", "vtd"] {
        let output = boot(&file("timers", &BareImage::Timers.elf(ElfWidth::Bits32)), &["--iommu", iommu]);
        assert_eq!(output.status.code(), PASSED, "{iommu}: {}", text(&output.stderr));
    }
}

#[test]
fn a_hypercall_comes_back_or_is_an_invalid_opcode() {
    if !has_kvm() {
        return;
    }
    let output = boot(&file("hypercall", &BareImage::Hypercall.elf(ElfWidth::Bits32)), &[]);
    assert_eq!(output.status.code(), PASSED, "{}", text(&output.stderr));
}

#[test]
fn what_cannot_boot_is_said_in_one_line() {
    let edu = file("edu-usage", &BareImage::Edu.elf(ElfWidth::Bits32));
    let junk = file("junk", b"no image");
    let bzimage = file("bzimage-usage", &BareImage::Hello.bzimage());
    let edu_name = edu.to_str().expect("it is text");
    for (kernel, arguments, expected) in [
        (Path::new("no-such-file"), &[][..], "cannot read no-such-file"),
        (Path::new("/dev/zero"), &[], "is no file"),
        (&junk, &[], "no image that boots here"),
        (&edu, &["--initrd", "no-such-initrd"], "cannot read no-such-initrd"),
        (&edu, &["--module", "no-such-module,words"], "cannot read no-such-module:"),
        (&bzimage, &["--module", edu_name], "takes no module edu-usage; give --initrd"),
    ] {
        let output = boot(kernel, arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn wrong_usage_says_what_was_given_and_what_is_accepted() {
    let edu = file("edu-arguments", &BareImage::Edu.elf(ElfWidth::Bits32));
    for (arguments, expected) in [
        (&["--memory", "1M"][..], "from 2M to 1024G"),
        (&["--memory", "1025G"], "from 2M to 1024G"),
        (&["--cpus", "0"], "1..=64"),
        (&["--device", "floppy"], "no device `floppy`"),
        (&["--device", "edu,dma-mask=x"], "`dma-mask=x` is no option of edu"),
        (&["--device", "edu,speed=1"], "`speed=1` is no option of edu"),
        (&["--iommu", "smmu"], "no kind `smmu`"),
        (&["--stale-report", "loud"], "possible values: text, json, off"),
    ] {
        let output = boot(&edu, arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

/// A flat image with a header in front, whose addresses say where it goes.
fn flat(code: &[u8]) -> Vec<u8> {
    let (magic, flags, address) = (0x1bad_b002_u32, 1_u32 << 16, 0x10_0000_u32);
    let sum = 0_u32.wrapping_sub(magic).wrapping_sub(flags);
    let header = [magic, flags, sum, address, address, 0, 0, address + 32];
    header.iter().flat_map(|word| word.to_le_bytes()).chain(code.iter().copied()).collect()
}

#[test]
fn accesses_that_nobody_answers_are_told_once_to_whoever_asks() {
    if !has_kvm() {
        return;
    }
    // mov dx, 0x2e8; in al, dx; in al, dx; out dx, ax; mov eax, [0xd0000000]; mov [0xd0000000], ax; xor eax, eax;
    // out 0xf4, al; hlt
    let code = [
        0x66, 0xba, 0xe8, 0x02, 0xec, 0xec, 0x66, 0xef, 0xa1, 0, 0, 0, 0xd0, 0x66, 0xa3, 0, 0, 0, 0xd0, 0x31,
        0xc0, 0xe6, 0xf4, 0xf4,
    ];
    let image = file("unanswered", &flat(&code));
    let output = boot(&image, &["--log", "info"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), PASSED, "{told}");
    for line in [
        "in of 1 byte from port 0x2e8",
        "out of 2 bytes to port 0x2e8",
        "load of 4 bytes from 0xd0000000",
        "store of 2 bytes to 0xd0000000",
    ] {
        assert_eq!(told.matches(&format!("nobody answers: {line}\n")).count(), 1, "{line}: {told}");
    }
    assert_eq!(text(&boot(&image, &[]).stderr).matches("nobody answers").count(), 0);
}

/// `out` of 32 bits: mov dx, port; mov eax, value; out dx, eax.
fn out(port: u16, value: u32) -> Vec<u8> {
    let ([low, high], value) = (port.to_le_bytes(), value.to_le_bytes());
    [&[0x66, 0xba, low, high, 0xb8][..], &value, &[0xef]].concat()
}

/// xor eax, eax; out 0xf4, al; hlt.
const PASS: [u8; 5] = [0x31, 0xc0, 0xe6, 0xf4, 0xf4];

#[test]
fn a_bar_over_anything_that_goes_before_it_is_told() {
    if !has_kvm() {
        return;
    }
    let places = [
        (0, "memory"),
        (0xe000_0000, "the configuration space"),
        (0xfec0_0000, "the I/O APIC"),
        (0xfed0_0000, "the remapping unit"),
        (0xfee0_0000, "the local APICs"),
        (0xff00_0000, "the test device"),
    ];
    // 00:01.0 decodes memory; its BAR goes from place to place.
    let configure =
        |register: u32, value| [out(0xcf8, 1 << 31 | 1 << 11 | register), out(0xcfc, value)].concat();
    let moves = places.iter().flat_map(|(address, _)| configure(0x10, *address));
    let code: Vec<u8> = configure(4, 2).into_iter().chain(moves).chain(PASS).collect();
    let output = boot(&file("bars", &flat(&code)), &["--device", "edu"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), PASSED, "{told}");
    for (_, name) in places {
        let line = format!(" overlaps {name}, which decodes what they share\n");
        assert_eq!(told.matches(&line).count(), 1, "{name}: {told}");
    }
}

#[test]
fn where_both_sides_are_one_pipe_no_report_begins_inside_a_line() {
    if !has_kvm() {
        return;
    }
    // mov dx, 0x3f8; mov al, '>'; out dx, al: a prompt.
    let code = [&[0x66, 0xba, 0xf8, 0x03, 0xb0, b'>', 0xee][..], &PASS].concat();
    let (mut reader, writer) = std::io::pipe().expect("there are descriptors");
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--kernel"])
        .arg(file("prompt", &flat(&code)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("there are descriptors"))
        .stderr(writer)
        .spawn()
        .expect("the command was built");
    let mut shown = String::new();
    reader.read_to_string(&mut shown).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), PASSED);
    assert_eq!(shown, ">\nstale uses: none\n");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("a vector takes everything");
    packed.finish().expect("a vector takes everything")
}

#[test]
fn an_image_that_is_packed_is_unpacked_unless_that_is_more_than_memory() {
    if !has_kvm() {
        return;
    }
    let image = file("hello.gz", &gzip(&BareImage::Hello.elf(ElfWidth::Bits32)));
    let output = boot(&image, &[]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (PASSED, "hello\n"));
    let bomb = file("bomb.gz", &gzip(&vec![0; (2 << 20) + 1]));
    let output = boot(&bomb, &["--memory", "2M"]);
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("bomb.gz, unpacked, has more than the 2097152 bytes of memory"), "{told}");
}
