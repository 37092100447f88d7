//! tracefs, as a mount that nobody else sees, or where the system has it.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Where systems mount it.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The root of tracefs.
///
/// # Errors
/// What is missing.
pub(super) fn open() -> Result<OwnedFd, String> {
    let own = mounted();
    let Err(error) = own else { return own.map_err(|error| error.to_string()) };
    for place in PLACES {
        if let Ok(root) = folder(place)
            && openat(&root, "instances", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).is_ok()
        {
            return Ok(root);
        }
    }
    let remedy = match error {
        Errno::PERM => "root (CAP_SYS_ADMIN) is needed to record; run it with sudo",
        Errno::NODEV | Errno::NOENT => "this kernel has no tracefs (CONFIG_FTRACE)",
        _other => "see whether the kernel is locked down (/sys/kernel/security/lockdown)",
    };
    Err(format!(
        "tracefs cannot be opened: {error}; {remedy}. What others have recorded can be read without: afterimage observe FILE"
    ))
}

fn mounted() -> Result<OwnedFd, Errno> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn folder(place: &str) -> Result<OwnedFd, Errno> {
    openat(CWD, place, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
