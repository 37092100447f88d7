//! Readers that read, that do not, and that are gone.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use devices::serial::Transmit;
use parking_lot::Mutex;

use super::{Account, MOST_TURN, MOST_WAITING, PIECE, Patience, Spool};

/// For what comes.
const LONG: Patience = Patience { idle: Duration::from_secs(60), total: Duration::from_secs(60) };
/// For what does not.
const SHORT: Patience = Patience { idle: Duration::from_millis(5), total: Duration::from_millis(5) };

/// A file that takes what it is allowed to, and fails when nobody allows anything any more.
struct Gate {
    allowed: Receiver<io::Result<usize>>,
    written: Written,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let allowed = self.allowed.recv().map_err(|_| ErrorKind::BrokenPipe)??;
        let len = allowed.min(bytes.len());
        self.written.lock().extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Written = Arc<Mutex<Vec<u8>>>;

fn gate() -> (Spool, Sender<io::Result<usize>>, Written) {
    let (sender, allowed) = channel();
    let written = Arc::new(Mutex::default());
    let file = Gate { allowed, written: Arc::clone(&written) };
    (Spool::start("test", || {}, file).expect("there is a thread"), sender, written)
}

#[test]
fn all_is_written_in_its_order_to_a_file_that_takes_it_in_pieces() {
    let (spool, gate, written) = gate();
    spool.put(b"abc");
    spool.put(b"def");
    let refusals = [ErrorKind::Interrupted, ErrorKind::WouldBlock].map(|kind| Err(kind.into()));
    let all = [1, 4].map(Ok).into_iter().chain(refusals).chain([6, 6].map(Ok));
    all.for_each(|allowed| gate.send(allowed).expect("the thread waits"));
    assert_eq!(spool.settle(Instant::now(), LONG), Account::default());
    assert_eq!(*written.lock(), b"abcdef");
}

#[test]
fn whoever_writes_does_not_wait_for_whoever_reads() {
    let (spool, gate, written) = gate();
    let piece = vec![b'x'; MOST_WAITING / 2];
    let mut sender = spool.clone();
    sender.send(b"x");
    while spool.0.state.lock().taken == 0 {
        thread::yield_now();
    }
    (0..8).for_each(|_| sender.send(&piece));
    let most = MOST_WAITING as u64;
    assert_eq!(
        spool.settle(Instant::now(), SHORT),
        Account { lost: 3 * most, unwritten: most + 1, failure: None }
    );
    assert!(sender.room_bytes() == 0);
    // The reader is back.
    let all = MOST_WAITING + 1;
    (0..=all / 1000).for_each(|_| gate.send(Ok(1 << 16)).expect("the thread waits"));
    assert_eq!(spool.settle(Instant::now(), LONG).unwritten, 0);
    assert!(sender.room_bytes() > 0 && written.lock().len() == all);
}

#[test]
fn a_reader_that_is_gone_is_told_and_stops_nobody() {
    let (spool, gate, _) = gate();
    drop(gate);
    let mut sender = spool.clone();
    sender.send(b"abc");
    let account = spool.settle(Instant::now(), LONG);
    assert_eq!(account, Account { lost: 0, unwritten: 3, failure: Some(ErrorKind::BrokenPipe) });
    assert_eq!(spool.failure(), Some(ErrorKind::BrokenPipe));
    sender.send(b"de");
    assert!(sender.room_bytes() > 0, "the guest goes on");
    assert_eq!(spool.settle(Instant::now(), SHORT).lost, 2);
}

#[test]
fn a_guest_goes_on_when_the_file_failed_that_its_bytes_wait_for() {
    let (spool, gate, _) = gate();
    let mut sender = spool.clone();
    sender.send(b"x");
    while spool.0.state.lock().taken == 0 {
        thread::yield_now();
    }
    sender.send(&vec![b'x'; MOST_WAITING]);
    assert!(sender.room_bytes() == 0);
    drop(gate);
    assert_eq!(spool.settle(Instant::now(), LONG).failure, Some(ErrorKind::BrokenPipe));
    assert!(sender.room_bytes() > 0);
}

#[test]
fn a_file_that_takes_no_byte_has_failed() {
    let (spool, gate, _written) = gate();
    spool.put(b"abc");
    gate.send(Ok(0)).expect("the thread waits");
    assert_eq!(spool.settle(Instant::now(), LONG).failure, Some(ErrorKind::WriteZero));
}

#[test]
fn a_text_has_lines_of_its_own_and_is_there_whole_or_not_at_all() {
    let (spool, gate, written) = gate();
    spool.put_lines("first");
    spool.put(b"guest");
    assert!(spool.is_line_open());
    spool.put_lines("second\nthird");
    spool.put_lines(&"x".repeat(MOST_WAITING));
    assert!(!spool.is_line_open());
    (0..9).for_each(|_| gate.send(Ok(100)).expect("the thread waits"));
    let account = spool.settle(Instant::now(), LONG);
    assert_eq!((account.lost, account.unwritten), (MOST_WAITING as u64 + 1, 0));
    assert_eq!(String::from_utf8_lossy(&written.lock()), "first\nguest\nsecond\nthird\n");
}

/// What is unwritten when the wait is over, which it is within a minute.
fn unwritten(spool: &Spool, begun: Instant, patience: Patience) -> u64 {
    let (spool, (tell, settled)) = (spool.clone(), channel());
    thread::spawn(move || tell.send(spool.settle(begun, patience)).is_ok());
    settled.recv_timeout(Duration::from_secs(60)).expect("the wait ends").unwritten
}

#[test]
fn the_wait_ends_when_nothing_is_taken_and_goes_on_while_something_is() {
    let (spool, gate, _) = gate();
    spool.put(&[0; 8]);
    let (moment, hour) = (Duration::from_millis(5), Duration::from_secs(3600));
    let unwritten = |idle, total| unwritten(&spool, Instant::now(), Patience { idle, total });
    assert_eq!(unwritten(hour, moment), 8, "in all");
    assert_eq!(unwritten(moment, hour), 8, "while nothing is taken");
    gate.send(Ok(8)).expect("the thread waits");
    assert_eq!(spool.settle(Instant::now(), LONG).unwritten, 0);
}

#[test]
fn a_thread_that_never_gets_its_turn_is_not_waited_for_for_ever() {
    let file = Gate { allowed: channel().1, written: Arc::default() };
    let (keep, never) = channel::<()>();
    let begin = move || assert!(never.recv().is_err());
    let spool = Spool::start("test", begin, file).expect("there is a thread");
    spool.put(b"abc");
    let hour = Duration::from_secs(3600);
    // Nearly all of the time is over.
    let begun = Instant::now().checked_sub(MOST_TURN.mul_f64(0.99)).unwrap_or_else(Instant::now);
    assert_eq!(unwritten(&spool, begun, Patience { idle: hour, total: hour }), 3);
    drop(keep);
}

/// Until the thread has taken what waits.
fn wait_until_taken(spool: &Spool) {
    while spool.0.state.lock().taken == 0 {
        thread::yield_now();
    }
}

#[test]
fn of_a_file_that_is_full_no_more_than_a_piece_is_in_doubt_and_each_piece_is_progress() {
    let (spool, gate, written) = gate();
    spool.put(b"x");
    wait_until_taken(&spool);
    spool.put(&[0; 3 * PIECE]);
    [1, usize::MAX].map(Ok).into_iter().for_each(|allowed| gate.send(allowed).expect("the thread waits"));
    // The first is written, and the second begun.
    let begun = loop {
        let state = spool.0.state.lock();
        if state.taken == 2 * PIECE {
            break state.writes;
        }
        drop(state);
        thread::yield_now();
    };
    thread::sleep(Duration::from_millis(1));
    gate.send(Ok(usize::MAX)).expect("the thread waits");
    while spool.0.state.lock().taken > PIECE {
        thread::yield_now();
    }
    assert!(spool.0.state.lock().writes > begun, "the wait begins anew");
    drop(gate);
    let account = spool.settle(Instant::now(), LONG);
    assert_eq!((account.unwritten, account.failure), (PIECE as u64, Some(ErrorKind::BrokenPipe)));
    assert_eq!(written.lock().len(), 1 + 2 * PIECE);
}

#[test]
fn a_write_that_began_long_before_the_end_is_waited_for_from_the_end_on() {
    let (spool, gate, _) = gate();
    spool.put(b"x");
    wait_until_taken(&spool);
    // Nobody has read for an hour.
    let hour = Duration::from_secs(3600);
    spool.0.state.lock().writes = Instant::now().checked_sub(hour).or_else(|| Some(Instant::now()));
    let settled = thread::spawn(move || spool.settle(Instant::now(), LONG));
    thread::sleep(Duration::from_millis(20));
    gate.send(Ok(1)).expect("the thread waits");
    assert_eq!(settled.join().expect("it settles").unwritten, 0);
}
