//! Calls that no library makes.
//!
//! Invariant: each is refused, or fails, or changes only the process that makes it.
#![expect(unsafe_code, reason = "makes system calls by number")]

/// What the kernel answers.
pub(super) fn call(number: libc::c_long, arguments: [i64; 6]) -> libc::c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the arguments that the tests give are integers, or pointers to nothing; memory that is mapped is new.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}
