//! Processes, and what no library asks the kernel for.
//! Invariant: a child ends in the function that it was given; nothing of the parent's is dropped or run there.
#![expect(unsafe_code, reason = "fork, and system calls that take addresses of structures")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::memory::{PAGE, Region};

/// A child that has not been waited for.
pub(crate) struct Child(libc::pid_t);

impl Child {
    /// The child does as it is told and ends with that status.
    pub(crate) fn fork(told: impl FnOnce() -> i32) -> io::Result<Self> {
        // SAFETY: the child runs `told` and ends; at most one other thread was there, which holds no lock that it takes.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let status = told();
                // SAFETY: ends the child, and nothing of the parent's with it.
                unsafe { libc::_exit(status) }
            }
            child => Ok(Self(child)),
        }
    }

    /// Its status; none if it was killed.
    pub(crate) fn wait(self) -> io::Result<Option<i32>> {
        let mut status = 0;
        // SAFETY: writes the status, which lives.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        if waited != self.0 {
            return Err(io::Error::last_os_error());
        }
        Ok(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)))
    }
}

/// Ends this process as `kill -9` does.
pub(crate) fn kill_myself() {
    // SAFETY: takes no address.
    let _gone = unsafe { libc::raise(libc::SIGKILL) };
}

/// Write-protection by userfaultfd. Source: include/uapi/linux/userfaultfd.h.
pub(crate) struct Userfault(OwnedFd);

const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFDIO_WRITEPROTECT: libc::c_ulong = 0xc018_aa06;
const UFFD_API: u64 = 0xaa;
const FEATURE_WP: u64 = 1;
const MODE_WP: u64 = 2;

impl Userfault {
    pub(crate) fn of(region: Region) -> io::Result<Self> {
        // SAFETY: takes flags, gives a descriptor.
        let file = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
        let file = i32::try_from(file).map_err(io::Error::other)?;
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: nobody else has it.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        let fault = Self(file);
        fault.ask(UFFDIO_API, &mut [UFFD_API, FEATURE_WP, 0])?;
        fault.ask(UFFDIO_REGISTER, &mut [region.at as u64, region.bytes() as u64, MODE_WP, 0])?;
        Ok(fault)
    }

    /// A part of the region.
    pub(crate) fn protect(&self, part: Region, is_protected: bool) -> io::Result<()> {
        self.ask(UFFDIO_WRITEPROTECT, &mut [part.at as u64, part.bytes() as u64, u64::from(is_protected)])
    }

    fn ask(&self, request: libc::c_ulong, words: &mut [u64]) -> io::Result<()> {
        // SAFETY: as many words as the request's structure has.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, words.as_mut_ptr()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A file of the kernel's that takes a word.
pub(crate) fn put(path: &str, word: &str) -> io::Result<()> {
    fs::write(path, word).map_err(|error| io::Error::other(format!("{path}: {error}")))
}

/// A number in a file of the kernel's.
pub(crate) fn number(path: &str) -> io::Result<u64> {
    fs::read_to_string(path)?.trim().parse().map_err(io::Error::other)
}

/// What /proc/self/pagemap has for each page.
pub(crate) fn page_map(region: Region) -> io::Result<Vec<u64>> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; region.pages * 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut bytes, (region.at / PAGE * 8) as u64)?;
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    Ok(bytes.chunks_exact(8).map(word).collect())
}
