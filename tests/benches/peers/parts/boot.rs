//! From starting a program to the guest's first word: the `afterimage` command, QEMU's microvm, Firecracker.
//!
//! Invariant: all of them boot the same image, by the way that each of them takes it, with one processor and 64 MiB,
//! on KVM.

use std::env::{current_exe, temp_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

use guest_images::bare::{BareImage, ElfWidth};
use serde_json::json;
use tests_support::measure::round::{Row, Turn, Unit};
use tests_support::measure::target::Held;
use vmm::kvm::System;

use crate::spawned::{AS_COMMAND, until};
use crate::{Failure, Run};

const WORD: &str = "hello";

pub(crate) fn run(run: &mut Run) {
    if let Err(error) = System::open() {
        return run.skipped.push(format!("boot: {error}"));
    }
    let folder = temp_dir().join(format!("afterimage-peers-boot-{}", std::process::id()));
    if let Err(error) = boot(run, &folder) {
        run.skipped.push(format!("boot: {error}"));
    }
    let _left = fs::remove_dir_all(&folder);
}

fn boot(run: &mut Run, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let (image, pvh) = (folder.join("hello.elf"), folder.join("hello.pvh"));
    fs::write(&image, BareImage::Hello.elf(ElfWidth::Bits64))?;
    fs::write(&pvh, BareImage::Hello.pvh())?;
    let this = current_exe()?;
    let ours = || {
        let mut command = Command::new(&this);
        command.env(AS_COMMAND, "1").args(["boot", "--memory", "64M", "--kernel"]).arg(&image);
        command
    };
    until(WORD, &mut ours()).map_err(|error| format!("ours: {error}"))?;
    let say = |mut command: Command| -> Turn {
        until(WORD, &mut command).unwrap_or_else(|error| panic!("{error}"))
    };
    let (qemu, firecracker) = (|| qemu(&pvh), firecracker(folder, &pvh)?);
    let mut row =
        Row::new("spawn to the guest's first word", Unit::Milliseconds, || say(ours())).at_most(2.5, 1.6);
    match until(WORD, &mut qemu()) {
        Ok(_) => row = row.against("QEMU microvm", Held::Nothing, || say(qemu())),
        Err(error) => run.skipped.push(format!("QEMU: {error}")),
    }
    match until(WORD, &mut firecracker()) {
        Ok(_) => {
            let held = Held::Faster { must: 4.0, stretch: 6.5 };
            row = row.against("Firecracker", held, || say(firecracker()));
        }
        Err(error) => run.skipped.push(format!("Firecracker: {error}")),
    }
    run.rows.push(row.run(run.effort));
    Ok(())
}

fn qemu(image: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    // Where the host is a guest itself, KVM may offer a register of capabilities and take no value for it.
    let fixed = "-M microvm -enable-kvm -cpu host,-arch-capabilities -m 64 -nodefaults -no-user-config \
                 -display none -no-reboot -serial stdio -kernel";
    command.args(fixed.split_whitespace()).arg(image);
    command
}

fn firecracker(folder: &Path, image: &Path) -> Result<impl Fn() -> Command, Failure> {
    let config = folder.join("firecracker.json");
    let said = json!({
        "boot-source": { "kernel_image_path": image },
        "machine-config": { "vcpu_count": 1, "mem_size_mib": 64 },
        "drives": [],
    });
    fs::write(&config, said.to_string())?;
    Ok(move || {
        let mut command = Command::new("firecracker");
        command.args(["--no-api", "--config-file"]).arg(&config);
        command
    })
}
