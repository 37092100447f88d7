//! `afterimage boot`: a guest that somebody else wrote, in a machine of its own.
//!
//! Invariant: what is asked for here is what [`run`] does; how a run ended is its exit status ([`status`]).

mod api;
mod device;
mod disk;
mod guest;
mod image;
mod journal;
mod net;
mod reports;
mod run;
mod screen;
mod socket;
mod status;
mod unit;

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use devices::virtio::console::UserEnd;
use guest_images::Guest;
use guest_images::layout::MAX_VCPUS;
use iommu::stale::watch::Watching;
use iommu::vtd::Vtd;
use log::LevelFilter;

use image::Refusal;
use journal::Journal;
use reports::{Format, Reports, Severity};
use screen::Screen;

use super::{UNUSABLE, size};
use crate::boot::{Module, Payload};
use crate::kvm::CpuFlags;
use crate::machine::options::{
    DeviceKind, IommuKind, MAX_MEMORY_BYTES, MIN_MEMORY_BYTES, MachineOptions, VirtioKind,
};
use crate::sandbox::{self, Sandbox};
pub(super) use run::run;
pub(super) use socket::keeper::{KeepSocketArguments, run as keep_socket};

/// What can be booted, and in what.
#[derive(Debug, Args)]
#[command(after_help = status::TABLE)]
#[command(group(ArgGroup::new("what").args(["kernel", "guest"]).required(true)))]
pub(super) struct BootArguments {
    /// The image: Multiboot 1 (ELF of 32 or 64 bits), an ELF file with a PVH note, or a Linux bzImage; also
    /// packed by gzip, Zstandard, xz or LZ4
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Instead of an image, a guest that comes with this program; `afterimage guests` lists them. It brings its own
    /// devices, unless --device names others, and what it needs of the unit, unless --iommu says otherwise, and is told
    /// what the unit caches
    #[arg(long, value_name = "NAME", value_parser = guest::parse)]
    guest: Option<Guest>,
    /// A file for it: Linux's initrd, otherwise its first module
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// A further module of a Multiboot or PVH image, and what stands behind its name
    #[arg(long = "module", value_name = "FILE[,TEXT]")]
    modules: Vec<String>,
    /// What it is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    cmdline: String,
    /// Memory, from 2M to 3G
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = memory)]
    memory: u64,
    /// Processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_VCPUS as i64))]
    cpus: u8,
    /// CPU flags that the guest is not told of, by the names of /proc/cpuinfo: -avx512f,-x2apic. What rests on a flag is
    /// masked only if it is named, too
    #[arg(long, value_name = "-FLAG,...", allow_hyphen_values = true)]
    cpu_flags: Option<CpuFlags>,
    /// What devices reach memory through: none, or vtd[,KEY=VALUE]...; `--iommu help` lists the keys: what the unit
    /// offers, how large its caches are, and what goes wrong in it
    #[arg(long, value_name = "KIND", default_value = "vtd", value_parser = unit::parse)]
    iommu: unit::Words,
    /// A device for the PCI bus: edu[,dma-mask=MASK], iommu-testdev, dma-engine[,ats=off][,pri=off][,pasid=off]
    #[arg(long = "device", value_name = "KIND", value_parser = device::parse)]
    devices: Vec<DeviceKind>,
    /// A disk (virtio-blk): an image, or a block device; `ro` lets nobody write, `serial=S` is what it calls itself. Several
    /// are numbered in their order
    #[arg(long = "disk", value_name = "FILE[,ro][,serial=S]", value_parser = disk::parse)]
    disks: Vec<disk::Words>,
    /// Entropy (virtio-rng)
    #[arg(long)]
    rng: bool,
    /// A console (virtio-console, Linux's hvc0): its output goes where the serial port's does, and keys go to it while its
    /// driver listens
    #[arg(long)]
    console: bool,
    /// A network interface (virtio-net): `tap=NAME`, a TAP interface of the host's, or `tap=fd:N`, one that is open;
    /// or `user`, a network of this program's own that needs no rights: TCP, ARP, echo, DHCP (10.0.2.15, gateway 10.0.2.2), no
    /// UDP, no names. `reach` says where its connections lead: to the host's loopback by the gateway (`host`), wherever
    /// the host reaches (`any`), nowhere (`none`)
    #[arg(long = "net", value_name = "user[,reach=WHERE]|tap=NAME|tap=fd:N[,mac=M]", value_parser = net::parse)]
    nets: Vec<net::Words>,
    /// How uses of stale translations are reported on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    stale_report: Format,
    /// Where else, as one object a line: a file, or a descriptor that is open already
    #[arg(long, value_name = "FILE|fd:N")]
    stale_report_file: Option<String>,
    /// The first stale use ends the guest
    #[arg(long)]
    stale_fatal: bool,
    /// The most seconds that the guest may take
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<f64>,
    /// The most seconds that the guest may take to power off when SIGTERM comes and it listens for ACPI's power button;
    /// 0 ends it at once, as one that does not listen
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_or_none)]
    power_off_limit: f64,
    /// What a guest's word at the debug exit means
    #[arg(long, value_name = "WHOSE", value_enum, default_value = "verdict")]
    exit_code: status::ExitCode,
    /// A Unix socket on which requests are answered while the guest runs, a line of JSON each: state, pause, resume,
    /// power-off, quit, stale, iommu; see docs/api.md
    #[arg(long, value_name = "PATH")]
    api_socket: Option<PathBuf>,
    /// What becomes of a system call that the program does not need; also whether it gives up privileges, paths and
    /// descriptors
    #[arg(long, value_name = "MODE", value_enum, default_value = "on")]
    sandbox: sandbox::Mode,
    /// What is told on standard error while it runs
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: LevelFilter,
}

/// A year is enough for anybody, and fits every clock.
const MAX_SECONDS: f64 = 31_536_000.0;

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size::bytes(text)?;
    let fits = (MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES).contains(&bytes) && bytes.is_multiple_of(1 << 20);
    if fits { Ok(bytes) } else { Err("give whole MiB from 2M to 3G".to_owned()) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let accepted = || format!("give seconds from 0.001 to {MAX_SECONDS}");
    let seconds: f64 = text.parse().map_err(|_| accepted())?;
    if (0.001..=MAX_SECONDS).contains(&seconds) { Ok(seconds) } else { Err(accepted()) }
}

fn seconds_or_none(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { seconds(text).map_err(|accepted| format!("{accepted}, or 0")) }
}

impl BootArguments {
    /// What is told on standard error.
    pub(super) fn log_level(&self) -> LevelFilter {
        self.log
    }

    fn payload(&self) -> Result<Payload, Refusal> {
        let wrong = |message| (UNUSABLE, message);
        let initrd = self.initrd.as_deref().map(|path| image::module(path, self.memory)).transpose()?;
        let modules = self.modules.iter().map(|text| module(text, self.memory)).collect::<Result<_, _>>()?;
        match (&self.kernel, self.guest) {
            (Some(kernel), _) => Ok(Payload {
                kernel: image::kernel(kernel)?,
                initrd,
                modules,
                command_line: self.cmdline.clone(),
            }),
            (None, Some(guest)) => {
                let iommu = self.iommu().map_err(wrong)?;
                Ok(guest::payload(guest, iommu, initrd, modules, &self.cmdline))
            }
            (None, None) => Err(wrong("nothing to boot; give --kernel or --guest".to_owned())),
        }
    }

    /// Those that were asked for, otherwise the guest's own.
    fn devices(&self) -> Result<Vec<DeviceKind>, String> {
        match self.guest {
            Some(guest) if self.devices.is_empty() => guest::devices(guest),
            _ => Ok(self.devices.clone()),
        }
    }

    fn options(
        &self,
        sandbox: Sandbox,
        screen: &Screen,
        nets: &[VirtioKind],
    ) -> Result<MachineOptions, String> {
        Ok(MachineOptions {
            memory_bytes: self.memory,
            processors: self.cpus,
            masked_cpu_flags: self.cpu_flags.clone().unwrap_or_default(),
            iommu: self.watched_iommu()?,
            devices: self.devices()?,
            virtio: self.virtio(screen, nets)?,
            sandbox,
        })
    }

    /// Behind the other devices: disks, which are opened now, then the rest.
    fn virtio(&self, screen: &Screen, nets: &[VirtioKind]) -> Result<Vec<VirtioKind>, String> {
        let mut found: Vec<_> = self
            .disks
            .iter()
            .map(|words| Ok(VirtioKind::Disk(Arc::new(words.open()?))))
            .collect::<Result<_, String>>()?;
        found.extend(self.rng.then_some(VirtioKind::Rng));
        found.extend(self.console.then(|| VirtioKind::Console(UserEnd::new(screen.guest_side()))));
        found.extend(nets.iter().cloned());
        Ok(found)
    }

    /// What the guest needs, and what the user adds or changes.
    fn iommu(&self) -> Result<IommuKind, String> {
        self.iommu.on_top_of(self.guest.map_or("", |guest| guest.unit))
    }

    /// What nobody wants to know of is not watched for.
    fn watched_iommu(&self) -> Result<IommuKind, String> {
        Ok(match self.iommu()? {
            IommuKind::Vtd(mut unit) if !self.is_watched() => {
                unit.vtd.stale.watching = Watching::Off;
                IommuKind::Vtd(unit)
            }
            other => other,
        })
    }

    fn is_watched(&self) -> bool {
        self.stale_report != Format::Off
            || self.stale_fatal
            || self.stale_report_file.is_some()
            || self.api_socket.is_some()
    }

    /// The file for tools, open, and what it is called.
    fn report_file(&self) -> Result<Option<(String, fs::File)>, String> {
        let Some(name) = &self.stale_report_file else { return Ok(None) };
        let mut how = fs::File::options();
        // Whoever opens a pipe that nobody reads would wait for a reader.
        how.custom_flags(libc::O_NONBLOCK);
        let opened = match name.strip_prefix("fd:").map(str::parse::<u16>) {
            None => how.write(true).create(true).truncate(true).open(name),
            Some(Ok(number)) => how.append(true).open(format!("/proc/self/fd/{number}")),
            Some(Err(_)) => return Err(format!("--stale-report-file {name}: give fd:N, such as fd:3")),
        };
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::ENXIO) => {
                format!("cannot write {name}: nobody reads the pipe; start its reader first")
            }
            _ => format!("cannot write {name}: {error}"),
        })?;
        Ok(Some((name.clone(), file)))
    }

    fn reports(&self, unit: Arc<Vtd>, screen: Arc<Screen>, journal: Option<Arc<Journal>>) -> Reports {
        let severity = if self.stale_fatal { Severity::Fatal } else { Severity::Reported };
        Reports::new(unit, self.stale_report, severity, screen).with_journal(journal)
    }
}

fn module(text: &str, memory_bytes: u64) -> Result<Module, Refusal> {
    let (file, told) = text.split_once(',').unwrap_or((text, ""));
    Ok(Module { file: image::module(Path::new(file), memory_bytes)?, command_line: told.to_owned() })
}
