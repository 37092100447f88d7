//! The way of an interrupt from a device or the I/O APIC to a local APIC.
//!
//! Invariant: KVM knows the message of every level-triggered input that has sent one, so that its end comes back. It is
//! told before the message is sent.

use std::sync::Arc;

use devices::interrupt::{Message, Pin};
use devices::io_apic::{Outlet, PINS, Trigger};
use devices::upstream::Sink;
use parking_lot::Mutex;

use crate::kvm::Vm;
use crate::kvm::vm::Delivered;

/// The local APICs, as devices see them.
pub struct Interrupts {
    vm: Arc<Vm>,
    /// What each input sent last, if it was level triggered.
    routes: Mutex<[Option<Message>; PINS as usize]>,
}

impl Interrupts {
    /// Those of `vm`.
    #[must_use]
    pub fn new(vm: Arc<Vm>) -> Self {
        Self { vm, routes: Mutex::new([None; PINS as usize]) }
    }

    /// For messages of devices.
    #[must_use]
    pub fn sink(self: &Arc<Self>) -> Sink {
        let own = Arc::clone(self);
        Arc::new(move |message| own.deliver(message))
    }

    fn deliver(&self, message: Message) {
        match self.vm.send(message) {
            Ok(Delivered::Taken) => {}
            Ok(Delivered::Lost) => log::debug!("{message:x?} reached no local APIC"),
            Err(error) => log::warn!("{message:x?} was not delivered: {error}"),
        }
    }

    fn route(&self, pin: Pin, message: Message) {
        let mut routes = self.routes.lock();
        let Some(route) = routes.get_mut(usize::from(pin.0)) else { return };
        if *route == Some(message) {
            return;
        }
        *route = Some(message);
        if let Err(error) = self.vm.route(&*routes) {
            log::warn!("the end of interrupt {message:x?} will not come back: {error}");
        }
    }
}

impl Outlet for Interrupts {
    fn send(&self, pin: Pin, message: Message, trigger: Trigger) {
        if trigger == Trigger::Level {
            self.route(pin, message);
        }
        self.deliver(message);
    }
}
