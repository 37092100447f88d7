//! Descriptors that the program was started with and knows nothing of: a shell's, a supervisor's, a build tool's.
//!
//! Invariant: afterwards nothing above standard error is open. Source: close_range(2), proc(5) on /proc/self/fd.
#![expect(unsafe_code, reason = "closes descriptors by number, before anybody owns one")]

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// The first that is not a standard stream.
const FIRST: libc::c_uint = 3;

/// Closes them all.
pub(super) fn close_foreign() -> io::Result<()> {
    // SAFETY: close_range takes three integers. The caller has opened nothing yet, so nobody owns what is closed.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { close_listed() }
}

/// The same for a kernel before 5.9.
pub(super) fn close_listed() -> io::Result<()> {
    let listed = fs::read_dir("/proc/self/fd")?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok();
    // Whole before the first is closed: the listing itself is one of them, and gone by then.
    let foreign: Vec<_> = listed.filter_map(number).filter(|fd| *fd >= FIRST.cast_signed()).collect();
    for fd in foreign {
        // SAFETY: close takes an integer. Nobody owns it, as above; that of the listing is closed already, which is
        // an error without consequences.
        let _closed = unsafe { libc::close(fd) };
    }
    Ok(())
}
