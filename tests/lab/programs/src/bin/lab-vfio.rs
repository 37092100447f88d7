//! Drives a DMA engine from user space, by VFIO (type 1).
//!
//! Invariant: it says `LAB end of vfio` only when it has done everything.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use vfio_ioctls::{VfioContainer, VfioDevice, VfioError};

/// Reads the engine's identification.
fn identification(device: &Path) -> Result<u32, VfioError> {
    let container = Arc::new(VfioContainer::new(None)?);
    let device = VfioDevice::new(device, container, false)?;
    let mut word = [0; 4];
    device.region_read(0, &mut word, 0);
    Ok(u32::from_le_bytes(word))
}

fn main() -> ExitCode {
    let mut out = io::stdout();
    let Some(device) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    match identification(Path::new(&device)) {
        Ok(word) => writeln!(out, "LAB identification {word:#x}\nLAB end of vfio")
            .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => {
            let _unheard = writeln!(out, "LAB wrong: {error}");
            ExitCode::FAILURE
        }
    }
}
