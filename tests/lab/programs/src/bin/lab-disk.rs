//! Reads pages of a disk in no order, one after the other, past the page cache, and says how long each took: `lab-disk FILE COUNT`.
//!
//! Invariant: the same pages for the same length of disk, so that runs can be compared.

use std::env;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::ExitCode;
use std::time::Instant;

const PAGE_BYTES: usize = 4096;
/// As many are read before the clock runs.
const WARM_UP: u32 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, count] = &arguments[..] else { return ExitCode::from(2) };
    let told = count.parse().map_err(io::Error::other).and_then(|count| measure(path, count));
    let line = match &told {
        Ok(line) => line.clone(),
        Err(error) => format!("LAB wrong: {path}: {error}"),
    };
    let _said = writeln!(io::stdout(), "{line}");
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(path: &str, count: u32) -> io::Result<String> {
    let mut file = File::options().read(true).custom_flags(libc::O_DIRECT).open(path)?;
    let pages = file.seek(SeekFrom::End(0))? / PAGE_BYTES as u64;
    if pages == 0 || count == 0 {
        return Err(io::Error::other("nothing to read"));
    }
    // The kernel takes no other place past its cache.
    let mut room = vec![0; 2 * PAGE_BYTES];
    let start = room.as_ptr().align_offset(PAGE_BYTES);
    let page = &mut room[start..start + PAGE_BYTES];
    let mut at = 1_u64;
    let mut read = |count: u32| {
        (0..count).try_for_each(|_| {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            file.read_exact_at(page, (at >> 33) % pages * PAGE_BYTES as u64)
        })
    };
    read(WARM_UP)?;
    let begun = Instant::now();
    read(count)?;
    let each = begun.elapsed() / count;
    Ok(format!("LAB speed 4 KiB random reads: {count}, {} us each", each.as_micros()))
}
