//! Guests that do harm, under the fence that is the default: each ends as its kind says, in time, and costs the host
//! little.
//!
//! Invariant: what a kind does is in `guest-images/driver/src/hostile.rs`, by its name and a seed; a failure prints the
//! line that repeats it. No time is asserted but that the command ends. A guest that does no harm fails: what shows that it
//! does is asked for, and a slow machine has more time until it shows.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use guest_images::bare::{BareImage, ElfWidth};

use crate::has_kvm;

/// As much as any machine takes.
const MINUTE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// The time of a guest that never ends, and of one that does: as much as any machine takes.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(55);
/// The times of a guest that never ends, until its harm shows.
const PATIENCE: [Duration; 3] = [SHORT, Duration::from_secs(7), LONG];
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

/// Of the guest's output what is kept.
const MOST_SAID: usize = 64 << 10;
/// Warnings, and accesses that nobody answers.
const MESSAGES: &str = "warn,vmm::machine::unanswered=info";

/// How a run went.
struct Run {
    status: Option<i32>,
    peak_kib: u64,
    overrun: Duration,
    told: String,
    /// The beginning of the guest's output, and how much there was.
    said: String,
    said_bytes: usize,
}

/// What shows that a guest does harm.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// There is a kind of that name.
    Begins,
    /// Words of the guest, which a device gave it reason to say.
    Says(&'static str),
    /// Words of the monitor.
    Tells(&'static str),
    /// An access of at least so many bytes that nobody answers.
    Unanswered(u64),
    /// So much output.
    Output(usize),
    /// So many bytes of memory that nobody has written to, one after the other.
    Zeroes(usize),
    /// So many lines of the monitor with these words, and no more.
    Lines(usize, &'static str),
}

use Sign::{Begins, Lines, Output, Says, Tells, Unanswered, Zeroes};

impl Run {
    fn shows(&self, sign: Sign) -> bool {
        match sign {
            Begins => self.said.starts_with("hostile: "),
            Says(words) => self.said.contains(words),
            Tells(words) => self.told.contains(words),
            Unanswered(bytes) => {
                let accesses = self
                    .told
                    .lines()
                    .filter_map(|line| line.split_once("nobody answers: ")?.1.split(' ').nth(2));
                accesses.filter_map(|count| count.parse::<u64>().ok()).any(|count| count >= bytes)
            }
            Output(bytes) => self.said_bytes >= bytes,
            Lines(count, words) => self.told.lines().filter(|line| line.contains(words)).count() == count,
            Zeroes(bytes) => self.said.contains(&"\0".repeat(bytes)),
        }
    }
}

/// Runs `afterimage boot` with `arguments`, and looks at it.
fn run(name: &str, arguments: &[&str], timeout: Duration) -> Run {
    let path = format!("{}/hostile-{name}", env!("CARGO_TARGET_TMPDIR"));
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", &timeout.as_secs().to_string(), "--memory", "32M", "--cpus", "2"])
        .args(arguments)
        .env("AFTERIMAGE_LOG", MESSAGES)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&path).expect("the target folder can be written"))
        .spawn()
        .expect("the command was built");
    let output = child.stdout.take().expect("it is piped");
    let listener = spawn(move || listen(output));
    let (status, peak_kib) = wait(&mut child);
    let overrun = begun.elapsed().saturating_sub(timeout);
    let told = fs::read(path).expect("it was written");
    let told = String::from_utf8_lossy(&told).into_owned();
    let (said, said_bytes) = listener.join().expect("output can be read");
    Run { status, peak_kib, overrun, told, said, said_bytes }
}

/// Takes in all output: its beginning, and how much it is.
fn listen(mut output: ChildStdout) -> (String, usize) {
    let (mut said, mut said_bytes, mut buffer) = (Vec::new(), 0, [0; 4096]);
    loop {
        match output.read(&mut buffer).expect("a pipe can be read") {
            0 => return (String::from_utf8_lossy(&said).into_owned(), said_bytes),
            read => {
                said_bytes += read;
                let kept = read.min(MOST_SAID - said.len());
                said.extend_from_slice(&buffer[..kept]);
            }
        }
    }
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

/// The high-water mark of a process in KiB; 0 when it has none any more.
fn memory_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// Arguments of a guest, and what it is called.
type Guest = (String, Vec<String>);

/// Runs guests, longer if not all of `signs` show in one or another of them, and asserts that they do.
fn judge(guests: &[Guest], statuses: &[i32], signs: &[Sign]) {
    // Whoever is not expected to be at work when his time is over may take any.
    let times = if statuses.contains(&124) { &PATIENCE[..] } else { &[LONG] };
    let mut missing = signs.to_vec();
    for timeout in times {
        for (name, arguments) in guests {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let run = judge_within(*timeout, name, &arguments, statuses);
            missing.retain(|sign| !run.shows(*sign));
        }
        if missing.is_empty() {
            return;
        }
        writeln!(std::io::stdout(), "after {timeout:?} there is no {missing:?}").expect("a test can be read");
    }
    panic!("no harm is done, there is no {missing:?}: {guests:?}");
}

fn judge_within(timeout: Duration, name: &str, arguments: &[&str], statuses: &[i32]) -> Run {
    let run = run(name, arguments, timeout);
    let Run { status, peak_kib, overrun, told, .. } = &run;
    let line = format!(
        "{name}: status {status:?}, {peak_kib} KiB at most, {overrun:?} above its time, {} bytes told",
        told.len()
    );
    writeln!(std::io::stdout(), "{line}").expect("a test can be read");
    let start: String = told.chars().take(4000).collect();
    let context = format!("{line}\nafterimage boot {}\n{start}", arguments.join(" "));
    assert!(status.is_some_and(|status| statuses.contains(&status)), "not one of {statuses:?}: {context}");
    assert!(*peak_kib < MOST_KIB && (told.len() as u64) < MOST_TOLD, "{context}");
    // One that ran as long as it may was looked at.
    assert!(*peak_kib > 0 || *status != Some(124), "nobody knows how much memory it had: {context}");
    for mistake in ["the sandbox", "panicked at", "which is a mistake"] {
        assert!(!told.contains(mistake), "{mistake}: {context}");
    }
    run
}

/// One kind in front of two units: one of the default, and one behind which devices answer late.
fn kind(kind: &str, statuses: &[i32], signs: &[Sign]) {
    let guest = |(seed, unit): (u32, &str)| {
        let told = format!("run=hostile kind={kind} seed={seed}");
        let devices =
            ["dma-engine", "dma-engine", "edu", "iommu-testdev"].iter().flat_map(|it| ["--device", it]);
        let arguments =
            ["--guest", "vtd-driver", "--cmdline", &told, "--iommu", unit].into_iter().chain(devices);
        (format!("{kind}-{seed}"), arguments.map(str::to_owned).collect())
    };
    let guests = [(1, "vtd"), (2, "vtd,answers=late")].map(guest);
    judge(&guests, statuses, &[&[Begins], signs].concat());
}

const IN: Sign = Tells("nobody answers: in of ");
const OUT: Sign = Tells("nobody answers: out of ");
/// More than what an instruction takes that has no count.
const STRING: Sign = Unanswered(16);
/// What no guest says.
const FLOOD: Sign = Output(1 << 10);
/// What processors write to that cannot say anything.
const BEACON: Sign = Tells("nobody answers: out of 1 byte to port 0xed\n");
const ANSWERED: Sign = Says("a load brought something\n");
const TAKEN: Sign = Says("a register took a store\n");
const TAKEN_FROM_PORT: Sign = Says("a register took a store to a port\n");
const RESET: Sign = Says("a reset put a register back\n");
const EXECUTED: Sign = Says("an engine executed a descriptor\n");
const HALTED: Sign = Says("an engine halted\n");
const INVALIDATED: Sign = Says("the unit carried a descriptor out\n");
const QUEUE_STOPPED: Sign = Says("the unit stopped the queue\n");
const WAITED: Sign = Says("the unit completed a wait\n");
const FAULTED: Sign = Says("the unit recorded a fault\n");
const INTERRUPTED: Sign = Says("an interrupt was taken\n");
/// Any of these.
const ANY: Sign = Says("\nhostile: ");
const AGAINST: Sign = Says("another processor stores too\n");

#[test]
fn no_port_does_harm() {
    if !has_kvm() {
        return;
    }
    kind("ports", ENDLESS, &[IN, OUT]);
    kind("strings", ENDLESS, &[OUT, STRING]);
    kind("serial", ENDLESS, &[Zeroes(200)]);
    kind("warnings", ENDLESS, &[Tells("more than 1000 warnings like the last")]);
    kind("timer", ENDLESS, &[INTERRUPTED]);
    kind("endings", &[0, 1, 5, 6], &[]);
    let image = format!("{}/hostile-flood-image", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&image, BareImage::Flood.elf(ElfWidth::Bits32)).expect("the target folder can be written");
    judge(&[("flood".to_owned(), vec!["--kernel".to_owned(), image])], ENDLESS, &[FLOOD]);
}

#[test]
fn no_function_does_harm() {
    if !has_kvm() {
        return;
    }
    kind("configuration", ENDLESS, &[ANSWERED, TAKEN, TAKEN_FROM_PORT]);
    kind("bars", ENDLESS, &[ANSWERED, TAKEN, Tells(" overlaps ")]);
    kind("resets", ENDLESS, &[RESET, TAKEN, EXECUTED, HALTED]);
    kind("devices", ENDLESS, &[ANSWERED, TAKEN]);
    kind("ring", ENDLESS, &[EXECUTED, HALTED]);
    kind("messages", BY_CHANCE, &[EXECUTED, HALTED, INTERRUPTED]);
    kind("lines", BY_CHANCE, &[INTERRUPTED]);
    kind("storm", BY_CHANCE, &[INTERRUPTED]);
    kind("local", BY_CHANCE, &[TAKEN, INTERRUPTED]);
}

#[test]
fn no_table_and_no_queue_does_harm() {
    if !has_kvm() {
        return;
    }
    kind("unit", STALE, &[TAKEN]);
    kind("queue", STALE, &[INVALIDATED, QUEUE_STOPPED]);
    kind("waits", STALE, &[INVALIDATED, WAITED]);
    kind("requests", STALE, &[INVALIDATED, FAULTED]);
    kind("tables", STALE, &[FAULTED, EXECUTED]);
    kind("interrupt-entries", STALE, &[FAULTED, EXECUTED]);
    kind("anything", STALE, &[ANY]);
    // Many reports, in words and for tools.
    for format in ["text", "json"] {
        let told = "run=workload bug=missing-flush rounds=20";
        let arguments = ["--guest", "vtd-driver", "--cmdline", told, "--stale-report", format];
        let guest = (format!("reports-{format}"), arguments.map(str::to_owned).to_vec());
        judge(&[guest], &[4], &[]);
    }
}

/// Each kind asserts its own sign, and that devices work after it: `guest-images/driver/src/virtio/hostile.rs`.
#[test]
fn no_ring_and_no_request_does_harm() {
    if !has_kvm() {
        return;
    }
    let disk = format!("{}/hostile-disk", env!("CARGO_TARGET_TMPDIR"));
    let length = 1 << 20;
    let guest = |(name, unit): (&str, &str)| {
        let file = File::create(&disk).and_then(|file| file.set_len(length));
        file.expect("the target folder can be written");
        let devices = ["--rng", "--console", "--net", "user", "--disk", &disk, "--iommu", unit];
        let told = ["--guest", "virtio", "--cmdline", "do=hostile"].into_iter().chain(devices);
        (format!("virtio-{name}"), told.map(str::to_owned).collect())
    };
    let guests = [("plain", "vtd"), ("late", "vtd,answers=late")].map(guest);
    // Devices say sixteen times what is wrong, and once that they say no more; the console puts out all that it is given.
    let signs = [
        Says("hostile: used-over-table\n"),
        Lines(16, "virtio-rng: the driver's ring is broken: "),
        Lines(1, "virtio-rng: more broken rings, which are not told"),
        Tells("virtio-blk: the driver's ring is broken: a chain has 4 GiB or more"),
        Tells("virtio-net: the driver's ring is broken: a request to send names an offload"),
        Tells("virtio-console: the driver's ring is broken: "),
        Lines(1, "stale uses: none"),
        Output(4 << 20),
    ];
    for guest in guests {
        judge(&[guest], &[0], &signs);
    }
    let bytes = fs::read(&disk).expect("it is there");
    assert!(bytes.len() as u64 == length && bytes.iter().all(|byte| *byte == 0), "the disk has changed");
}

#[test]
fn no_processor_does_harm() {
    if !has_kvm() {
        return;
    }
    kind("against", ENDLESS, &[AGAINST]);
    kind("halt", ENDLESS, &[BEACON]);
    kind("restart", BY_CHANCE, &[BEACON]);
    kind("calls", BY_CHANCE, &[BEACON]);
    kind("registers", BY_CHANCE, &[BEACON]);
    kind("others-fault", &[3], &[Tells("vCPU 1 cannot go on")]);
    kind("gates", &[3], &[Tells("vCPU 0 cannot go on")]);
    // Where there is no code, some hosts see a fault and some an instruction that they cannot emulate.
    kind("elsewhere", &[1, 3], &[]);
    kind("unmapped", &[1], &[Says("FAILED exception 1")]);
}
