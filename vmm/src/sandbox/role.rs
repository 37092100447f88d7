//! Which system calls each kind of thread makes.
//!
//! Invariant: a list holds what its threads were seen to make (strace, over every guest, on pipes and on a terminal),
//! and what the runtime and the allocator make when they come to it; nothing by which a path, a socket, another
//! process or code is reached. Numbers are x86-64's.

pub(super) mod call;
pub(super) mod request;

use call::{Call, When};

/// A kind of thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The command's: standard input, time, reports, and the machine's end.
    Console,
    /// A processor's, which also does what the guest's accesses ask of devices.
    Vcpu,
    /// The same of a machine that a debugger may look into.
    DebuggedVcpu,
    /// A device's own: it reads and writes the guest's memory, and interrupts.
    Engine,
    /// The same, of a device whose driver rings a bell that it waits for.
    Rung,
    /// A disk's: as that of a device that is rung, and it reads, writes and flushes the file that is open.
    Disk,
    /// A network interface's whose cable leads to what is open: as a device's, and it waits for it and reads.
    Cable,
    /// That of one whose cable leads to a network of the program's own: it makes connections besides.
    Sockets,
    /// That of sockets between guest and host: as a device's, and it accepts who comes to its socket, is handed
    /// streams, reads and sends.
    Vsock,
    /// That of devices which answer late.
    LateDevices,
    /// The writer of what the guest puts out.
    Output,
    /// That of whoever is connected to a socket, the debugger's too: it accepts, reads and writes, and presses the power button.
    Control,
}

impl Role {
    /// Each of them.
    pub const ALL: [Self; 12] = [
        Self::Console,
        Self::Vcpu,
        Self::DebuggedVcpu,
        Self::Engine,
        Self::Rung,
        Self::Disk,
        Self::Cable,
        Self::Sockets,
        Self::Vsock,
        Self::LateDevices,
        Self::Output,
        Self::Control,
    ];

    /// What its threads are called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "the console",
            Self::Vcpu => "processors",
            Self::DebuggedVcpu => "processors that are debugged",
            Self::Engine => "devices",
            Self::Rung => "devices that are rung",
            Self::Disk => "disks",
            Self::Cable => "network interfaces",
            Self::Sockets => "user networks",
            Self::Vsock => "the guest's sockets",
            Self::LateDevices => "late devices",
            Self::Output => "the output",
            Self::Control => "the control socket",
        }
    }

    /// Every call that it may make.
    pub(super) fn calls(self) -> impl Iterator<Item = Call> {
        [EVERYBODY].into_iter().chain(self.own().iter().copied()).flatten().copied()
    }

    /// What it makes beside everybody's, in lists of which several may have a share: input and the power button are
    /// interrupts, too.
    const fn own(self) -> &'static [&'static [Call]] {
        match self {
            Self::Console => &[INTERRUPTING, CONSOLE],
            Self::Vcpu => &[INTERRUPTING, VCPU],
            Self::DebuggedVcpu => &[INTERRUPTING, VCPU, DEBUGGED],
            Self::Engine | Self::LateDevices => &[INTERRUPTING],
            Self::Rung => &[INTERRUPTING, RUNG],
            Self::Disk => &[INTERRUPTING, RUNG, DISK],
            Self::Cable => &[INTERRUPTING, CABLE],
            Self::Sockets => &[INTERRUPTING, SOCKETS],
            Self::Vsock => &[INTERRUPTING, VSOCK],
            Self::Output => &[OUTPUT],
            Self::Control => &[INTERRUPTING, CONTROL],
        }
    }
}

/// What Rust, the C library and the ways of a message need in any thread.
const EVERYBODY: &[Call] = &[
    // Memory, never as code. An arena of the allocator grows by mprotect, a large vector by mremap.
    Call::when(libc::SYS_mmap, When::NotExecutable),
    Call::when(libc::SYS_mprotect, When::NotExecutable),
    Call::of(libc::SYS_munmap),
    Call::of(libc::SYS_mremap),
    Call::of(libc::SYS_madvise),
    Call::of(libc::SYS_brk),
    // How many arenas there may be.
    Call::of(libc::SYS_sched_getaffinity),
    // Locks, parks and the barrier behind an invalidation.
    Call::of(libc::SYS_futex),
    Call::of(libc::SYS_membarrier),
    Call::of(libc::SYS_sched_yield),
    // Time, where the vDSO has none.
    Call::of(libc::SYS_clock_gettime),
    Call::of(libc::SYS_clock_nanosleep),
    Call::of(libc::SYS_nanosleep),
    Call::of(libc::SYS_restart_syscall),
    // Seeds of hash tables.
    Call::of(libc::SYS_getrandom),
    // Messages, the events that wake others, and their ends.
    Call::of(libc::SYS_write),
    Call::of(libc::SYS_writev),
    Call::of(libc::SYS_close),
    Call::fcntl(libc::F_GETFD),
    // Signals: the kick of a processor, abort, and Rust's handler of SIGSEGV, which lets a crash be one.
    Call::of(libc::SYS_getpid),
    Call::of(libc::SYS_gettid),
    Call::when(libc::SYS_tgkill, When::OwnProcess),
    Call::of(libc::SYS_rt_sigaction),
    Call::of(libc::SYS_rt_sigprocmask),
    Call::of(libc::SYS_rt_sigreturn),
    Call::of(libc::SYS_sigaltstack),
    // Its end, before which a refused call gives the terminal back.
    Call::when(libc::SYS_ioctl, When::OnInput(request::TCSETS)),
    Call::when(libc::SYS_ioctl, When::OnInput(request::TCSETS2)),
    Call::of(libc::SYS_exit),
    Call::of(libc::SYS_exit_group),
];

const VCPU: &[Call] = &[
    Call::ioctl(request::KVM_RUN),
    // Doorbells, when a driver begins or the guest moves them.
    Call::ioctl(request::KVM_IOEVENTFD),
    // Strings that are put out page by page, and the report of a guest that cannot go on.
    Call::ioctl(request::KVM_GET_REGS),
    Call::ioctl(request::KVM_SET_REGS),
    Call::ioctl(request::KVM_GET_SREGS),
    Call::ioctl(request::KVM_TRANSLATE),
];

const DEBUGGED: &[Call] = &[
    // What a debugger asks of a processor, its own thread does.
    Call::ioctl(request::KVM_SET_SREGS),
    Call::ioctl(request::KVM_GET_FPU),
    Call::ioctl(request::KVM_SET_FPU),
    Call::ioctl(request::KVM_SET_GUEST_DEBUG),
];

const INTERRUPTING: &[Call] =
    &[Call::ioctl(request::KVM_SIGNAL_MSI), Call::ioctl(request::KVM_SET_GSI_ROUTING)];

const RUNG: &[Call] = &[
    // The bell.
    Call::of(libc::SYS_ppoll),
    Call::of(libc::SYS_read),
];

const DISK: &[Call] = &[
    // The file: no path, no offset of its own, no length that grows.
    Call::of(libc::SYS_pread64),
    Call::of(libc::SYS_pwrite64),
    Call::of(libc::SYS_fdatasync),
    Call::of(libc::SYS_fallocate),
];

const CABLE: &[Call] = &[
    // Frames, and the bell; they are written as messages are.
    Call::of(libc::SYS_ppoll),
    Call::of(libc::SYS_read),
];

const SOCKETS: &[Call] = &[
    // The bell and connections.
    Call::of(libc::SYS_ppoll),
    Call::of(libc::SYS_read),
    // Connections, of TCP alone. Where to no filter can see.
    Call::when(libc::SYS_socket, When::Tcp),
    Call::of(libc::SYS_connect),
    Call::of(libc::SYS_sendto),
    Call::of(libc::SYS_shutdown),
];

const VSOCK: &[Call] = &[
    // The bell and connections: each came to the one socket that listens, or was handed over by who connects for the
    // guest.
    Call::of(libc::SYS_ppoll),
    Call::of(libc::SYS_accept4),
    Call::of(libc::SYS_recvmsg),
    Call::of(libc::SYS_read),
    Call::of(libc::SYS_sendto),
    Call::of(libc::SYS_shutdown),
];

const CONSOLE: &[Call] = &[
    // Events.
    Call::of(libc::SYS_epoll_create1),
    Call::of(libc::SYS_epoll_ctl),
    Call::of(libc::SYS_epoll_wait),
    Call::of(libc::SYS_epoll_pwait),
    Call::of(libc::SYS_poll),
    Call::of(libc::SYS_ppoll),
    Call::of(libc::SYS_eventfd2),
    Call::of(libc::SYS_timerfd_create),
    Call::of(libc::SYS_timerfd_settime),
    Call::of(libc::SYS_signalfd4),
    // Standard input, and the terminal's modes.
    Call::of(libc::SYS_read),
    Call::of(libc::SYS_readv),
    Call::fcntl(libc::F_DUPFD_CLOEXEC),
    // musl marks a duplicate once more.
    Call::fcntl(libc::F_SETFD),
    Call::fcntl(libc::F_GETFL),
    Call::fcntl(libc::F_SETFL),
    Call::ioctl(request::TCGETS),
    Call::ioctl(request::TCGETS2),
    Call::ioctl(request::TIOCGPGRP),
    Call::ioctl(request::TIOCGWINSZ),
    Call::of(libc::SYS_getpgid),
    Call::of(libc::SYS_getpgrp),
    Call::ioctl(request::TCSETS),
    Call::ioctl(request::TCSETS2),
    Call::ioctl(request::TCSETSW),
    Call::ioctl(request::TCSETSF),
];

const OUTPUT: &[Call] = &[
    // Of the event that wakes it.
    Call::of(libc::SYS_read),
    // A reader that is slow, or whose pipe does not block.
    Call::of(libc::SYS_poll),
    Call::of(libc::SYS_ppoll),
    Call::fcntl(libc::F_GETFL),
    Call::fcntl(libc::F_SETFL),
];

const CONTROL: &[Call] = &[
    // Connections, and the event of the machine's end.
    Call::of(libc::SYS_accept4),
    Call::of(libc::SYS_read),
    Call::of(libc::SYS_poll),
    Call::of(libc::SYS_ppoll),
];

/// Calls by which the standard library looks for itself when a panic is to show its way, and the C library for the
/// number of CPUs when its ninth arena is due. They fail, the message comes out without names, and sched_getaffinity
/// is asked instead: neither is an attack.
pub(super) const ANSWERED_WITH_AN_ERROR: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_stat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
];
