//! A console between a driver and a user.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Console, UserEnd, WindowSize};
use crate::bus::Width;
use crate::serial::Transmit;
use crate::virtio::driver::{BUFFERS, CONFIG, Driver, FEATURES, TABLE, USED, WRITE};

/// A reader that has room for so many bytes more, and what it was sent.
#[derive(Clone, Default)]
struct Reader(Arc<Mutex<(usize, Vec<u8>)>>);

impl Transmit for Reader {
    fn send(&mut self, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.0 = state.0.saturating_sub(bytes.len());
        state.1.extend(bytes);
    }

    fn room_bytes(&self) -> usize {
        self.0.lock().0
    }
}

/// A driver of queue `queue`, the user's end, and who reads.
fn console(queue: u64) -> (Driver, Arc<UserEnd>, Reader) {
    let reader = Reader::default();
    reader.0.lock().0 = 1 << 20;
    let user = UserEnd::new(Box::new(reader.clone()));
    let mut driver = Driver::new(Console::identity(), Box::new(Console::new(Arc::clone(&user))));
    user.connect(&driver.rig.device);
    driver.use_msix();
    driver.begin_queue(queue, FEATURES | 1);
    (driver, user, reader)
}

#[test]
fn what_the_guest_says_is_read_in_its_order() {
    let (mut driver, _, reader) = console(1);
    driver.put(BUFFERS, b"one and two");
    driver.put(BUFFERS + 0x1000, &[b'x'; 9000]);
    driver.request(&[(BUFFERS, 3, 0), (BUFFERS + 3, 8, 0)]);
    driver.request(&[(BUFFERS + 0x1000, 9000, 0)]);
    let said = reader.0.lock().1.clone();
    assert_eq!((&said[..11], said.len()), (&b"one and two"[..], 9011));
}

#[test]
fn a_reader_without_room_is_waited_for_by_nobody_and_loses_nothing() {
    let (mut driver, user, reader) = console(1);
    reader.0.lock().0 = 10;
    driver.put(BUFFERS, b"patience");
    driver.describe(TABLE, &[(BUFFERS, 8, 0, 0)]);
    driver.offer(0);
    user.look(WindowSize::default());
    assert!(reader.0.lock().1.is_empty());
    reader.0.lock().0 = 1 << 20;
    user.look(WindowSize::default());
    driver.used();
    assert_eq!(reader.0.lock().1, b"patience");
}

#[test]
fn a_chain_for_which_the_room_ends_goes_on_where_it_stopped() {
    let (mut driver, user, reader) = console(1);
    reader.0.lock().0 = 5000;
    let said: Vec<u8> = (0..9000_u32).map(|at| (at / 7).to_le_bytes()[0]).collect();
    driver.put(BUFFERS, &said);
    driver.describe(TABLE, &[(BUFFERS, 9000, 0, 0)]);
    driver.offer(0);
    driver.until("the first piece", || reader.0.lock().1.len() == 4096);
    user.look(WindowSize::default());
    assert_eq!(driver.word(USED + 2), 0, "there is more to say");
    reader.0.lock().0 = 1 << 20;
    user.look(WindowSize::default());
    assert_eq!(driver.used(), (0, 0));
    assert_eq!(reader.0.lock().1, said);
}

#[test]
fn what_one_driver_had_no_room_for_is_not_said_for_the_next() {
    let (mut driver, user, reader) = console(1);
    reader.0.lock().0 = 5000;
    driver.describe(TABLE, &[(BUFFERS, 9000, 0, 0)]);
    driver.offer(0);
    driver.until("the first piece", || reader.0.lock().1.len() == 4096);
    driver.reset();
    driver.begin_queue(1, FEATURES | 1);
    reader.0.lock().0 = 1 << 20;
    user.look(WindowSize::default());
    driver.put(BUFFERS, b"next");
    driver.request(&[(BUFFERS, 4, 0)]);
    assert_eq!(reader.0.lock().1[4096..], *b"next");
}

#[test]
fn what_the_user_types_fills_the_buffers_that_there_are() {
    let (mut driver, user, _) = console(0);
    assert!(user.is_heard());
    assert_eq!(user.offer(&[7; 5000]), 4096, "no more is kept");
    assert_eq!(user.offer(b"x"), 0);
    assert_eq!(driver.request(&[(BUFFERS, 4000, WRITE)]), 4000);
    assert_eq!(driver.request(&[(BUFFERS, 4000, WRITE)]), 96);
    assert_eq!(user.offer(b"abc"), 3);
    assert_eq!((driver.request(&[(BUFFERS, 2, WRITE)]), driver.bytes(BUFFERS, 2)), (2, b"ab".to_vec()));
}

#[test]
fn a_window_that_changes_is_told() {
    let (driver, user, _) = console(0);
    assert_eq!((driver.load(0x2000, Width::Dword), driver.load(0x15, Width::Byte)), (0, 0));
    user.look(WindowSize { columns: 132, rows: 50 });
    driver.until("the interrupt", || driver.rig.seen.messages.lock().contains(&CONFIG));
    assert_eq!((driver.load(0x2000, Width::Dword), driver.load(0x15, Width::Byte)), (50 << 16 | 132, 1));
    let told = driver.rig.seen.messages.lock().len();
    user.look(WindowSize { columns: 132, rows: 50 });
    assert_eq!(driver.rig.seen.messages.lock().len(), told, "once");
}

#[test]
fn a_device_without_a_driver_is_not_heard() {
    let user = UserEnd::new(Box::new(std::io::sink()));
    assert!(!user.is_heard());
    let driver = Driver::new(Console::identity(), Box::new(Console::new(Arc::clone(&user))));
    user.connect(&driver.rig.device);
    assert!(!user.is_heard());
    user.look(WindowSize { columns: 80, rows: 25 });
    assert_eq!(driver.load(0x2000, Width::Word), 80);
}
