//! Doorbells that KVM rings: a store of the guest's rings the device's bell, and its processor goes on in the guest.
//!
//! Invariant: what KVM refuses stays an exit of the processor, which does the same. Source:
//! Documentation/virt/kvm/api.rst, KVM_IOEVENTFD.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devices::pci::bus::{Doorbell, Ringer};

use crate::kvm::Vm;

/// KVM, as who rings.
pub(super) struct KvmRinger {
    vm: Arc<Vm>,
    has_told: AtomicBool,
}

impl KvmRinger {
    pub(super) const fn new(vm: Arc<Vm>) -> Self {
        Self { vm, has_told: AtomicBool::new(false) }
    }
}

impl Ringer for KvmRinger {
    fn attach(&self, doorbell: &Doorbell) -> bool {
        let attached = self.vm.attach_bell(doorbell.address, &*doorbell.bell);
        if let Err(error) = &attached
            && !self.has_told.swap(true, Ordering::Relaxed)
        {
            log::info!("the guest is left for each store to a doorbell: {error}");
        }
        attached.is_ok()
    }

    fn detach(&self, doorbell: &Doorbell) {
        if let Err(error) = self.vm.detach_bell(doorbell.address, &*doorbell.bell) {
            log::warn!("{:#x} still rings a device that is not there any more: {error}", doorbell.address);
        }
    }
}
