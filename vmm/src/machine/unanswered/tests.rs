//! What is told, and how often.

use std::thread;

use super::*;

fn access(kind: Kind, address: u64, len_bytes: usize) -> Access {
    Access { kind, address, len_bytes }
}

#[test]
fn an_access_is_told_once_with_its_address_and_size() {
    let unanswered = Unanswered::default();
    for (kind, address, len_bytes, line) in [
        (Kind::In, 0x2f8, 1, "nobody answers: in of 1 byte from port 0x2f8"),
        (Kind::Out, 0x2f8, 2, "nobody answers: out of 2 bytes to port 0x2f8"),
        (Kind::Load, 0xfed0_0000, 4, "nobody answers: load of 4 bytes from 0xfed00000"),
        (Kind::Store, 0xfed0_0000, 8, "nobody answers: store of 8 bytes to 0xfed00000"),
    ] {
        let found = [len_bytes, len_bytes, 1].map(|len| unanswered.line(access(kind, address, len)));
        assert_eq!(found, [Some(line.to_owned()), None, None]);
    }
}

#[test]
fn a_guest_that_goes_through_all_addresses_gets_so_many_lines_and_one_that_says_so() {
    let unanswered = Unanswered::default();
    let lines = |from: u64, to: u64| -> Vec<String> {
        (from..to).filter_map(|address| unanswered.line(access(Kind::Load, address, 1))).collect()
    };
    let told = lines(0, 1000);
    assert_eq!(told.len(), MOST_TOLD + 1);
    assert_eq!(told[MOST_TOLD], "nobody answers more than 64 accesses; no other is told");
    assert_eq!(lines(2000, 3000), Vec::<String>::new());
    assert_eq!(unanswered.told.lock().len(), MOST_TOLD + 1, "no more is remembered");
    assert!(unanswered.is_full.load(Ordering::Relaxed), "no lock is taken any more");
}

#[test]
fn processors_that_come_at_once_get_no_line_twice() {
    let unanswered = Unanswered::default();
    let count = |from: u64| {
        (0..1000).filter_map(|at| unanswered.line(access(Kind::Out, (from + at) % 50, 1))).count()
    };
    let told: usize = thread::scope(|scope| {
        let count = &count;
        let threads: Vec<_> = (0..4).map(|from| scope.spawn(move || count(10 * from))).collect();
        threads.into_iter().map(|thread| thread.join().expect("nothing panics")).sum()
    });
    assert_eq!(told, 50);
}

#[test]
fn what_nobody_listens_to_is_not_remembered() {
    // No test of this process has a logger.
    assert!(!log_enabled!(Level::Info));
    let unanswered = Unanswered::default();
    unanswered.tell(access(Kind::In, 0x2f8, 1));
    assert!(unanswered.told.lock().is_empty());
}
