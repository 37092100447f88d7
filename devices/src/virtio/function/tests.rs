//! The transport as a driver meets it, and what it does with rings that are none.

mod broken;
mod queues;
mod random;
mod window;

use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

use super::VirtioFunction;
use crate::bus::Width;
use crate::interrupt::Level;
use crate::pci::Function;
use crate::pci::bus::configure;
use crate::pci::capability::{CapabilityId, express};
use crate::pci::config::header;
use crate::virtio::broken::Broken;
use crate::virtio::driver::{
    AVAILABLE, BUFFERS, CONFIG, DRIVER_OK, Driver, EVENT_INDEX, FEATURES, FEATURES_OK, INDIRECT, RING, TABLE,
    TABLE_OF_ITS_OWN, USED, WRITE,
};
use crate::virtio::model::Model;
use crate::virtio::rng::Rng;
use crate::virtio::service::Queues;
use crate::worker::Hooks;

fn rng() -> Driver {
    Driver::ready(Rng::identity(), Box::new(Rng), FEATURES)
}

fn fresh() -> Driver {
    Driver::new(Rng::identity(), Box::new(Rng))
}

#[test]
fn it_is_a_modern_device_whose_parts_are_where_its_capabilities_say() {
    let config = VirtioFunction::config(&Rng::identity());
    assert_eq!((config.get16(header::VENDOR), config.get16(header::DEVICE)), (0x1af4, 0x1044));
    let mut parts = Vec::new();
    let mut at = config.get16(header::CAPABILITIES) & 0xff;
    while at != 0 {
        if config.get16(at) & 0xff == 9 {
            parts.push((config.get16(at + 2) >> 8, config.get32(at + 8), config.get32(at + 12)));
        }
        at = config.get16(at) >> 8;
    }
    assert_eq!(parts, [(1, 0, 0x1000), (2, 0x3000, 0x1000), (3, 0x1000, 0x1000), (5, 0, 0)]);
    assert!(config.find(express::ID).is_some() && config.find(CapabilityId::Standard(9)).is_some());
}

#[test]
fn features_are_accepted_as_a_whole_or_not() {
    let driver = fresh();
    assert_eq!(driver.load(0x12, Width::Word), 1, "one queue");
    driver.store(0x00, Width::Dword, 1);
    assert_eq!(driver.load(0x04, Width::Dword), 3, "VERSION_1 and ACCESS_PLATFORM");
    for (features, why) in [
        (0, "nothing"),
        (1 << 32, "addresses that are not the bus's"),
        (1 << 33, "the old layout"),
        (FEATURES | 1 << 34, "packed rings, which were not offered"),
    ] {
        assert!(!driver.negotiate(features), "{why}");
        driver.store(0x14, Width::Byte, 3 | FEATURES_OK | DRIVER_OK);
        assert_eq!(driver.status(), 3, "{why}: nor does it begin");
    }
    assert!(driver.negotiate(FEATURES | EVENT_INDEX));
    driver.store(0x0c, Width::Dword, 0);
    driver.store(0x08, Width::Dword, 0);
    assert_eq!(driver.load(0x0c, Width::Dword), FEATURES & 0xffff_ffff | EVENT_INDEX, "and stay accepted");
}

#[test]
fn a_vector_that_is_not_there_is_read_back_as_none() {
    let driver = fresh();
    for (offset, known) in [(0x10, 0), (0x10, 1), (0x1a, 1)] {
        driver.store(offset, Width::Word, known);
        assert_eq!(driver.load(offset, Width::Word), known);
        driver.store(offset, Width::Word, 2);
        assert_eq!(driver.load(offset, Width::Word), 0xffff);
    }
}

#[test]
fn a_queue_that_is_not_there_has_no_entries_and_takes_nothing() {
    let driver = fresh();
    driver.store(0x16, Width::Word, 7);
    for offset in [0x18, 0x1c, 0x20, 0x30] {
        driver.store(offset, Width::Word, 8);
        assert_eq!(driver.load(offset, Width::Word), 0, "{offset:#x}");
    }
}

#[test]
fn every_offset_and_width_is_harmless() {
    let driver = fresh();
    for width in [Width::Byte, Width::Word, Width::Dword, Width::Qword] {
        for offset in (0..0x8000).step_by(3).chain(0x7ff8..0x8000).chain(0x0ff8..0x1000) {
            driver.store(offset, width, u64::MAX);
            let _any = driver.load(offset, width);
        }
    }
}

#[test]
fn entropy_comes_in_buffers_wherever_they_are_split() {
    let mut driver = rng();
    let at = BUFFERS + 0xff0;
    assert_eq!(driver.request(&[(at, 40, WRITE), (BUFFERS + 0x5000, 24, WRITE)]), 64);
    for (at, len) in [(at, 40), (BUFFERS + 0x5000, 24)] {
        assert!(driver.bytes(at, len).iter().any(|byte| *byte != 0), "{len} zero bytes are no entropy");
    }
    assert!(driver.rig.seen.messages.lock().contains(&RING));
}

#[test]
fn a_ring_goes_round_many_times() {
    let mut driver = rng();
    for round in 0..1000 {
        assert_eq!(driver.request(&[(BUFFERS, 8, WRITE)]), 8, "round {round}");
    }
}

#[test]
fn descriptors_may_lie_in_a_table_of_their_own() {
    let mut driver = rng();
    driver.describe(INDIRECT, &[(BUFFERS, 8, WRITE | 1, 1), (BUFFERS + 64, 8, WRITE, 0)]);
    driver.describe(TABLE, &[(INDIRECT, 32, TABLE_OF_ITS_OWN, 0)]);
    driver.offer(0);
    assert_eq!(driver.used(), (0, 16));
}

#[test]
fn with_an_event_index_the_driver_is_told_when_it_wants_to_be() {
    let mut driver = Driver::ready(Rng::identity(), Box::new(Rng), FEATURES | EVENT_INDEX);
    // Not before the third entry.
    driver.put(AVAILABLE + 4 + 2 * 16, &2_u16.to_le_bytes());
    for _ in 0..2 {
        driver.request(&[(BUFFERS, 8, WRITE)]);
    }
    driver.until("where it wants to hear", || driver.word(USED + 4 + 8 * 16) == 2);
    assert!(driver.rig.seen.messages.lock().is_empty(), "it is told too early");
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("an interrupt", || driver.rig.seen.messages.lock().len() == 1);
}

#[test]
fn without_msix_the_line_is_high_until_the_reason_is_read() {
    let mut driver = fresh();
    driver.begin(FEATURES);
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("the line", || *driver.rig.seen.levels.lock() == [Level::High]);
    assert_eq!(driver.load(0x1000, Width::Byte), 1, "a buffer was used");
    assert_eq!(*driver.rig.seen.levels.lock(), [Level::High, Level::Low]);
    assert_eq!(driver.load(0x1000, Width::Byte), 0);
}

#[test]
fn a_queue_may_be_given_another_vector_while_it_is_used() {
    let mut driver = rng();
    driver.store(0x16, Width::Word, 0);
    driver.store(0x1a, Width::Word, 0);
    assert_eq!(driver.load(0x1a, Width::Word), 0);
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("the other message", || *driver.rig.seen.messages.lock() == [CONFIG]);
    driver.store(0x1a, Width::Word, 1);
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("its own message", || *driver.rig.seen.messages.lock() == [CONFIG, RING]);
}

#[test]
fn a_size_that_is_none_reads_back_as_none() {
    let driver = fresh();
    for (asked, size) in [(16, 16), (3, 0), (64, 64), (128, 0), (0, 0), (1, 1), (0xffff, 0)] {
        driver.store(0x18, Width::Word, asked);
        assert_eq!(driver.load(0x18, Width::Word), size, "{asked}");
    }
}

#[test]
fn a_driver_without_an_event_index_can_say_that_it_wants_to_hear_of_nothing() {
    let mut driver = rng();
    driver.put(AVAILABLE, &1_u16.to_le_bytes());
    driver.request(&[(BUFFERS, 8, WRITE)]);
    // Which waits for the thread, and takes the word back.
    driver.reset();
    assert!(driver.rig.seen.messages.lock().is_empty());
    driver.begin(FEATURES);
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("the message of the second", || *driver.rig.seen.messages.lock() == [RING]);
}

#[test]
fn a_change_is_a_reason_also_with_msix_and_the_line_stays_low() {
    let driver = rng();
    driver.rig.device.change_config(&[]);
    assert_eq!(*driver.rig.seen.messages.lock(), [CONFIG]);
    assert_eq!(driver.load(0x1000, Width::Byte), 2);
    assert_eq!(driver.load(0x1000, Width::Byte), 0);
    assert!(!driver.rig.seen.levels.lock().contains(&Level::High));
}

#[test]
fn what_was_pending_is_not_told_after_a_reset() {
    let mut driver = rng();
    driver.store(0x401c, Width::Dword, 1);
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.until("its pending bit", || driver.load(0x5000, Width::Qword) == 2);
    driver.reset();
    assert_eq!(driver.load(0x5000, Width::Qword), 0);
    driver.store(0x401c, Width::Dword, 0);
    assert!(driver.rig.seen.messages.lock().is_empty());
}

#[test]
fn after_a_reset_nothing_is_left_and_the_next_driver_begins_anew() {
    let mut driver = rng();
    driver.request(&[(BUFFERS, 8, WRITE)]);
    driver.reset();
    for offset in [0x20, 0x28, 0x30] {
        assert_eq!(driver.load(offset, Width::Dword), 0);
    }
    driver.offer(0);
    assert_eq!(driver.word(USED + 2), 0, "it serves nobody");
    driver.reset();
    driver.begin(FEATURES);
    assert_eq!(driver.request(&[(BUFFERS, 8, WRITE)]), 8);
}

#[test]
fn a_function_level_reset_is_a_reset() {
    let driver = rng();
    let at = driver.rig.endpoint.config().find(express::ID).unwrap();
    configure(&driver.rig.endpoint, &*driver.rig.device, at + 8, Width::Word, 1 << 15);
    assert_eq!((driver.status(), driver.rig.device.read(0, 0x400c, Width::Dword)), (0, 1));
}

#[test]
fn a_driver_that_begins_does_not_wait_for_the_devices_thread() {
    let (goes, waits) = channel::<()>();
    let waits = Mutex::new(Some(waits));
    let hooks = || {
        let waits = waits.lock().take().expect("there is one thread");
        Hooks::new(move || waits.recv().expect("the test goes on"), |_| ())
    };
    let mut driver = Driver::with_hooks(Rng::identity(), Box::new(Rng).into(), &hooks);
    // Dropped before the driver, which waits for the thread.
    let goes = goes;
    driver.use_msix();
    driver.reset();
    // What is written now is not lost, although the thread has not seen the reset.
    driver.begin(FEATURES);
    goes.send(()).expect("the thread waits");
    assert_eq!(driver.request(&[(BUFFERS, 8, WRITE)]), 8);
}

/// Takes a chain, and gives it back when it is let.
struct Slow {
    has_taken: Sender<()>,
    goes: Receiver<()>,
}

impl Model for Slow {
    fn start(&mut self, _: u64) {}

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while let Some(chain) = queues.take(0)? {
            self.has_taken.send(()).expect("the test waits");
            self.goes.recv().expect("the test goes on");
            if !queues.gives_up() {
                queues.give_back(0, &chain, 0)?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_reset_is_over_when_the_thread_has_left_what_it_was_doing() {
    let (has_taken, taken) = channel();
    let (go, goes) = channel();
    let model = Box::new(Slow { has_taken, goes });
    let mut driver = Driver::ready(Rng::identity(), model, FEATURES);
    // Dropped before the driver, which waits for the thread.
    let (go, taken) = (go, taken);
    driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
    driver.offer(0);
    taken.recv().expect("the device takes it");
    driver.store(0x14, Width::Byte, 0);
    assert_ne!(driver.status(), 0, "the thread is not done");
    driver.store(0x14, Width::Byte, 3);
    go.send(()).expect("the device waits");
    driver.until("the reset", || driver.status() == 0);
    assert_eq!(driver.word(USED + 2), 0, "what was offered before is not used afterwards");
}
