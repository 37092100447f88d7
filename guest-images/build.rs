//! Compiles the driver in `driver/` as a freestanding image: the same sources that cargo checks as a library, with the
//! compiler that is at hand and no target of its own.
//!
//! Invariant: the image needs nothing but `core`; where it lies is said by `driver/link.ld`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    let driver = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("driver");
    let (sources, script) = (driver.join("src"), driver.join("link.ld"));
    println!("cargo::rerun-if-changed={}", sources.display());
    println!("cargo::rerun-if-changed={}", script.display());
    let status = Command::new(variable("RUSTC"))
        .args(["--edition", "2024", "--crate-name", "guest_driver", "--crate-type", "bin", "--cfg", "guest"])
        .args(["--target", &variable("TARGET"), "-D", "unsafe_code"])
        .args(["panic=abort", "opt-level=2", "codegen-units=1", "relocation-model=static"].map(codegen))
        .args(["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(|option| codegen(&link(option))))
        .arg(codegen(&link(&format!("-Wl,--gc-sections,--build-id=none,-T,{}", script.display()))))
        .arg(sources.join("lib.rs"))
        .arg("-o")
        .arg(PathBuf::from(variable("OUT_DIR")).join("driver.elf"))
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => panic!("the driver does not compile: {other:?}"),
    }
}

fn codegen(option: &str) -> String {
    format!("-C{option}")
}

fn link(option: &str) -> String {
    format!("link-arg={option}")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo sets {name}: {error}"))
}
