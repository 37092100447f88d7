//! A thread of a device: it begins when the driver does, serves what is offered on its queues, and leaves for a reset.
//!
//! Invariant: rings and model are used by their own thread alone. A thread that has begun holds the rings that it began with
//! until it leaves. Source: VIRTIO 1.2, 2.1, 2.4 (reset).

use super::broken::Broken;
use super::chain::Chain;
use super::core::{Core, Next};
use super::model::Model;
use super::register::Settings;
use super::ring::Ring;
use super::thread::Thread;
use super::view::View;
use crate::worker::Stop;

/// The rings of a device at work, for its model.
pub struct Queues<'a> {
    core: &'a Core,
    stop: &'a Stop,
    view: &'a View,
    rings: &'a mut [Option<Ring>],
}

/// What the device's thread of that number does until it is to stop.
pub(super) fn run(core: &Core, number: usize, stop: &Stop, model: &mut dyn Model) {
    let Some(thread) = core.threads().get(number) else { return };
    let view = core.view();
    let mut rings: Vec<Option<Ring>> = Vec::new();
    while !stop.is_requested() {
        let done = match core.next(thread) {
            Next::Wait => {
                wait(thread, model);
                Ok(())
            }
            Next::Rest => {
                thread.bell().wait();
                thread.bell().hear();
                Ok(())
            }
            Next::Leave => {
                rings.clear();
                core.leave(thread);
                Ok(())
            }
            Next::Start(settings) => {
                model.start(settings.features);
                begin(core, number, &settings).map(|begun| rings = begun)
            }
            Next::Serve => model.serve(&mut Queues { core, stop, view: &view, rings: &mut rings }),
        };
        if let Err(broken) = done {
            core.break_down(&broken);
        }
    }
}

/// Whoever rang it, the rings are looked at afterwards: who rings a doorbell may leave nothing but the sound.
fn wait(thread: &Thread, model: &mut dyn Model) {
    match model.bell() {
        Some(_) => model.wait(),
        None => thread.bell().wait(),
    }
    thread.bell().hear();
    thread.ring();
}

/// The rings of the queues that the thread of that number serves.
fn begin(core: &Core, number: usize, settings: &Settings) -> Result<Vec<Option<Ring>>, Broken> {
    let ring = |(queue, place): (usize, &Option<_>)| {
        let place = place.filter(|_| core.thread_of(queue) == Some(number));
        place.map(|(place, most)| Ring::new(&place, most, settings.events)).transpose()
    };
    settings.rings.iter().enumerate().map(ring).collect()
}

impl Queues<'_> {
    /// Memory as the device sees it.
    #[must_use]
    pub fn view(&self) -> &View {
        self.view
    }

    /// Whether to leave what is at hand: the device is reset or broken, or its machine ends.
    #[must_use]
    pub fn gives_up(&self) -> bool {
        self.stop.is_requested() || self.core.is_resetting() || self.core.is_broken()
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

    /// Gives a chain back, into whose buffers `written` bytes were written, and tells the driver if it wants to know. A
    /// device that is broken gives nothing back.
    ///
    /// # Errors
    /// [`Broken`] if its ring is not there any more.
    pub fn give_back(&mut self, queue: usize, chain: &Chain, written: u32) -> Result<(), Broken> {
        let Some(Some(ring)) = self.rings.get_mut(queue).filter(|_| !self.core.is_broken()) else {
            return Ok(());
        };
        if ring.give_back(self.view, chain, written)? {
            self.core.tell_of_use(queue);
        }
        Ok(())
    }
}
