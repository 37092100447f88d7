//! What a driver's side of a device and the device's threads share.
//!
//! Invariant: after a reset nothing of what was before is used: the last thread that leaves puts the registers back, and who
//! asked for it can see when it is over. No thread of a broken device begins to take or to give back anything until it is
//! reset; what a thread is in the midst of, it ends. Source: VIRTIO 1.2, 2.1, 2.4 (reset), 2.7.7.2 (interrupts), 4.1.5.3 (their ways).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mmu::memory::PhysicalMemory;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::broken::Broken;
use super::identity::Identity;
use super::register::{Registers, Settings};
use super::thread::Thread;
use super::view::View;
use crate::link::bell::Bell;
use crate::pci::Endpoint;
use crate::pci::capability::msix::{Table, Vector};
use crate::worker::{Worker, wait_until};

/// Reasons to interrupt by the line.
const USED_A_BUFFER: u8 = 1;
const CONFIGURATION: u8 = 2;
/// Lines about what drivers do wrong, for each device: a guest decides how often.
const MOST_LINES: u32 = 16;

/// The state of a device.
pub(super) struct Core {
    endpoint: Arc<Endpoint>,
    memory: Arc<PhysicalMemory>,
    identity: Identity,
    /// The device's configuration, and how often it changed.
    config: Mutex<(Vec<u8>, u8)>,
    table: Table,
    registers: Mutex<Registers>,
    /// The last thread has put the registers back.
    is_reset: Condvar,
    /// Why the line is asked for.
    reasons: Mutex<u8>,
    is_resetting: AtomicBool,
    is_broken: AtomicBool,
    /// One for all queues, or one for each.
    threads: Vec<Thread>,
    told: AtomicU32,
}

/// What a thread does next.
pub(super) enum Next {
    /// Lets go of the rings.
    Leave,
    Start(Settings),
    Serve,
    /// There is nothing to do until the driver says so, or whom the device serves besides.
    Wait,
    /// There is no driver.
    Rest,
}

impl Core {
    /// `bells` wake its threads: one, or one for each queue.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        memory: Arc<PhysicalMemory>,
        identity: Identity,
        vectors: u16,
        bells: Vec<Arc<Bell>>,
    ) -> Self {
        let registers = Registers::new(identity.features, &identity.queues, vectors);
        Self {
            endpoint,
            memory,
            config: Mutex::new((identity.config.clone(), 0)),
            identity,
            table: Table::new(vectors),
            registers: Mutex::new(registers),
            is_reset: Condvar::new(),
            reasons: Mutex::new(0),
            is_resetting: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            threads: bells.into_iter().map(Thread::new).collect(),
            told: AtomicU32::new(0),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Memory as the device sees it.
    pub(super) fn view(&self) -> View {
        View::new(Arc::clone(&self.endpoint), Arc::clone(&self.memory))
    }

    /// What its threads are woken by, in the order of its queues if there is one for each.
    pub(super) fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// Which of them serves that queue.
    pub(super) fn thread_of(&self, queue: usize) -> Option<usize> {
        match self.threads.len() {
            _ if queue >= self.identity.queues.len() => None,
            1 => Some(0),
            _ => Some(queue),
        }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The device's configuration, and how often it changed, modulo 256.
    pub(super) fn config(&self) -> MutexGuard<'_, (Vec<u8>, u8)> {
        self.config.lock()
    }

    /// It is this from now on, and the driver is told.
    pub(super) fn change_config(&self, bytes: &[u8]) {
        let mut config = self.config();
        config.0 = bytes.to_vec();
        config.1 = config.1.wrapping_add(1);
        drop(config);
        // Held throughout, so that nobody is told after a reset.
        let registers = self.registers();
        if registers.is_live() {
            self.tell_of_configuration(&registers);
        }
    }

    pub(super) fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers.lock()
    }

    /// Why the line was asked for; it is not any more.
    pub(super) fn take_reasons(&self) -> u8 {
        let mut reasons = self.reasons.lock();
        self.endpoint.lower();
        std::mem::take(&mut *reasons)
    }

    /// The device is to be as after power-on. Returns when it is, or when `limit` is over: the registers show that it is not
    /// yet. Before a driver has begun nobody waits for a thread: its status would look as after the reset already.
    pub(super) fn reset(&self, workers: &[Worker<()>], limit: Option<Duration>) {
        let mut registers = self.registers.lock();
        if self.nobody_has_begun() {
            return self.put_back(&mut registers);
        }
        self.is_resetting.store(true, Ordering::Release);
        wait_until(workers, |_| !self.is_resetting(), &mut registers, &self.is_reset, limit);
    }

    /// Whether it is not over yet.
    pub(super) fn is_resetting(&self) -> bool {
        self.is_resetting.load(Ordering::Acquire)
    }

    /// Whether nothing may be taken or given back.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// What the thread of `thread` does next.
    pub(super) fn next(&self, thread: &Thread) -> Next {
        let registers = self.registers.lock();
        if self.is_resetting() {
            // Who has nothing waits for the others to leave.
            return if thread.has_begun() { Next::Leave } else { Next::Rest };
        }
        if !registers.is_live() {
            return Next::Rest;
        }
        if thread.begin() {
            return Next::Start(registers.settings());
        }
        if thread.take_rung() { Next::Serve } else { Next::Wait }
    }

    /// The thread of `thread` has let go of everything. The last one that does puts the device back.
    pub(super) fn leave(&self, thread: &Thread) {
        let mut registers = self.registers.lock();
        thread.forget();
        if self.is_resetting() && self.nobody_has_begun() {
            self.put_back(&mut registers);
            self.is_resetting.store(false, Ordering::Release);
            self.is_reset.notify_all();
        }
    }

    /// Asked with the registers held, as threads begin and leave.
    fn nobody_has_begun(&self) -> bool {
        !self.threads.iter().any(Thread::has_begun)
    }

    /// As after power-on; no thread uses anything, and what the driver was not told of yet it never hears of.
    fn put_back(&self, registers: &mut Registers) {
        registers.reset();
        self.take_reasons();
        self.table.forget_pending();
        self.is_broken.store(false, Ordering::Release);
        self.threads.iter().for_each(Thread::forget);
    }

    pub(super) fn break_down(&self, broken: &Broken) {
        let mut registers = self.registers.lock();
        // What is seen during a reset is half of what was and half of what will be; a device breaks once.
        if self.is_resetting() || self.is_broken() {
            return;
        }
        self.is_broken.store(true, Ordering::Release);
        registers.break_down();
        self.tell_of_configuration(&registers);
        drop(registers);
        self.tell(broken);
    }

    fn tell(&self, broken: &Broken) {
        let (source, name) = (self.endpoint.source(), self.identity.name);
        if *broken == Broken::NotBusMaster {
            return log::debug!("{source} {name}: {broken}");
        }
        match self.told.fetch_add(1, Ordering::Relaxed) {
            ..MOST_LINES => {
                log::warn!(
                    "{source} {name}: the driver's ring is broken: {broken}; the device waits for a reset"
                );
            }
            MOST_LINES => log::warn!("{source} {name}: more broken rings, which are not told"),
            _ => {}
        }
    }

    /// The driver hears that something is used. With MSI-X there is no reason to be read.
    pub(super) fn tell_of_use(&self, queue: usize) {
        if self.endpoint.uses_msix() {
            let vector = self.registers().queue_vector(queue);
            self.send(vector);
        } else {
            self.ask(USED_A_BUFFER);
        }
    }

    /// It hears that something has changed. That is a reason with MSI-X, too; the line is not used then.
    fn tell_of_configuration(&self, registers: &Registers) {
        self.ask(CONFIGURATION);
        if self.endpoint.uses_msix() {
            self.send(registers.config_vector());
        }
    }

    fn ask(&self, reason: u8) {
        // Held throughout, so that the line does not go up after software has taken the reason away.
        let mut reasons = self.reasons.lock();
        *reasons |= reason;
        self.endpoint.hold_line();
    }

    fn send(&self, vector: Option<Vector>) {
        if let Some(vector) = vector {
            self.endpoint.raise_vector(&self.table, vector);
        }
    }
}
