//! What each ending means for whoever comes after it.

use std::io::ErrorKind;

use super::{End, Ending};
use crate::kvm::{ProcessorError, VcpuId};

#[test]
fn each_ending_says_whether_it_is_of_the_guest_and_whether_somebody_asks_where_it_was() {
    let broken = ProcessorError::Run { vcpu: VcpuId::FIRST, source: kvm_ioctls::Error::new(libc::EINVAL) };
    for (ending, is_of_guest, asks_where) in [
        (Ending::Exit(0), true, false),
        (Ending::Exit(1), true, false),
        (Ending::Reset, true, false),
        (Ending::PoweredOff, true, false),
        (Ending::Panicked, false, false),
        (Ending::Left, false, false),
        (Ending::StaleUse, false, false),
        (Ending::TimedOut, false, true),
        (Ending::Broken(broken), false, false),
        (Ending::Signal(libc::SIGTERM), false, false),
        (Ending::Signal(libc::SIGQUIT), false, true),
        (Ending::Unheard { file: "a file".to_owned(), reason: ErrorKind::BrokenPipe }, false, false),
        (Ending::ThreadPanicked("vCPU 0".to_owned()), false, false),
    ] {
        assert_eq!((ending.is_of_guest(), ending.asks_where()), (is_of_guest, asks_where), "{ending:?}");
    }
}

#[test]
fn the_first_ending_counts_and_wakes_whoever_waits() {
    let end = End::new().expect("there is an event");
    assert!(!end.is_over() && !end.asks_where() && !is_readable(&end));
    end.finish(Ending::TimedOut);
    end.finish(Ending::Left);
    assert!(end.is_over() && end.asks_where() && is_readable(&end));
    assert!(matches!(end.take(), Ending::TimedOut));
}

fn is_readable(end: &End) -> bool {
    rustix::io::read(end.wake(), &mut [0; 8]).is_ok()
}
