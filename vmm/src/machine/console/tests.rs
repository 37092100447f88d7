//! What is kept of input, and what the console does although nothing comes. Without /dev/kvm, "skipped: ...".

use std::fs::File;
use std::io::{Write, pipe};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, ThreadId};

use devices::serial::Transmit;
use guest_images::bare::BareImage;

use super::super::Machine;
use super::super::options::{Answers, UnitOptions};
use super::super::tests::{machine, machine_of};
use super::*;
use crate::kvm::Access;

/// What passes keys on to a guest that does not run, and where they are pressed.
fn watcher(machine: &Machine, keys: Keys) -> (Watcher<'_>, File) {
    let (reader, writer) = pipe().expect("there are descriptors");
    let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
    let watcher = Watcher {
        input: Input::of(reader.into()),
        keys,
        kept: Vec::new(),
        is_watched: false,
        notes: Vec::new(),
        board: &machine.board,
        end: &machine.end,
    };
    (watcher, writer.into())
}

#[test]
fn of_the_keys_that_a_guest_does_not_read_so_many_are_kept_and_the_others_looked_at() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let (mut watcher, mut keyboard) = watcher(&machine, Keys::Open);
    keyboard.write_all(&vec![b'k'; 2 * MOST_KEPT]).expect("a pipe takes more");
    (0..2 * MOST_KEPT / 64).for_each(|_| watcher.read());
    assert_eq!(watcher.kept.len(), MOST_KEPT);
    assert!(!watcher.is_full() && !machine.end.is_over(), "of a terminal every key is looked at");
    keyboard.write_all(b"\x01x").expect("a pipe takes more");
    watcher.read();
    assert!(matches!(machine.end.take(), Ending::Left));
}

#[test]
fn of_a_pipe_nothing_is_read_before_the_guest_has_taken_what_it_gave() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let (mut watcher, mut pipe) = watcher(&machine, Keys::Plain);
    pipe.write_all(&[b'k'; 200]).expect("a pipe takes more");
    assert_eq!((watcher.offer_again(), watcher.is_full()), (None, false), "nothing is kept");
    // The port takes 64 of them.
    (0..2).for_each(|_| watcher.read());
    assert_eq!(watcher.offer_again(), Some(RETRY), "before the next round");
    assert!(watcher.is_full() && watcher.read_again().is_none());
    watcher.kept.clear();
    assert!(watcher.read_again().is_some() && watcher.read_again().is_none(), "waited for once");
}

#[test]
fn the_end_of_a_guest_is_seen_although_no_round_is_due() {
    let Some(machine) = machine(Answers::Prompt) else { return };
    let (tell, ended) = channel();
    thread::spawn(move || {
        let mut act = |_: &[String]| ControlFlow::Continue(());
        let round = Round { every: Duration::from_secs(3600), act: &mut act };
        tell.send(machine.run(Console::default(), round, Vec::new())).expect("somebody waits");
    });
    let run = ended.recv_timeout(Duration::from_secs(60)).expect("it ends");
    assert!(matches!(run.expect("the host has threads").ending, Ending::Exit(0)));
}

/// A reader that takes nothing, and notes how often the console asks.
struct Slow {
    console: ThreadId,
    asked: Arc<AtomicUsize>,
}

impl Transmit for Slow {
    fn send(&mut self, _: &[u8]) {}

    fn room_bytes(&self) -> usize {
        if thread::current().id() == self.console {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        0
    }
}

#[test]
fn a_transmitter_that_was_busy_is_looked_at_each_round() {
    let asked = Arc::new(AtomicUsize::new(0));
    let slow = Slow { console: thread::current().id(), asked: Arc::clone(&asked) };
    let machine = machine_of(BareImage::Flood, UnitOptions::default(), Box::new(slow));
    let Some(machine) = machine else { return };
    // Line status: from now on the guest waits perhaps.
    machine.board.serve(Access::In { port: 0x3fd, bytes: &mut [0] });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let mut rounds = 0;
    let mut act = |_: &[String]| {
        rounds += 1;
        if rounds < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(Ending::Left) }
    };
    let round = Round { every: Duration::from_millis(1), act: &mut act };
    machine.run(Console::default(), round, Vec::new()).expect("the host has threads");
    assert_eq!(asked.load(Ordering::Relaxed), 1 + rounds);
}
