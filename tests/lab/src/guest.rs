//! A guest: its initial RAM disk, and how it is launched, under the program or under QEMU itself.
//!
//! Invariant: both launch the same kernel with the same initial RAM disk.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::archive::Archive;
use crate::built;
use crate::emulator;
use crate::job::{Job, comma};
use crate::kernel::{Kernel, Module};
use crate::packages::{PackageError, Store};
use crate::program;

const INIT: &str = include_str!("../guests/init");
/// What each guest is told: nothing that takes an emulated processor long. The program adds a console and an end at a panic.
const TOLD: &str = "nokaslr mitigations=off";

/// The initial RAM disk of a job's guest.
pub(crate) fn initrd(
    store: &Store,
    job: &Job,
    (release, kernel): (&str, &Kernel),
    script: &str,
    busybox: &[u8],
) -> Result<Vec<u8>, PackageError> {
    let failed = |error| PackageError::File(kernel.image.clone(), error);
    let modules = kernel.with_needs(&job.modules).map_err(failed)?;
    let built = built::modules(store, release, &job.built)?;
    let programs = built::programs(&job.programs)?;
    let content = Content { script, modules: &modules, built: &built, programs: &programs };
    packed(busybox, &content).map_err(failed)
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

fn packed(busybox: &[u8], content: &Content<'_>) -> io::Result<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(content.script);
    let script = fs::read(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    let mut archive = Archive::default();
    base(&mut archive, busybox, INIT)?;
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

/// Busybox, and what starts first.
pub(crate) fn base(archive: &mut Archive, busybox: &[u8], init: &str) -> io::Result<()> {
    for folder in ["bin", "lib", "proc", "sys", "dev", "tmp"] {
        archive.folder(folder)?;
    }
    archive.file("bin/busybox", busybox)?;
    archive.link("bin/sh", "busybox")?;
    archive.file("init", init.as_bytes())
}

/// In this order, which the file `/modules` has, too.
pub(crate) fn add_modules(archive: &mut Archive, modules: &[Module]) -> io::Result<()> {
    let mut list = String::new();
    for module in modules {
        archive.file(&format!("lib/{}.ko", module.name), &module.bytes)?;
        list.push_str(&format!("{}.ko\n", module.name));
    }
    archive.file("modules", list.as_bytes())
}

/// What the program is told.
pub(crate) fn boot_command(job: &Job, told: &str, unit: &str) -> String {
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

/// QEMU's own unit, with a guest that finds its kernel in this folder.
pub(crate) fn qemu_command(job: &Job, told: &str, unit: &str) -> Command {
    let mut command = emulator::command("512");
    command.args(["-machine", "q35", "-cpu", "EPYC", "-smp", "1"]);
    command.args(["-device", &format!("intel-iommu,intremap=on{}{unit}", comma(unit))]);
    // QEMU's timer may be late on a busy machine, and Linux then panics for want of one.
    let told = format!("console=ttyS0 panic=-1 {TOLD} no_timer_check {told}");
    command.args(&job.options).args(["-kernel", "vmlinuz", "-append", &told]);
    command
}

/// The same on the host's KVM, as a line of its shell: the same guest with the same memory as the program's.
pub(crate) fn qemu_in_host_command(job: &Job, told: &str, unit: &str) -> String {
    let mut words = vec!["timeout".to_owned(), job.seconds.to_string(), format!("/bin/{}", emulator::QEMU)];
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quoted(value)]);
    option("-L", &format!("/{}", program::FIRMWARE));
    option("-machine", "q35,accel=kvm,kernel-irqchip=split");
    option("-cpu", "host");
    option("-m", &format!("{}M", job.memory_mib));
    option("-serial", "stdio");
    option("-device", &format!("intel-iommu,intremap=on{}{unit}", comma(unit)));
    option("-kernel", "/vmlinuz");
    option("-initrd", "/initrd");
    option("-append", &format!("console=ttyS0 panic=-1 {TOLD} no_timer_check {told}"));
    words.extend(["-nographic", "-nodefaults", "-no-reboot"].map(str::to_owned));
    words.extend(job.options.iter().map(|word| quoted(word)));
    words.join(" ")
}

/// As one word of a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
