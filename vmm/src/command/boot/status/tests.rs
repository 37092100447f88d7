//! The table, row by row.

use std::io::ErrorKind;

use super::{ExitCode, of};
use crate::kvm::{ProcessorError, VcpuId};
use crate::machine::ending::Ending;

fn status(ending: &Ending, stale: u64, code: ExitCode) -> u8 {
    of(ending, stale, code).0
}

#[test]
fn each_ending_has_its_status_and_a_stale_use_goes_before_what_the_guest_says() {
    let failed = |errno| {
        Ending::Broken(ProcessorError::Run { vcpu: VcpuId::FIRST, source: kvm_ioctls::Error::new(errno) })
    };
    let unheard = |reason| Ending::Unheard { file: "a file".to_owned(), reason };
    for (ending, without, with) in [
        (Ending::Exit(0), 0, 4),
        (Ending::Exit(1), 1, 4),
        (Ending::Exit(0x80), 1, 4),
        (Ending::Exit(0x100), 1, 4),
        (Ending::Panicked, 5, 4),
        (Ending::Reset, 6, 4),
        (Ending::PoweredOff, 0, 4),
        (Ending::Left, 0, 4),
        (Ending::StaleUse, 4, 4),
        (Ending::TimedOut, 124, 4),
        (failed(libc::EINVAL), 3, 4),
        (failed(libc::ENOMEM), 7, 4),
        (Ending::Signal(libc::SIGTERM), 143, 143),
        (Ending::Signal(libc::SIGQUIT), 131, 131),
        (unheard(ErrorKind::BrokenPipe), 141, 141),
        (unheard(ErrorKind::StorageFull), 7, 7),
        (Ending::ThreadPanicked("vCPU 0".to_owned()), 7, 7),
    ] {
        let found = [0, 8].map(|stale| status(&ending, stale, ExitCode::Verdict));
        assert_eq!(found, [without, with], "{ending:?}");
    }
}

#[test]
fn tests_written_for_the_debug_exit_get_its_own_status() {
    for (value, expected) in [(0, 1), (1, 3), (0x10, 33), (0x40, 129), (0xff, 255)] {
        assert_eq!(status(&Ending::Exit(value), 8, ExitCode::Guest), expected);
    }
    assert_eq!(status(&Ending::PoweredOff, 8, ExitCode::Guest), 4, "it was not used");
}
