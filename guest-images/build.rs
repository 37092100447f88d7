//! Compiles the driver in `driver/` as a freestanding image: the same sources that cargo checks as a library, with the
//! compiler that is at hand and no target of its own.
//!
//! Invariant: the image needs nothing but `core`; where it lies is said by `driver/link.ld`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=driver/src");
    println!("cargo::rerun-if-changed=driver/link.ld");
    // There, so that neither an option nor the image holds a path of this machine.
    let driver = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("driver");
    let status = Command::new(variable("RUSTC"))
        .current_dir(driver)
        .args(["--edition", "2024", "--crate-name", "guest_driver", "--crate-type", "bin", "--cfg", "guest"])
        .args(["--target", &variable("TARGET"), "-D", "unsafe_code"])
        .args(["panic=abort", "opt-level=2", "codegen-units=1", "relocation-model=static"].map(codegen))
        .args(["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(|option| codegen(&link(option))))
        .arg(codegen(&link("-Wl,--gc-sections,--build-id=none,-T,link.ld")))
        .arg("src/lib.rs")
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
