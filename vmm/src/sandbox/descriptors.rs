//! Descriptors that the program was started with and knows nothing of: a shell's, a supervisor's, a build tool's.
//!
//! Invariant: afterwards nothing above standard error is open but what the caller named. Source: close_range(2), proc(5) on /proc/self/fd.
#![expect(unsafe_code, reason = "closes descriptors by number, before anybody owns one")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::RawFd;

/// The first that is not a standard stream.
const FIRST: libc::c_uint = 3;

/// Closes all but `kept`.
pub(super) fn close_foreign(kept: impl IntoIterator<Item = RawFd>) -> io::Result<()> {
    let kept: BTreeSet<RawFd> = kept.into_iter().collect();
    let mut first = FIRST;
    let mut is_closed = true;
    for kept in kept.iter().copied().map(RawFd::cast_unsigned).filter(|kept| *kept >= FIRST) {
        is_closed &= first == kept || close_range(first, kept - 1);
        first = kept + 1;
    }
    if is_closed && close_range(first, libc::c_uint::MAX) { Ok(()) } else { close_listed(kept) }
}

/// Whether the kernel knows how.
fn close_range(first: libc::c_uint, last: libc::c_uint) -> bool {
    // SAFETY: close_range takes three integers. The caller has opened nothing yet but what is kept, so nobody owns what is
    // closed.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// The same for a kernel before 5.9.
pub(super) fn close_listed(kept: impl IntoIterator<Item = RawFd>) -> io::Result<()> {
    let kept: BTreeSet<RawFd> = kept.into_iter().collect();
    let listed = fs::read_dir("/proc/self/fd")?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok();
    // Whole before the first is closed: the listing itself is one of them, and gone by then.
    let foreign: Vec<_> =
        listed.filter_map(number).filter(|fd| *fd >= FIRST.cast_signed() && !kept.contains(fd)).collect();
    for fd in foreign {
        // SAFETY: close takes an integer. Nobody owns it, as above; that of the listing is closed already, which is
        // an error without consequences.
        let _closed = unsafe { libc::close(fd) };
    }
    Ok(())
}
