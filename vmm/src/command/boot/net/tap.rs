//! TAP interfaces of the host's: by name, or open already.
//!
//! Invariant: one is attached to, never made, and nothing on it blocks. It has virtio's prefix before each frame, and does
//! nothing for the guest that the guest does itself. Source: Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h.
#![expect(unsafe_code, reason = "asks for an interface by ioctl(2), and borrows a descriptor by number")]

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use devices::link::tap::PREFIX_BYTES;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref, ioctl_with_val};

use crate::machine::options::Cable;

const DEVICE: &str = "/dev/net/tun";
const FLAGS: i32 = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
/// Behind the standard streams.
const FIRST: RawFd = 3;
const OTHERWISE: &str = "or give `--net user`, which needs none";

/// Where an interface is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Name(String),
    Open(RawFd),
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const GIVE: &str = "give tap=NAME or tap=fd:N";
        match text.strip_prefix("fd:").map(str::parse) {
            Some(Ok(number @ FIRST..)) => Ok(Self::Open(number)),
            Some(Ok(number)) => {
                Err(format!("fd:{number} is a standard stream or none; {GIVE}, from fd:3 on"))
            }
            Some(Err(_)) => Err(format!("`{text}` is no descriptor; {GIVE}")),
            None if text.is_empty() => Err(GIVE.to_owned()),
            None if is_name(text) => Ok(Self::Name(text.to_owned())),
            None => Err(format!("`{text}` is no name of an interface: at most 15 plain letters; {GIVE}")),
        }
    }

    pub(super) fn open(&self) -> Result<Cable, String> {
        match self {
            Self::Name(name) => by_name(name),
            Self::Open(number) => by_number(*number),
        }
    }
}

/// As the kernel has it (dev_valid_name), and without the sign by which it would make up a name.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
    text.len() < libc::IFNAMSIZ && !matches!(text, "." | "..") && text.bytes().all(is_plain)
}

fn by_name(name: &str) -> Result<Cable, String> {
    let make = || {
        format!(
            "`ip tuntap add dev {name} mode tap user NAME` and `ip link set {name} up` make one for a user, {OTHERWISE}"
        )
    };
    let host = |error: io::Error| format!("the host refuses a socket for --net tap={name}: {error}");
    let asked = socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|error| host(error.into()))?;
    if name_to_index(&asked, name).is_err() {
        return Err(format!("--net tap={name}: the host has no such interface; {}", make()));
    }
    let mut how = File::options();
    how.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let file = how.open(DEVICE).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("--net tap={name}: you may not open {DEVICE}; let it be opened (`chmod 0666 {DEVICE}`), {OTHERWISE}")
        }
        _ => format!("--net tap={name}: cannot open {DEVICE}: {error}; `modprobe tun`, {OTHERWISE}"),
    })?;
    let descriptor = OwnedFd::from(file);
    attach(&descriptor, name).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM) => format!("--net tap={name} is not yours; {}", make()),
        Some(libc::EBUSY) => {
            format!("--net tap={name} is in use, by another guest or twice by this one; {}", make())
        }
        Some(libc::EINVAL) => format!("--net tap={name} is no TAP interface of one queue; {}", make()),
        _ => format!("cannot use --net tap={name}: {error}; {}", make()),
    })?;
    set_up(&descriptor).map_err(|error| format!("cannot use --net tap={name}: {error}; {}", make()))?;
    Ok(Cable::Tap { descriptor: Arc::new(descriptor), name: name.to_owned() })
}

fn by_number(number: RawFd) -> Result<Cable, String> {
    let give = format!(
        "open {DEVICE} with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR and let this program inherit it, {OTHERWISE}"
    );
    let descriptor =
        own(number).map_err(|_| format!("--net tap=fd:{number}: no such descriptor is open; {give}"))?;
    let no_tap = |_: io::Error| format!("--net tap=fd:{number} is no TAP interface; {give}");
    let (flags, name) = about(&descriptor).map_err(no_tap)?;
    if flags & FLAGS != FLAGS {
        return Err(format!("--net tap=fd:{number} is an interface of another kind; {give}"));
    }
    set_up(&descriptor).map_err(|error| format!("cannot use --net tap=fd:{number}: {error}; {give}"))?;
    Ok(Cable::Tap { descriptor: Arc::new(descriptor), name })
}

/// A descriptor of our own of what is open there.
fn own(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the program has opened nothing yet that closes meanwhile, and a number that is none is an error of the call.
    let lent = unsafe { BorrowedFd::borrow_raw(number) };
    let _flags: FdFlags = fcntl_getfd(lent)?;
    Ok(fcntl_dupfd_cloexec(lent, FIRST)?)
}

fn empty_request() -> libc::ifreq {
    libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 } }
}

fn answer(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A request as it is passed on; in some C libraries (musl) it is a number with a sign.
const fn number_of(request: libc::Ioctl) -> libc::c_ulong {
    request as libc::c_ulong & 0xffff_ffff
}

/// Attaches to the interface `name`.
fn attach(descriptor: &OwnedFd, name: &str) -> io::Result<()> {
    let mut request = empty_request();
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(FLAGS).map_err(io::Error::other)?;
    // SAFETY: the kernel reads and writes one ifreq, which is `request`, whose name ends with a zero.
    answer(unsafe { ioctl_with_mut_ref(descriptor, number_of(libc::TUNSETIFF), &mut request) })
}

/// The flags of the interface that is open there, and its name.
fn about(descriptor: &OwnedFd) -> io::Result<(i32, String)> {
    let mut request = empty_request();
    // SAFETY: the kernel writes one ifreq, which is `request`.
    answer(unsafe { ioctl_with_mut_ref(descriptor, number_of(libc::TUNGETIFF), &mut request) })?;
    // SAFETY: every variant of the union is plain bytes, all of which were set.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let bytes = request.ifr_name.map(|letter| letter.to_ne_bytes()[0]);
    let name = CStr::from_bytes_until_nul(&bytes).map_err(io::Error::other)?;
    Ok((i32::from(flags), name.to_string_lossy().into_owned()))
}

/// It has virtio's prefix, does nothing for the guest, and does not block.
fn set_up(descriptor: &OwnedFd) -> io::Result<()> {
    let len = libc::c_int::try_from(PREFIX_BYTES).map_err(io::Error::other)?;
    // SAFETY: the kernel reads one integer, which is `len`.
    answer(unsafe { ioctl_with_ref(descriptor, number_of(libc::TUNSETVNETHDRSZ), &len) })?;
    // SAFETY: the request takes an integer.
    answer(unsafe { ioctl_with_val(descriptor, number_of(libc::TUNSETOFFLOAD), 0) })?;
    let flags = fcntl_getfl(descriptor.as_fd())?;
    Ok(fcntl_setfl(descriptor.as_fd(), flags | OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
