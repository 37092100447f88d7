//! A device's thread: it begins when the driver does, serves what is offered, breaks down, and is reset.
//!
//! Invariant: rings and model are used by this thread alone. After a reset nothing of what was before is used, and who asked
//! for it can see when it is over. A device that is broken touches no memory until it is reset. Source: VIRTIO 1.2, 2.1,
//! 2.4 (reset), 2.7.7.2 (interrupts), 4.1.5.3 (their ways).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mmu::memory::PhysicalMemory;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::broken::Broken;
use super::chain::Chain;
use super::model::{Identity, Model};
use super::register::{Registers, Settings};
use super::ring::Ring;
use super::view::View;
use crate::link::bell::Bell;
use crate::pci::Endpoint;
use crate::pci::capability::msix::{Table, Vector};
use crate::worker::{Stop, Worker};

/// Reasons to interrupt by the line.
const USED_A_BUFFER: u8 = 1;
const CONFIGURATION: u8 = 2;
/// Lines about what drivers do wrong, for each device: a guest decides how often.
const MOST_LINES: u32 = 16;

/// What the driver's side and the thread share.
pub(super) struct Core {
    endpoint: Arc<Endpoint>,
    memory: Arc<PhysicalMemory>,
    identity: Identity,
    /// The device's configuration, and how often it changed.
    config: Mutex<(Vec<u8>, u8)>,
    table: Table,
    registers: Mutex<Registers>,
    /// The thread has put the registers back.
    is_reset: Condvar,
    /// Why the line is asked for.
    reasons: Mutex<u8>,
    is_resetting: AtomicBool,
    has_begun: AtomicBool,
    /// A doorbell was rung since the rings were looked at.
    is_rung: AtomicBool,
    /// What wakes the thread: the driver's doorbells, and whoever has something for it.
    bell: Arc<Bell>,
    told: AtomicU32,
}

/// The rings of a device at work, for its model.
pub struct Queues<'a> {
    core: &'a Core,
    stop: &'a Stop,
    view: &'a View,
    rings: &'a mut [Option<Ring>],
}

/// What the thread does next.
enum Next {
    Reset,
    Start(Settings),
    Serve,
    /// There is nothing to do until the driver says so, or whom the device serves besides.
    Wait,
    /// There is no driver.
    Rest,
}

impl Core {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        memory: Arc<PhysicalMemory>,
        identity: Identity,
        vectors: u16,
        bell: Arc<Bell>,
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
            has_begun: AtomicBool::new(false),
            is_rung: AtomicBool::new(false),
            bell,
            told: AtomicU32::new(0),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
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

    /// There may be something to do.
    pub(super) fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
    }

    /// Why the line was asked for; it is not any more.
    pub(super) fn take_reasons(&self) -> u8 {
        let mut reasons = self.reasons.lock();
        self.endpoint.lower();
        std::mem::take(&mut *reasons)
    }

    /// The device is to be as after power-on. Returns when it is, or when `limit` is over: the registers show that it is not
    /// yet. Before a driver has begun nobody waits for the thread: its status would look as after the reset already.
    pub(super) fn reset(&self, worker: &Worker<()>, limit: Option<Duration>) {
        let mut registers = self.registers.lock();
        if !self.has_begun.load(Ordering::Acquire) {
            return self.put_back(&mut registers);
        }
        self.is_resetting.store(true, Ordering::Release);
        worker.wait_until(|_| !self.is_resetting(), &mut registers, &self.is_reset, limit);
    }

    /// Whether it is not over yet.
    pub(super) fn is_resetting(&self) -> bool {
        self.is_resetting.load(Ordering::Acquire)
    }

    /// The thread.
    pub(super) fn run(&self, stop: &Stop, model: &mut dyn Model) {
        let view = View::new(Arc::clone(&self.endpoint), Arc::clone(&self.memory));
        let mut rings: Vec<Option<Ring>> = Vec::new();
        while !stop.is_requested() {
            let done = match self.next() {
                Next::Wait => {
                    self.wait(model);
                    Ok(())
                }
                Next::Rest => {
                    self.bell.wait();
                    self.bell.hear();
                    Ok(())
                }
                Next::Reset => {
                    rings.clear();
                    self.finish_reset();
                    Ok(())
                }
                Next::Start(settings) => {
                    model.start(settings.features);
                    begin(&settings).map(|begun| rings = begun)
                }
                Next::Serve => model.serve(&mut Queues { core: self, stop, view: &view, rings: &mut rings }),
            };
            if let Err(broken) = done {
                self.break_down(&broken);
            }
        }
    }

    fn next(&self) -> Next {
        let registers = self.registers.lock();
        if self.is_resetting() {
            return Next::Reset;
        }
        if !registers.is_live() {
            return Next::Rest;
        }
        if !self.has_begun.swap(true, Ordering::AcqRel) {
            // What was offered before the driver began is served as well.
            self.ring();
            return Next::Start(registers.settings());
        }
        if self.is_rung.swap(false, Ordering::AcqRel) { Next::Serve } else { Next::Wait }
    }

    /// Whoever rang it, the rings are looked at afterwards: who rings a doorbell may leave nothing but the sound.
    fn wait(&self, model: &mut dyn Model) {
        match model.bell() {
            Some(_) => model.wait(),
            None => self.bell.wait(),
        }
        self.bell.hear();
        self.ring();
    }

    fn finish_reset(&self) {
        let mut registers = self.registers.lock();
        self.put_back(&mut registers);
        self.is_resetting.store(false, Ordering::Release);
        self.is_reset.notify_all();
    }

    /// As after power-on; the thread uses nothing, and what the driver was not told of yet it never hears of.
    fn put_back(&self, registers: &mut Registers) {
        registers.reset();
        self.take_reasons();
        self.table.forget_pending();
        self.is_rung.store(false, Ordering::Release);
        self.has_begun.store(false, Ordering::Release);
    }

    fn break_down(&self, broken: &Broken) {
        let mut registers = self.registers.lock();
        // What is seen during a reset is half of what was and half of what will be.
        if self.is_resetting() {
            return;
        }
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
    fn tell_of_use(&self, queue: usize) {
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

fn begin(settings: &Settings) -> Result<Vec<Option<Ring>>, Broken> {
    let ring = |(place, most)| Ring::new(&place, most, settings.events);
    settings.rings.iter().map(|ring_at| ring_at.map(ring).transpose()).collect()
}

impl Queues<'_> {
    /// Memory as the device sees it.
    #[must_use]
    pub fn view(&self) -> &View {
        self.view
    }

    /// Whether to leave what is at hand: the device is reset, or its machine ends.
    #[must_use]
    pub fn gives_up(&self) -> bool {
        self.stop.is_requested() || self.core.is_resetting()
    }

    /// The next chain of that queue; none if there is none, or the driver has no such queue.
    ///
    /// # Errors
    /// [`Broken`] if what is offered is none.
    pub fn take(&mut self, queue: usize) -> Result<Option<Chain>, Broken> {
        if self.gives_up() {
            return Ok(None);
        }
        match self.rings.get_mut(queue) {
            Some(Some(ring)) => ring.take(self.view),
            Some(None) | None => Ok(None),
        }
    }

    /// Gives a chain back, into whose buffers `written` bytes were written, and tells the driver if it wants to know.
    ///
    /// # Errors
    /// [`Broken`] if its ring is not there any more.
    pub fn give_back(&mut self, queue: usize, chain: &Chain, written: u32) -> Result<(), Broken> {
        let Some(Some(ring)) = self.rings.get_mut(queue) else { return Ok(()) };
        if ring.give_back(self.view, chain, written)? {
            self.core.tell_of_use(queue);
        }
        Ok(())
    }
}
