//! One run: QEMU emulates the host, the host runs the program or QEMU in its place, and the results come back on a disk; or
//! QEMU runs the guest itself.
//!
//! Invariant: what the host has not written is missing from the results, never empty.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::archive::Archive;
use crate::emulator;
use crate::guest;
use crate::job::{Job, Machine, Run, What};
use crate::judge::Boot;
use crate::packages::{PackageError, Store, which};
use crate::program;

/// What the host needs besides.
const HOST_SECONDS: u32 = 120;
/// Its memory, of which it uses what it touches; more for a guest that has more.
const HOST_MIB: u32 = 1536;
const RESULTS_BYTES: u64 = 64 << 20;
const HOST_INIT: &str = include_str!("../host/init");

/// The host, and what all of its runs share.
pub(crate) struct Host {
    image: PathBuf,
    /// The initial RAM disk, to which a job is appended.
    base: Vec<u8>,
    busybox: Vec<u8>,
}

/// What came of a run.
pub(crate) struct Results {
    pub(crate) boots: Vec<Boot>,
    pub(crate) seconds: u64,
    /// How often the host had to be started.
    pub(crate) starts: usize,
    /// Where all of it is.
    pub(crate) folder: PathBuf,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> PackageError {
    let path = path.to_owned();
    move |error| PackageError::File(path.clone(), error)
}

impl Host {
    pub(crate) fn build(store: &Store, program: &Path) -> Result<Self, PackageError> {
        let kernel = store.host_kernel()?;
        let path =
            which("busybox").ok_or_else(|| PackageError::Tools(vec!["busybox"], vec!["busybox-static"]))?;
        let busybox = fs::read(&path).map_err(failed(&path))?;
        let mut archive = Archive::default();
        guest::base(&mut archive, &busybox, HOST_INIT).map_err(failed(&path))?;
        let modules = kernel.with_needs(&["kvm-amd".to_owned()]).map_err(failed(&kernel.image))?;
        guest::add_modules(&mut archive, &modules).map_err(failed(&kernel.image))?;
        program::pack(program, "afterimage", &mut archive)?;
        let base = archive.finish().map_err(failed(program))?;
        Ok(Self { image: kernel.image, base, busybox })
    }

    pub(crate) fn run(&self, run: &Run<'_>, store: &Store) -> Result<Results, PackageError> {
        let name: String =
            run.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let folder = store.folder().join("results").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let count = u32::try_from(run.job.boots).unwrap_or(u32::MAX);
        let limit = Duration::from_secs(u64::from(HOST_SECONDS + run.job.seconds.saturating_mul(count)));
        let begun = Instant::now();
        let starts = match run.what {
            What::Guest { machine: Machine::Qemu, .. } => {
                self.beside(run, store, &folder, limit).map(|()| 1)?
            }
            What::Guest { machine: Machine::Afterimage | Machine::QemuInHost, .. } | What::Command(_) => {
                self.inside(run, store, &folder, limit)?
            }
        };
        let seconds = begun.elapsed().as_secs();
        let boots = (1..=run.job.boots).map(|number| boot(&folder, number)).collect();
        Ok(Results { boots, seconds, starts, folder })
    }

    /// The host runs the program; how often the host had to be started.
    fn inside(
        &self,
        run: &Run<'_>,
        store: &Store,
        folder: &Path,
        limit: Duration,
    ) -> Result<usize, PackageError> {
        let disk = folder.join("disk");
        File::create(&disk).and_then(|file| file.set_len(RESULTS_BYTES)).map_err(failed(&disk))?;
        let initrd = folder.join("initrd");
        let mut bytes = self.base.clone();
        bytes.extend(self.job(run, store)?);
        fs::write(&initrd, bytes).map_err(failed(&initrd))?;
        let starts = self.emulate(folder, HOST_MIB.max(run.job.memory_mib + HOST_MIB / 2), limit)?;
        unpack(&disk, folder).map_err(failed(&disk))?;
        for file in [&disk, &initrd] {
            fs::remove_file(file).map_err(failed(file))?;
        }
        Ok(starts)
    }

    /// QEMU runs the guest itself, once, with its own unit and devices.
    fn beside(
        &self,
        run: &Run<'_>,
        store: &Store,
        folder: &Path,
        limit: Duration,
    ) -> Result<(), PackageError> {
        let What::Guest { release, script, told, unit, .. } = run.what else { return Ok(()) };
        let kernel = store.kernel(release)?;
        let initrd = guest::initrd(store, run.job, (release, &kernel), script, &self.busybox)?;
        let files = [folder.join("vmlinuz"), folder.join("initrd")];
        fs::copy(&kernel.image, &files[0]).map_err(failed(&files[0]))?;
        fs::write(&files[1], initrd).map_err(failed(&files[1]))?;
        let mut command = guest::qemu_command(run.job, told, unit);
        let status = emulator::run(&mut command, folder, ("said.1", "reports.1"), limit)?;
        if let Some(status) = status {
            let path = folder.join("status.1");
            fs::write(&path, status.to_string()).map_err(failed(&path))?;
        }
        for file in &files {
            fs::remove_file(file).map_err(failed(file))?;
        }
        Ok(())
    }

    /// What the host finds at its root besides.
    fn job(&self, run: &Run<'_>, store: &Store) -> Result<Vec<u8>, PackageError> {
        let mut archive = Archive::default();
        let told = match run.what {
            What::Guest { release, script, told, unit, machine } => {
                let kernel = store.kernel(release)?;
                let failed = failed(&kernel.image);
                archive.file("vmlinuz", &fs::read(&kernel.image).map_err(&failed)?).map_err(&failed)?;
                let initrd = guest::initrd(store, run.job, (release, &kernel), script, &self.busybox)?;
                archive.file("initrd", &initrd).map_err(&failed)?;
                if machine == Machine::QemuInHost {
                    program::pack_qemu(&mut archive)?;
                    guest::qemu_in_host_command(run.job, told, unit)
                } else {
                    format!("/bin/afterimage {}", guest::boot_command(run.job, told, unit))
                }
            }
            What::Command(arguments) => {
                let words: Vec<_> = arguments.iter().map(|argument| guest::quoted(argument)).collect();
                format!("/bin/afterimage {}", words.join(" "))
            }
        };
        let failed = failed(store.folder());
        archive.file("job", script_of(run.job, &told).as_bytes()).map_err(&failed)?;
        archive.finish().map_err(&failed)
    }

    fn emulate(&self, folder: &Path, memory_mib: u32, limit: Duration) -> Result<usize, PackageError> {
        let mut command = emulator::command(&memory_mib.to_string());
        command.args(["-machine", "q35,mem-merge=off", "-cpu", "EPYC,+svm,+npt", "-smp", "2"]);
        command.args(["-drive", "file=disk,if=none,id=results,format=raw"]);
        command.args(["-device", "nvme,drive=results,serial=lab"]);
        command.arg("-kernel").arg(&self.image);
        command.args(["-append", "console=ttyS0 panic=-1 quiet nokaslr mitigations=off no_timer_check"]);
        emulator::run_host(&mut command, folder, ("host", "emulator"), limit)
    }
}

/// What the host does: the program, as often as the job wants, each time with its results.
fn script_of(job: &Job, told: &str) -> String {
    let mut script: String = job.prepares.iter().map(|line| format!("{line}\n")).collect();
    if let Some(mib) = job.disk_mib {
        script.push_str(&format!("truncate -s {mib}M /disk\n"));
    }
    for number in 1..=job.boots {
        script.push_str(&format!(
            "{told} < /dev/null > /results/said.{number} 2> /results/reports.{number} &\npid=$!\n{}\
             wait $pid\necho $? > /results/status.{number}\n",
            job.idle_seconds.map(|seconds| measure_idle(number, seconds)).unwrap_or_default(),
        ));
    }
    script
}

/// What the host does while a guest idles: it counts what the program and its children take of the processors, in the
/// hundredths of a second of /proc/PID/stat, a vCPU's time among them.
fn measure_idle(number: usize, seconds: u32) -> String {
    let taken = "cat /proc/[0-9]*/stat | \
                 awk -v pid=$pid '$1 == pid || $4 == pid { taken += $14 + $15 } END { print taken }'";
    format!(
        "until grep -q 'LAB idles' /results/said.{number} || ! kill -0 $pid; do sleep 1; done\n\
         sleep 5\nbefore=$({taken}) from=$(cut -d' ' -f1 /proc/uptime)\nsleep {seconds}\n\
         after=$({taken}) to=$(cut -d' ' -f1 /proc/uptime)\n\
         kill -0 $pid && \
         echo \"LAB speed idle: $(((after - before) * 10)) ms of processor time from $from s to $to s\" \
         > /results/measured.{number}\n"
    )
}

/// The results, as far as they were written.
fn unpack(disk: &Path, folder: &Path) -> io::Result<()> {
    for entry in tar::Archive::new(File::open(disk)?).entries()? {
        let Ok(mut entry) = entry else { break };
        entry.unpack_in(folder)?;
    }
    Ok(())
}

fn boot(folder: &Path, number: usize) -> Boot {
    let read = |name: &str| {
        let bytes = fs::read(folder.join(format!("{name}.{number}"))).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let status = read("status").and_then(|text| text.trim().parse().ok());
    let measured = read("measured").unwrap_or_default();
    let said = read("said").map(|said| said + &measured);
    Boot { said, reports: read("reports"), status }
}
