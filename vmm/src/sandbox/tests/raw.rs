//! Calls that no library makes, and an end that takes its time.
//!
//! Invariant: each is refused, or fails, or changes only the process that makes it.
#![expect(unsafe_code, reason = "makes system calls by number; atexit(3)")]

use std::thread::sleep;
use std::time::Duration;

/// What the kernel answers.
pub(super) fn call(number: libc::c_long, arguments: [i64; 6]) -> libc::c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the arguments that the tests give are integers, or pointers to nothing; memory that is mapped is new.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// From now on this process needs a while to end, in which its other threads run.
pub(super) fn end_slowly() {
    extern "C" fn wait() {
        sleep(Duration::from_millis(200));
    }
    // SAFETY: the function takes nothing, returns, and is there as long as the program.
    assert_eq!(unsafe { libc::atexit(wait) }, 0, "there is room for a handler");
}
