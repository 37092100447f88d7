//! What to do about a host that refuses something.
//!
//! Invariant: advice follows from the kernel's answer alone, however many errors it is wrapped in; without one that is known
//! the caller's own advice stands. Source: errno(3), setrlimit(2), pthread_create(3).

use std::error::Error;
use std::io;

/// What to do about `error`, or else `otherwise`.
pub(crate) fn remedy(error: &(dyn Error + 'static), otherwise: &'static str) -> &'static str {
    match errno(error) {
        Some(libc::EMFILE) => "raise `ulimit -n`",
        Some(libc::ENFILE) => "the host has too many files open: end other programs",
        Some(libc::EFBIG) => "raise `ulimit -f`",
        // A thread without room for its stack is answered so, too.
        Some(libc::EAGAIN) => {
            "raise `ulimit -u`, `ulimit -v` or the limits of the control group, or end other programs"
        }
        Some(libc::ENOMEM) => "raise `ulimit -v` or the control group's memory, or end other programs",
        _ => otherwise,
    }
}

fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut error = error;
    loop {
        if let Some(of_kvm) = error.downcast_ref::<kvm_ioctls::Error>() {
            return Some(of_kvm.errno());
        }
        // An error that another wraps is no source of it.
        error = match error.downcast_ref::<io::Error>() {
            Some(of_system) if of_system.raw_os_error().is_some() => return of_system.raw_os_error(),
            Some(wrapping) => wrapping.get_ref()?,
            None => error.source()?,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::remedy;

    #[test]
    fn the_kernels_answer_is_found_however_it_is_wrapped() {
        let system = || io::Error::from_raw_os_error(libc::EMFILE);
        let wrapped = io::Error::other(io::Error::other(system()));
        let of_kvm = kvm_ioctls::Error::new(libc::EMFILE);
        assert_eq!(remedy(&system(), "no"), "raise `ulimit -n`");
        assert_eq!(remedy(&wrapped, "no"), "raise `ulimit -n`");
        assert_eq!(remedy(&of_kvm, "no"), "raise `ulimit -n`");
    }

    #[test]
    fn who_has_no_answer_of_the_kernel_gives_advice_of_his_own() {
        for error in [io::Error::other("something"), io::Error::from_raw_os_error(libc::EPERM)] {
            assert_eq!(remedy(&error, "wait"), "wait");
        }
    }
}
