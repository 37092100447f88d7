//! The signal that brings a thread out of KVM_RUN.
//!
//! Invariant: a signal is never lost between the last look at the stop flag and KVM_RUN, because its handler sets
//! `immediate_exit` of the vCPU that the thread has armed; KVM looks at that word itself. The handler touches
//! nothing else. Source: Documentation/virt/kvm/api.rst, KVM_RUN, immediate_exit.
#![expect(unsafe_code, reason = "a signal handler writes one byte of kvm_run; tgkill(2)")]

use std::cell::Cell;
use std::ptr;
use std::sync::OnceLock;

use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

thread_local! {
    /// `immediate_exit` of the vCPU that this thread is about to run, or null.
    static EXIT_FLAG: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
    static THREAD: Cell<libc::pid_t> = const { Cell::new(0) };
}

/// While it lives, the signal makes this thread's KVM_RUN return at once.
pub(in crate::kvm) struct Armed {
    before: *mut u8,
}

/// Arms this thread with the byte at `exit_flag`, which must live until the guard is dropped.
pub(in crate::kvm) fn arm(exit_flag: *mut u8) -> Armed {
    Armed { before: EXIT_FLAG.replace(exit_flag) }
}

impl Drop for Armed {
    fn drop(&mut self) {
        EXIT_FLAG.set(self.before);
    }
}

/// Installs the handler, once for the process.
pub(in crate::kvm) fn install_handler() -> Result<(), kvm_ioctls::Error> {
    static INSTALLED: OnceLock<Result<(), kvm_ioctls::Error>> = OnceLock::new();
    *INSTALLED.get_or_init(|| register_signal_handler(SIGRTMIN(), on_signal))
}

/// Sends the signal to one thread of this process; nothing if the thread is gone.
pub(super) fn interrupt(thread: libc::pid_t) {
    let process = std::process::id();
    // SAFETY: tgkill takes three integers. A thread of that id in this process has our handler installed, and it
    // may come at any time.
    let _gone = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGRTMIN()) };
}

/// The calling thread's id, asked of the kernel once.
pub(super) fn current_thread() -> libc::pid_t {
    if THREAD.get() == 0 {
        // SAFETY: gettid takes nothing and always succeeds.
        THREAD.set(unsafe { libc::gettid() });
    }
    THREAD.get()
}

extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let exit_flag = EXIT_FLAG.get();
    if !exit_flag.is_null() {
        // SAFETY: the pointer is non-null only while the guard of `arm` lives, which the vCPU keeps for as long as
        // its kvm_run page is mapped; the handler runs on the thread that armed it.
        unsafe { exit_flag.write_volatile(1) };
    }
}
