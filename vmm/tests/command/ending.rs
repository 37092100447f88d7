//! The end of a run, whatever its readers, its host and its users do: status and message.
//!
//! Invariant: no time is asserted but that the command ends; whoever would hang is killed in the end and fails.

mod power;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use guest_images::bare::{BareImage, ElfWidth};
use rustix::pipe::fcntl_setpipe_size;
use serde_json::Value;

use crate::{afterimage, has_kvm, text};

/// As much as any machine takes, however busy it is.
const PATIENCE: Duration = Duration::from_secs(300);

fn image(name: &str, image: BareImage) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, image.elf(ElfWidth::Bits32)).expect("the target folder can be written");
    path
}

/// Limits of time, in one of which a guest has done something: a busy machine lets it run late.
const IN_TIME: [&str; 3] = ["1", "8", "60"];

/// `afterimage boot` of a guest that writes for ever.
fn flood(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.args(["boot", "--kernel", &image(name, BareImage::Flood)]).args(arguments).stdin(Stdio::null());
    command
}

/// One that is soon full.
fn narrow_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    fcntl_setpipe_size(&writer, 4096).expect("a page is not too little");
    (reader, writer)
}

/// The status, of a command that nobody reads until it has ended.
fn status(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            assert_eq!(status.signal(), None);
            return status.code();
        }
        sleep(Duration::from_millis(5));
    }
    child.kill().expect("the child is ours");
    panic!("it does not end");
}

fn told(child: &mut Child) -> String {
    let mut told = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut told).expect("it is text");
    told
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_the_end_away() {
    if !has_kvm() {
        return;
    }
    let has_lost = IN_TIME.into_iter().any(|limit| {
        let (_reader, writer) = narrow_pipe();
        let mut child = flood("flood-unread", &["--timeout", limit])
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built");
        assert_eq!(status(&mut child), Some(124));
        let told = told(&mut child);
        told.contains("standard output: ") && told.contains(" bytes are lost")
    });
    assert!(has_lost, "nobody says that bytes are lost");
}

#[test]
fn nobody_reads_anything_and_the_run_ends() {
    if !has_kvm() {
        return;
    }
    let (_reader, writer) = narrow_pipe();
    let mut child = flood("flood-mute", &["--timeout", "3"])
        .stdout(writer.try_clone().expect("there are descriptors"))
        .stderr(writer)
        .spawn()
        .expect("the command was built");
    assert_eq!(status(&mut child), Some(124));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_with_141() {
    if !has_kvm() {
        return;
    }
    let mut child = flood("flood-left", &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut some = [0; 1000];
    let mut reader = child.stdout.take().expect("it is piped");
    reader.read_exact(&mut some).expect("the guest writes");
    drop(reader);
    assert_eq!(status(&mut child), Some(141));
    let told = told(&mut child);
    assert!(told.contains("whoever read it has gone away"), "{told}");
}

#[test]
fn a_disk_that_is_full_ends_every_command_with_7() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    for arguments in that_say_something() {
        let output = afterimage_into(&arguments, full().into());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{arguments:?}: {told}");
        assert!(told.contains("standard output cannot be written"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_reader_that_is_gone_ends_every_command_with_141() {
    for arguments in that_say_something() {
        let (reader, writer) = std::io::pipe().expect("there are descriptors");
        drop(reader);
        let output = afterimage_into(&arguments, writer.into());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    }
}

fn afterimage_into(arguments: &[&str], stdout: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .output()
        .expect("the command was built")
}

/// Commands of every kind, with as little to do as there can be.
fn that_say_something() -> Vec<Vec<&'static str>> {
    let scenario = "../tests/scenarios/cow";
    let broken = "../tests/scenarios/litmus/store-buffers.scn";
    let minimize = ["minimize", "../tests/scenarios/zap/madv-dontneed.scn", "--agent", "T0"];
    let demo = ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush", "--seconds", "0.1"];
    let mut commands = vec![
        vec!["--help"],
        vec!["--version"],
        vec!["boot", "--help"],
        vec!["help", "check"],
        vec!["boot", "--guest", "hello", "--iommu", "help"],
        vec!["zoo"],
        vec!["zoo", "--json"],
        vec!["steps"],
        vec!["guests"],
        vec!["check", scenario],
        vec!["check", "--json", scenario],
        vec!["check", "--format", "github", scenario],
        vec!["check", "--format", "junit", scenario],
        vec!["check", "--format", "sarif", scenario],
        vec!["check", "--format", "tap", scenario],
        vec!["check", "--format", "markdown", scenario],
        vec!["check", "--quiet", scenario],
        vec!["explain"],
        vec!["explain", "AI0012"],
        vec!["new", "cow", "-"],
        vec!["race", broken, "--rounds", "1"],
        vec!["race", broken, "--rounds", "1", "--json"],
        vec!["replay", broken],
        minimize.to_vec(),
        [&minimize[..], &["--json"]].concat(),
        demo.to_vec(),
        [&demo[..], &["--json"]].concat(),
    ];
    if has_kvm() {
        commands.push(vec!["boot", "--guest", "hello"]);
    }
    commands
}

#[test]
fn reports_that_cannot_be_written_end_the_guest_with_7() {
    if !has_kvm() {
        return;
    }
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    let told = "run=workload bug=missing-flush rounds=1000000000";
    let to_file: &[&str] = &["--stale-report", "off", "--stale-report-file", "/dev/full"];
    for (arguments, errors) in [(&[][..], full().into()), (to_file, Stdio::null())] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["boot", "--guest", "vtd-driver", "--cmdline", told])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("the command was built");
        assert_eq!(status(&mut child), Some(7), "{arguments:?}");
    }
}

/// The guest says nothing, and what is said of it cannot be written.
#[test]
fn output_that_fails_at_the_end_changes_no_status_but_0() {
    if !has_kvm() {
        return;
    }
    for (name, kind, expected) in [
        ("breaks", BareImage::TripleFault, 3),
        ("restarts", BareImage::Reset, 6),
        ("ends", BareImage::Hello, 7),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["boot", "--timeout", "60", "--kernel", &image(&format!("unsaid-{name}"), kind)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().write(true).open("/dev/full").expect("Linux has it"))
            .spawn()
            .expect("the command was built");
        assert_eq!(status(&mut child), Some(expected), "{name}");
    }
}

#[test]
fn a_signal_ends_the_run_in_order() {
    if !has_kvm() {
        return;
    }
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3)] {
        let mut child = flood(&format!("flood-{signal}"), &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built");
        // The guest runs.
        let mut some = [0; 10];
        child.stdout.as_mut().expect("it is piped").read_exact(&mut some).expect("the guest writes");
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("there is kill(1)");
        assert!(sent.success());
        assert_eq!(status(&mut child), Some(128 + number), "{signal}");
        let told = told(&mut child);
        assert!(told.contains("stale uses: none\n"), "{signal}: {told}");
        assert_eq!(told.contains("vCPU 0 stopped at rip 0x1010"), signal == "QUIT", "{signal}: {told}");
    }
}

#[test]
fn where_a_guest_was_whose_time_was_over_is_told() {
    if !has_kvm() {
        return;
    }
    let is_told = IN_TIME.into_iter().any(|limit| {
        let output = flood("flood-late", &["--timeout", limit, "--cpus", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .expect("the command was built");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(124), "{told}");
        told.contains("vCPU 0 stopped at rip 0x1010") && told.contains("vCPU 1 stopped")
    });
    assert!(is_told, "nobody says where it was");
}

#[test]
fn input_that_is_over_hangs_up() {
    if !has_kvm() {
        return;
    }
    // A pipe, a file and nothing at all.
    let output = afterimage(&["boot", "--timeout", "60", "--guest", "echo"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    let path = format!("{}/echo-input", env!("CARGO_TARGET_TMPDIR"));
    let input = "0123456789".repeat(100);
    std::fs::write(&path, &input).expect("the target folder can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--guest", "echo"])
        .stdin(File::open(&path).expect("it was written"))
        .output()
        .expect("the command was built");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), input));
}

#[test]
fn a_file_of_reports_has_objects_and_nothing_else() {
    if !has_kvm() {
        return;
    }
    let path = format!("{}/reports.json", env!("CARGO_TARGET_TMPDIR"));
    let output = afterimage(&[
        "boot",
        "--guest",
        "vtd-bug-missing-flush",
        "--stale-report-file",
        &path,
        "--stale-report",
        "off",
    ]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(4), ""));
    let written = std::fs::read_to_string(&path).expect("it was written");
    let objects: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect();
    assert!(objects.iter().any(|object| object["event"] == "stale-use"), "{written}");
    assert_eq!(objects.last().expect("there is a summary")["event"], "stale-uses");
    // Nobody reads this one, and nobody waits until somebody does.
    let pipe = format!("{}/reports-pipe-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let made = Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo(1)");
    assert!(made.success());
    for wrong in ["fd:x", "/no/such/folder/file", &pipe] {
        let output = afterimage(&["boot", "--guest", "hello", "--stale-report-file", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert_eq!(text(&output.stderr).contains("start its reader first"), wrong == pipe, "{output:?}");
    }
}

#[test]
fn a_file_that_may_grow_no_more_ends_the_run_with_7() {
    if !has_kvm() {
        return;
    }
    // More than the machine's memory, which is a file, too; in units of 1024 bytes.
    let script = "ulimit -f 8192; exec \"$0\" boot --memory 4M --timeout 60 --kernel \"$1\" >> \"$2\"";
    let path = format!("{}/limited", env!("CARGO_TARGET_TMPDIR"));
    File::create(&path)
        .and_then(|file| file.set_len((8 << 20) - 100))
        .expect("the target folder can be written");
    let output = Command::new("bash")
        .args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_afterimage"),
            &image("flood-limited", BareImage::Flood),
            &path,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("standard output cannot be written: file too large"), "{told}");
}

/// The command below a limit of its shell's: status, and what it said on standard error.
fn limited(limit: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("bash")
        .args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_afterimage")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("there is bash");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_host_that_has_too_little_is_one_line_with_what_to_do_and_status_7() {
    if !has_kvm() {
        return;
    }
    let hello = ["boot", "--guest", "hello"];
    let wide = ["boot", "--guest", "hello", "--memory", "2M", "--iommu", "vtd,device-tlb=1048576"];
    let devices = ["--device", "edu"].repeat(25);
    let demo = ["demo", "--cpu", "software", "--operation", "cow", "--seconds", "0.1"];
    for (limit, arguments, what) in [
        ("-v 100000", &hello[..], "physical memory: Cannot allocate memory (os error 12); ask for less"),
        ("-v 400000", &[&wide[..], &devices].concat(), "for a translation cache: Cannot allocate memory"),
        ("-f 1000", &hello, "physical memory: File too large (os error 27); ask for less"),
        ("-f 1000", &demo, "physical memory: File too large (os error 27); ask for less"),
    ] {
        let (status, told) = limited(limit, arguments);
        assert_eq!((status, told.lines().count()), (Some(7), 1), "{limit}: {told}");
        assert!(told.contains(what), "{limit}: {told}");
    }
}

/// Whichever descriptor is the first that the host refuses.
#[test]
fn a_host_that_has_too_few_descriptors_says_so_and_with_enough_the_guest_runs() {
    if !has_kvm() {
        return;
    }
    const MOST: u32 = 32;
    let too_few = "Too many open files (os error 24); raise `ulimit -n`";
    for descriptors in 4..=MOST {
        let (status, told) = limited(&format!("-n {descriptors}"), &["boot", "--guest", "hello"]);
        match status {
            Some(0) => assert_eq!(told, "stale uses: none\n", "{descriptors}"),
            Some(7) => assert!(
                !told.is_empty()
                    && told.lines().all(|line| line.starts_with("afterimage: ") && line.ends_with(too_few)),
                "{descriptors}: {told}"
            ),
            other => panic!("{descriptors}: {other:?} {told}"),
        }
        // Three are the standard streams, and each of the two that are written to is held twice.
        if descriptors == 4 {
            assert_eq!((status, told.lines().count()), (Some(7), 1), "{told}");
        }
        if descriptors == MOST {
            assert_eq!(status, Some(0), "{told}");
        }
    }
}

#[test]
fn of_a_file_that_is_no_image_its_head_is_read_and_no_more() {
    let path = format!("{}/no-image", env!("CARGO_TARGET_TMPDIR"));
    let file = File::create(&path).expect("the target folder can be written");
    file.set_len(2900 << 20).expect("a file may have holes");
    let (status, told) = limited("-v 400000", &["boot", "--kernel", &path]);
    assert_eq!((status, told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("no-image is no image that boots here"), "{told}");
    std::fs::remove_file(path).expect("it was made");
}

#[test]
fn a_picture_of_stale_uses_that_cannot_be_written_is_told_and_no_verdict_hides_it() {
    if !has_kvm() {
        return;
    }
    for (guest, kept) in [("testdev", "stale use: "), ("hello", "stale uses: none")] {
        let output = afterimage(&["boot", "--guest", guest, "--timeout", "60", "--html", "/dev/full"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{guest}: {told}");
        assert!(
            told.contains(kept) && told.matches("/dev/full cannot be written").count() == 1,
            "{guest}: {told}"
        );
    }
}
