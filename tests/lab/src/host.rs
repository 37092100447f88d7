//! One run: QEMU emulates the host, the host runs the program, and the results come back on a disk.
//!
//! Invariant: what the host has not written is missing from the results, never empty.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::archive::Archive;
use crate::built;
use crate::job::{Job, Run, What, comma};
use crate::judge::Boot;
use crate::kernel::Module;
use crate::packages::{PackageError, Store, which};
use crate::program;

/// What the host needs besides.
const HOST_SECONDS: u32 = 120;
/// Its memory, of which it uses what it touches; more for a guest that has more.
const HOST_MIB: u32 = 1536;
const RESULTS_BYTES: u64 = 64 << 20;
const LOOK: Duration = Duration::from_millis(100);
const HOST_INIT: &str = include_str!("../host/init");
const GUEST_INIT: &str = include_str!("../guests/init");
/// What each guest is told: nothing that takes an emulated processor long. The program adds a console and an end at a panic.
const TOLD: &str = "nokaslr mitigations=off";

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
        base(&mut archive, &busybox, HOST_INIT).map_err(failed(&path))?;
        let modules = kernel.with_needs(&["kvm-amd".to_owned()]).map_err(failed(&kernel.image))?;
        add_modules(&mut archive, &modules).map_err(failed(&kernel.image))?;
        program::pack(program, &mut archive)?;
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
        let disk = folder.join("disk");
        File::create(&disk).and_then(|file| file.set_len(RESULTS_BYTES)).map_err(failed(&disk))?;
        let initrd = folder.join("initrd");
        let mut bytes = self.base.clone();
        bytes.extend(self.job(run, store)?);
        fs::write(&initrd, bytes).map_err(failed(&initrd))?;
        let begun = Instant::now();
        let count = u32::try_from(run.job.boots).unwrap_or(u32::MAX);
        let limit = Duration::from_secs(u64::from(HOST_SECONDS + run.job.seconds.saturating_mul(count)));
        self.emulate(&folder, HOST_MIB.max(run.job.memory_mib + HOST_MIB / 2), limit)?;
        let seconds = begun.elapsed().as_secs();
        unpack(&disk, &folder).map_err(failed(&disk))?;
        for file in [&disk, &initrd] {
            fs::remove_file(file).map_err(failed(file))?;
        }
        Ok(Results {
            boots: (1..=run.job.boots).map(|number| boot(&folder, number)).collect(),
            seconds,
            folder,
        })
    }

    /// What the host finds at its root besides.
    fn job(&self, run: &Run<'_>, store: &Store) -> Result<Vec<u8>, PackageError> {
        let mut archive = Archive::default();
        let told = match run.what {
            What::Guest { release, script, told, unit } => {
                let kernel = store.kernel(release)?;
                let failed = failed(&kernel.image);
                archive.file("vmlinuz", &fs::read(&kernel.image).map_err(&failed)?).map_err(&failed)?;
                let modules = kernel.with_needs(&run.job.modules).map_err(&failed)?;
                let built = built::modules(store, release, &run.job.built)?;
                let programs = built::programs(&run.job.programs)?;
                let content = Content { script, modules: &modules, built: &built, programs: &programs };
                let initrd = guest(&self.busybox, &content).map_err(&failed)?;
                archive.file("initrd", &initrd).map_err(&failed)?;
                boot_command(run.job, told, unit)
            }
            What::Command(arguments) => {
                arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
            }
        };
        let failed = failed(store.folder());
        archive.file("job", script_of(run.job, &told).as_bytes()).map_err(&failed)?;
        archive.finish().map_err(&failed)
    }

    fn emulate(&self, folder: &Path, memory_mib: u32, limit: Duration) -> Result<(), PackageError> {
        let log = folder.join("host");
        let log_file = File::create(&log).map_err(failed(&log))?;
        let mut command = Command::new("qemu-system-x86_64");
        command.args([
            "-machine",
            "q35,mem-merge=off",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "EPYC,+svm,+npt",
        ]);
        command.args([
            "-smp",
            "2",
            "-m",
            &memory_mib.to_string(),
            "-nographic",
            "-nodefaults",
            "-no-reboot",
            "-serial",
            "stdio",
        ]);
        command.args([
            "-drive",
            "file=disk,if=none,id=results,format=raw",
            "-device",
            "nvme,drive=results,serial=lab",
        ]);
        command.arg("-kernel").arg(&self.image).args(["-initrd", "initrd", "-append"]);
        command.arg("console=ttyS0 panic=-1 quiet nokaslr mitigations=off");
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::from(log_file.try_clone().map_err(failed(&log))?));
        let child = command.stdout(Stdio::from(log_file)).spawn();
        let child = child
            .map_err(|error| PackageError::Command("qemu-system-x86_64".to_owned(), error.to_string()))?;
        wait(child, limit).map_err(failed(&log))
    }
}

/// Until it has ended, or has had its time; then its results are not there.
fn wait(mut child: Child, limit: Duration) -> io::Result<()> {
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn base(archive: &mut Archive, busybox: &[u8], init: &str) -> io::Result<()> {
    for folder in ["bin", "lib", "proc", "sys", "dev", "tmp"] {
        archive.folder(folder)?;
    }
    archive.file("bin/busybox", busybox)?;
    archive.link("bin/sh", "busybox")?;
    archive.file("init", init.as_bytes())
}

fn add_modules(archive: &mut Archive, modules: &[Module]) -> io::Result<()> {
    let mut list = String::new();
    for module in modules {
        archive.file(&format!("lib/{}.ko", module.name), &module.bytes)?;
        list.push_str(&format!("{}.ko\n", module.name));
    }
    archive.file("modules", list.as_bytes())
}

/// What a guest has besides busybox.
struct Content<'a> {
    script: &'a str,
    /// Loaded before the script.
    modules: &'a [Module],
    /// Loaded by it.
    built: &'a [Module],
    programs: &'a [(String, Vec<u8>)],
}

/// The guest's initial RAM disk.
fn guest(busybox: &[u8], content: &Content<'_>) -> io::Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(content.script);
    let script = fs::read(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    let mut archive = Archive::default();
    base(&mut archive, busybox, GUEST_INIT)?;
    archive.file("script", &script)?;
    add_modules(&mut archive, content.modules)?;
    for module in content.built {
        archive.file(&format!("lib/{}.ko", module.name), &module.bytes)?;
    }
    for (name, bytes) in content.programs {
        archive.file(&format!("bin/{name}"), bytes)?;
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&archive.finish()?)?;
    packed.finish()
}

fn boot_command(job: &Job, told: &str, unit: &str) -> String {
    let mut words = vec!["boot".to_owned(), "--kernel".to_owned(), "/vmlinuz".to_owned()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), quoted(&value)]);
    option("--initrd", "/initrd".to_owned());
    option("--memory", format!("{}M", job.memory_mib));
    option("--iommu", format!("vtd{}{unit}", comma(unit)));
    option("--timeout", job.seconds.to_string());
    option("--cmdline", format!("{TOLD} {told}"));
    words.extend(job.options.iter().map(|word| quoted(word)));
    words.join(" ")
}

/// What the host does: the program, as often as the job wants, each time with its results.
fn script_of(job: &Job, told: &str) -> String {
    let mut script: String = job.prepares.iter().map(|line| format!("{line}\n")).collect();
    if let Some(mib) = job.disk_mib {
        script.push_str(&format!("truncate -s {mib}M /disk\n"));
    }
    for number in 1..=job.boots {
        script.push_str(&format!(
            "/bin/afterimage {told} < /dev/null > /results/said.{number} 2> /results/reports.{number}\n\
             echo $? > /results/status.{number}\n"
        ));
    }
    script
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
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
    Boot { said: read("said"), reports: read("reports"), status }
}
