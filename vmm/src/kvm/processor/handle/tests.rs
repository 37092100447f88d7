use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::ProcessorHandle;
use crate::kvm::VcpuId;

#[test]
fn who_is_held_rests_until_he_is_released_or_stopped() {
    for ends in [ProcessorHandle::release, ProcessorHandle::request_stop] {
        let handle = ProcessorHandle::new(VcpuId::FIRST);
        // Nobody holds it.
        handle.rest();
        handle.hold();
        let (rested, own) = (channel(), handle.clone());
        let thread = thread::spawn(move || {
            own.rest();
            rested.0.send(()).expect("somebody waits");
        });
        while !handle.is_at_rest() {
            thread::yield_now();
        }
        assert!(rested.1.try_recv().is_err(), "it is held");
        ends(&handle);
        rested.1.recv_timeout(Duration::from_secs(60)).expect("it goes on");
        thread.join().expect("it did not panic");
        assert!(!handle.is_at_rest());
    }
}
