//! Guests that do harm, under the fence that is the default: each ends as its kind says, in time, and costs the host
//! little.
//!
//! Invariant: what a kind does is in `guest-images/driver/src/hostile.rs`, by its name and a seed; a failure prints the
//! line that repeats it. No time is asserted but that the command ends.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use guest_images::bare::{BareImage, ElfWidth};

use crate::has_kvm;

/// As much as any machine takes.
const MINUTE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// The time of a guest that never ends, and of one that does: as much as any machine takes.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(55);
/// Of the guest, and what the program takes at most besides.
const MEMORY_KIB: u64 = 32 << 10;
const MOST_KIB: u64 = MEMORY_KIB + (100 << 10);
/// Bytes on standard error at most.
const MOST_TOLD: u64 = 4 << 20;

/// Statuses that are right: its time was over;
const ENDLESS: &[i32] = &[124];
/// or by chance an interrupt was an exception to it, or started a processor where no code is;
const BY_CHANCE: &[i32] = &[124, 1, 3];
/// or a device used what its tables no longer say.
const STALE: &[i32] = &[124, 1, 3, 4];

/// How a run went.
struct Run {
    status: Option<i32>,
    peak_kib: u64,
    overrun: Duration,
    told: String,
}

/// Runs `afterimage boot` with `arguments`, and looks at it.
fn run(name: &str, arguments: &[&str], timeout: Duration) -> Run {
    let path = format!("{}/hostile-{name}", env!("CARGO_TARGET_TMPDIR"));
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", &timeout.as_secs().to_string(), "--memory", "32M", "--cpus", "2"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&path).expect("the target folder can be written"))
        .spawn()
        .expect("the command was built");
    let (status, peak_kib) = wait(&mut child);
    let overrun = begun.elapsed().saturating_sub(timeout);
    let told = fs::read(path).expect("it was written");
    Run { status, peak_kib, overrun, told: String::from_utf8_lossy(&told).into_owned() }
}

/// Its status, none after a signal or a minute; and the most memory that it ever had.
fn wait(child: &mut Child) -> (Option<i32>, u64) {
    let (begun, mut peak_kib) = (Instant::now(), 0);
    while begun.elapsed() < MINUTE {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return (status.code(), peak_kib);
        }
        peak_kib = peak_kib.max(memory_kib(child.id()));
        sleep(LOOK);
    }
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    (None, peak_kib)
}

/// The high-water mark of a process; 0 when it has none any more.
fn memory_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

fn judge(name: &str, arguments: &[&str], statuses: &[i32]) {
    judge_within(SHORT, name, arguments, statuses);
}

fn judge_within(timeout: Duration, name: &str, arguments: &[&str], statuses: &[i32]) {
    let run = run(name, arguments, timeout);
    let Run { status, peak_kib, overrun, told } = &run;
    let line = format!(
        "{name}: status {status:?}, {peak_kib} KiB at most, {overrun:?} above its time, {} bytes told",
        told.len()
    );
    writeln!(std::io::stdout(), "{line}").expect("a test can be read");
    let start: String = told.chars().take(4000).collect();
    let context = format!("{line}\nafterimage boot {}\n{start}", arguments.join(" "));
    assert!(status.is_some_and(|status| statuses.contains(&status)), "not one of {statuses:?}: {context}");
    assert!(*peak_kib < MOST_KIB && (told.len() as u64) < MOST_TOLD, "{context}");
    for mistake in ["the sandbox", "panicked at", "which is a mistake"] {
        assert!(!told.contains(mistake), "{mistake}: {context}");
    }
}

/// One kind in front of two units: one of the default, and one behind which devices answer late.
fn kind(kind: &str, statuses: &[i32]) {
    // Whoever is not expected to be at work when his time is over may take any.
    let timeout = if statuses.contains(&124) { SHORT } else { LONG };
    for (seed, unit) in [(1, "vtd"), (2, "vtd,answers=late")] {
        let told = format!("run=hostile kind={kind} seed={seed}");
        let mut arguments = vec!["--guest", "vtd-driver", "--cmdline", &told, "--iommu", unit];
        arguments.extend(
            ["dma-engine", "dma-engine", "edu", "iommu-testdev"].iter().flat_map(|it| ["--device", it]),
        );
        judge_within(timeout, &format!("{kind}-{seed}"), &arguments, statuses);
    }
}

#[test]
fn no_port_does_harm() {
    if !has_kvm() {
        return;
    }
    for name in ["ports", "strings", "serial", "warnings", "timer"] {
        kind(name, ENDLESS);
    }
    kind("endings", &[0, 1, 5, 6]);
    let image = format!("{}/hostile-flood-image", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&image, BareImage::Flood.elf(ElfWidth::Bits32)).expect("the target folder can be written");
    judge("flood", &["--kernel", &image], ENDLESS);
}

#[test]
fn no_function_does_harm() {
    if !has_kvm() {
        return;
    }
    for name in ["configuration", "bars", "resets", "devices", "ring"] {
        kind(name, ENDLESS);
    }
    for name in ["messages", "lines", "storm", "local"] {
        kind(name, BY_CHANCE);
    }
}

#[test]
fn no_table_and_no_queue_does_harm() {
    if !has_kvm() {
        return;
    }
    for name in ["unit", "queue", "waits", "requests", "tables", "interrupt-entries", "anything"] {
        kind(name, STALE);
    }
    // Many reports, in words and for tools.
    for format in ["text", "json"] {
        let told = "run=workload bug=missing-flush rounds=20";
        let arguments = ["--guest", "vtd-driver", "--cmdline", told, "--stale-report", format];
        judge_within(LONG, &format!("reports-{format}"), &arguments, &[4]);
    }
}

#[test]
fn no_processor_does_harm() {
    if !has_kvm() {
        return;
    }
    for name in ["against", "halt"] {
        kind(name, ENDLESS);
    }
    for name in ["restart", "calls", "registers"] {
        kind(name, BY_CHANCE);
    }
    for name in ["others-fault", "gates"] {
        kind(name, &[3]);
    }
    // Where there is no code, some hosts see a fault and some an instruction that they cannot emulate.
    kind("elsewhere", &[1, 3]);
    kind("unmapped", &[1]);
}
