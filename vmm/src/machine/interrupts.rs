//! The way of an interrupt from a device or the I/O APIC to a local APIC.
//!
//! Invariant: KVM knows the message of every level-triggered input that has sent one, as the remapping unit made it, so
//! that its end comes back. It is told before the message is sent.

use std::sync::{Arc, OnceLock};

use devices::interrupt::Pin;
use devices::io_apic::{Outlet, PINS, Trigger};
use devices::upstream::Sink;
use iommu::vtd::Vtd;
use iommu::vtd::interrupts::InterruptSource;
use parking_lot::Mutex;
use pcie::{Msi, MsiSink, SourceId};

use super::tracer::Tracer;
use crate::kvm::Vm;
use crate::kvm::vm::Delivered;

/// The source id of the I/O APIC, which the DMAR table names and no device on the bus has.
pub const IO_APIC_SOURCE: SourceId = SourceId::new(0xf0, 31, 0);

/// The local APICs, as devices see them.
pub struct Interrupts {
    vm: Arc<Vm>,
    /// What each input sent last, if it was level triggered.
    routes: Mutex<[Option<Msi>; PINS as usize]>,
    /// What remaps the I/O APIC's messages, if there is a unit.
    unit: OnceLock<Arc<Vtd>>,
    tracer: Option<Arc<Tracer>>,
}

impl Interrupts {
    /// Those of `vm`; each that is delivered is told to `tracer`.
    #[must_use]
    pub fn new(vm: Arc<Vm>, tracer: Option<Arc<Tracer>>) -> Arc<Self> {
        Arc::new(Self { vm, routes: Mutex::new([None; PINS as usize]), unit: OnceLock::new(), tracer })
    }

    /// From now on, `unit` remaps what the I/O APIC sends. The first one counts.
    pub fn remap_by(&self, unit: Arc<Vtd>) {
        self.unit.get_or_init(|| unit);
    }

    /// For messages of devices.
    #[must_use]
    pub fn sink(self: &Arc<Self>) -> Sink {
        let own = Arc::clone(self);
        Arc::new(move |message| own.send(message))
    }

    fn route(&self, pin: Pin, message: Msi) {
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

impl MsiSink for Interrupts {
    fn send(&self, message: Msi) {
        if let Some(tracer) = &self.tracer {
            tracer.interrupted(message);
        }
        match self.vm.send(message) {
            Ok(Delivered::Taken) => {}
            Ok(Delivered::Lost) => log::debug!("{message:x?} reached no local APIC"),
            Err(error) => log::warn!("{message:x?} was not delivered: {error}"),
        }
    }
}

impl Outlet for Interrupts {
    fn forward(&self, pin: Pin, message: Msi, trigger: Trigger) {
        let remapped = match self.unit.get() {
            None => Ok(message),
            Some(unit) => unit.remap(InterruptSource::IoApic(IO_APIC_SOURCE), message),
        };
        match remapped {
            Err(reason) => log::info!("{pin:?}: {message:x?} is blocked: {reason}"),
            Ok(message) => {
                if trigger == Trigger::Level {
                    self.route(pin, message);
                }
                self.send(message);
            }
        }
    }
}
