//! `afterimage boot`: a guest that somebody else wrote, in a machine of its own.
//!
//! Invariant: what is asked for here is what [`run`] does; how a run ended is its exit status ([`status`]).

mod api;
mod device;
mod disk;
mod gdb;
mod guest;
mod image;
mod journal;
mod net;
mod page;
mod reports;
mod run;
mod screen;
mod socket;
mod status;
mod unit;
mod vsock;

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use devices::virtio::blk::disk::Access;
use devices::virtio::console::UserEnd;
use guest_images::Guest;
use guest_images::layout::MAX_VCPUS;
use iommu::stale::watch::Watching;
use iommu::vtd::Vtd;
use log::LevelFilter;
use rustix::system::sysinfo;

use disk::Root;
use image::Refusal;
use journal::Journal;
use reports::{Format, Reports, Severity};
use screen::Screen;

use super::apart::apart;
use super::pictures::{Drawing, PictureArguments, unwritable};
use super::trace::TraceArguments;
use super::{UNUSABLE, size};
use crate::boot::told::{self, Told};
use crate::boot::{Module, Payload};
use crate::kvm::CpuFlags;
use crate::machine::options::{
    Debugger, DeviceKind, IommuKind, MAX_MEMORY_BYTES, MIN_MEMORY_BYTES, MachineOptions, Placement,
    VirtioKind,
};
use crate::machine::tracer::Tracer;
use crate::sandbox::{self, Sandbox};
pub(super) use run::run;
pub(super) use socket::connector::{ConnectSocketsArguments, run as connect_sockets};
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
    /// What it is told. Linux is told besides, unless a parameter of that name is given: console=ttyS0 (with --console
    /// console=hvc0 and earlycon=uart8250,io,0x3f8), panic=-1, and with --root-disk root= and rw (or ro); --log info prints
    /// the whole line
    #[arg(long, value_name = "TEXT", default_value = "")]
    cmdline: String,
    /// Memory, from 2M to what the host has; what does not fit below 3 GiB lies above 4 GiB
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
    /// The first disk of all, on which Linux's root is: on the first partition for it (GPT or MBR), otherwise on the whole disk
    #[arg(long, value_name = "FILE[,ro][,serial=S]", value_parser = disk::parse_root)]
    root_disk: Option<disk::Words>,
    /// Each device is behind a PCIe root port of its own, on a bus of its own
    #[arg(long)]
    root_ports: bool,
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
    /// Sockets between guest and host (virtio-vsock): the guest is CID, and who connects to the Unix socket PATH and
    /// writes a line `CONNECT PORT` is connected to that port of the guest, and reads `OK PORT`. A guest that
    /// connects to PORT of the host (CID 2) reaches the Unix socket PATH_PORT
    #[arg(long, value_name = "CID,PATH", value_parser = vsock::parse)]
    vsock: Option<vsock::Words>,
    /// How uses of stale translations are reported on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    stale_report: Format,
    /// Where else, as one object a line: a file, or a descriptor that is open already
    #[arg(long, value_name = "FILE|fd:N")]
    stale_report_file: Option<String>,
    #[command(flatten)]
    pictures: PictureArguments,
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
    #[command(flatten)]
    trace: TraceArguments,
    /// A Unix socket for gdb (`target remote PATH`): the guest waits at its first instruction until a debugger has come, or
    /// does not with `nowait`; see docs/gdb.md
    #[arg(long, value_name = "PATH[,nowait]", value_parser = gdb::parse)]
    gdb: Option<gdb::Words>,
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
    if fits { Ok(bytes) } else { Err("give whole MiB from 2M to 1024G".to_owned()) }
}

/// A guest that has more than its host ends when it uses it, and others with it.
fn check_host(memory_bytes: u64) -> Result<(), String> {
    let host = sysinfo();
    let has = (host.totalram + host.totalswap).saturating_mul(host.mem_unit.into());
    if memory_bytes <= has {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(format!(
        "--memory {}M is more than this host has, {} MiB with its swap; give less",
        mib(memory_bytes),
        mib(has)
    ))
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

    fn payload(&self, root: Option<Root>) -> Result<Payload, Refusal> {
        let wrong = |message| (UNUSABLE, message);
        let initrd = self.initrd.as_deref().map(|path| image::module(path, self.memory)).transpose()?;
        let modules = self.modules.iter().map(|text| module(text, self.memory)).collect::<Result<_, _>>()?;
        match (&self.kernel, self.guest) {
            (Some(kernel), _) => Ok(Payload {
                kernel: image::kernel(kernel)?,
                initrd,
                modules,
                command_line: self.cmdline.clone(),
                if_linux: self.if_linux(root),
            }),
            (None, Some(guest)) => {
                let iommu = self.iommu().map_err(wrong)?;
                Ok(guest::payload(guest, iommu, initrd, modules, &self.cmdline))
            }
            (None, None) => Err(wrong("nothing to boot; give --kernel or --guest".to_owned())),
        }
    }

    /// What Linux is told besides, of a root that is there.
    fn if_linux(&self, root: Option<Root>) -> Vec<Told> {
        let told = |word: &str, unless| Told { word: word.to_owned(), unless };
        let mut words = match self.console {
            false => vec![told("console=ttyS0", &["console"][..])],
            true => vec![
                told("earlycon=uart8250,io,0x3f8", &["console", "earlycon"]),
                told("console=hvc0", &["console"]),
            ],
        };
        words.push(told("panic=-1", &["panic"]));
        if let (Some(root), Some(disk)) = (root, &self.root_disk) {
            let how = if disk.access() == Access::ReadOnly { "ro" } else { "rw" };
            words.push(told(&format!("root={}", root.device()), &["root"]));
            words.push(told(how, &["ro", "rw"]));
        }
        words
    }

    /// Those that were asked for, otherwise the guest's own.
    fn devices(&self) -> Result<Vec<DeviceKind>, String> {
        match self.guest {
            Some(guest) if self.devices.is_empty() => guest::devices(guest),
            _ => Ok(self.devices.clone()),
        }
    }

    /// What the machine has, and where on its first disk Linux's root is.
    fn options(
        &self,
        sandbox: Sandbox,
        screen: &Screen,
        tracer: Option<Arc<Tracer>>,
        links: &[VirtioKind],
    ) -> Result<(MachineOptions, Option<Root>), String> {
        check_host(self.memory)?;
        let (virtio, root) = self.virtio(screen, links)?;
        let options = MachineOptions {
            memory_bytes: self.memory,
            processors: self.cpus,
            masked_cpu_flags: self.cpu_flags.clone().unwrap_or_default(),
            iommu: self.watched_iommu()?,
            devices: self.devices()?,
            virtio,
            placement: if self.root_ports { Placement::BehindPorts } else { Placement::Integrated },
            debugger: self.debugger(),
            sandbox,
            functions: Vec::new(),
            tracer,
        };
        Ok((options, root))
    }

    fn debugger(&self) -> Debugger {
        match &self.gdb {
            None => Debugger::None,
            Some(words) if words.waits => Debugger::Awaited,
            Some(_) => Debugger::Welcome,
        }
    }

    /// Behind the other devices: disks, which are opened now, then the rest.
    fn virtio(
        &self,
        screen: &Screen,
        links: &[VirtioKind],
    ) -> Result<(Vec<VirtioKind>, Option<Root>), String> {
        // Who says where the root is may have a disk on which nobody else finds it.
        let (first, root) = match &self.root_disk {
            Some(words) if told::says(&self.cmdline, "root") => (Some(words.open()?), None),
            Some(words) => words.open_root().map(|(disk, root)| (Some(disk), Some(root)))?,
            None => (None, None),
        };
        let mut found: Vec<_> = first.into_iter().map(|disk| VirtioKind::Disk(Arc::new(disk))).collect();
        for words in &self.disks {
            found.push(VirtioKind::Disk(Arc::new(words.open()?)));
        }
        found.extend(self.rng.then_some(VirtioKind::Rng));
        found.extend(self.console.then(|| VirtioKind::Console(UserEnd::new(screen.guest_side()))));
        found.extend(links.iter().cloned());
        Ok((found, root))
    }

    /// What the guest needs, and what the user adds or changes.
    fn iommu(&self) -> Result<IommuKind, String> {
        self.iommu.on_top_of(self.guest.map_or("", |guest| guest.unit))
    }

    /// What nobody wants to know of is not watched for.
    fn watched_iommu(&self) -> Result<IommuKind, String> {
        Ok(match self.iommu()? {
            IommuKind::Vtd(mut unit) if !self.is_watched() && !self.trace.is_wanted() => {
                unit.vtd.stale.watching = Watching::Off;
                IommuKind::Vtd(unit)
            }
            other => other,
        })
    }

    /// Whether stale uses are reported to anybody; a trace alone changes nothing of how the run ends.
    fn is_watched(&self) -> bool {
        self.stale_report != Format::Off
            || self.stale_fatal
            || self.stale_report_file.is_some()
            || self.api_socket.is_some()
            || self.pictures.are_wanted()
    }

    /// Sees that nothing that is written stands in the place of something else.
    fn held_apart(&self) -> Result<(), String> {
        let report = self.stale_report_file.iter().filter(|name| !name.starts_with("fd:"));
        let report = report.map(|name| ("--stale-report-file", Path::new(name)));
        let written = report.chain(self.pictures.written()).chain(self.trace.written());
        let modules =
            self.modules.iter().map(|text| Path::new(text.split_once(',').map_or(&**text, |(file, _)| file)));
        let files = self.kernel.iter().chain(&self.initrd).map(PathBuf::as_path);
        let disks = self.root_disk.iter().chain(&self.disks).map(disk::Words::path);
        apart(&written.collect::<Vec<_>>(), files.chain(modules).chain(disks))
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
        let file = opened.map_err(|error| unwritable(Path::new(name), &error))?;
        Ok(Some((name.clone(), file)))
    }

    /// The files for pictures, open.
    fn drawings(&self) -> Result<Vec<Drawing>, String> {
        if self.pictures.are_wanted() && matches!(self.iommu()?, IommuKind::None) {
            return Err("there is no unit to draw a picture of; leave --iommu none out".to_owned());
        }
        self.pictures.open_now()
    }

    /// What a page of the run is called.
    fn title(&self) -> String {
        let kernel = self.kernel.as_ref().map(|path| path.display().to_string());
        let guest = || self.guest.map_or_else(String::new, |guest| guest.name.to_owned());
        format!("afterimage boot: {}", kernel.unwrap_or_else(guest))
    }

    fn reports(
        &self,
        unit: Arc<Vtd>,
        screen: Arc<Screen>,
        journal: Option<Arc<Journal>>,
        tracer: Option<Arc<Tracer>>,
    ) -> Reports {
        let severity = if self.stale_fatal { Severity::Fatal } else { Severity::Reported };
        let reports = Reports::new(unit, self.stale_report, severity, screen);
        let reports = reports.with_journal(journal).with_tracer(tracer);
        if self.pictures.are_wanted() { reports.with_drawings() } else { reports }
    }
}

fn module(text: &str, memory_bytes: u64) -> Result<Module, Refusal> {
    let (file, told) = text.split_once(',').unwrap_or((text, ""));
    Ok(Module { file: image::module(Path::new(file), memory_bytes)?, command_line: told.to_owned() })
}
