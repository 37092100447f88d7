//! A software CPU: a thread that runs an address space through a TLB of its own.
//!
//! Invariant: the TLB is flushed by nobody but the flushes of its address space, and [`AddressSpace::flush_tlb`]
//! returns only when no access of this CPU through a flushed entry is in flight, as an IPI is acknowledged between
//! two instructions.

use std::sync::Arc;

use crate::address::{Access, VirtAddr};
use crate::address_space::{AddressSpace, FaultError};
use crate::cache::{CacheError, Translation, TranslationCache};
use crate::port::{Accessed, Context, InFlight, Port};
use crate::trace::{Action, Agent, Event};
use crate::walker::Fault;

/// Entries of a CPU's TLB.
pub const CPU_TLB_ENTRIES: usize = 64;

/// One CPU that runs one address space.
pub struct Cpu {
    space: Arc<AddressSpace>,
    tlb: Arc<TranslationCache>,
    port: Port,
}

impl Cpu {
    /// CPU `number` with an empty TLB, known to `space` from now on.
    ///
    /// # Panics
    /// If the host has no room for its TLB. [`try_new`](Self::try_new) says so.
    #[must_use]
    pub fn new(number: u16, space: Arc<AddressSpace>) -> Self {
        match Self::try_new(number, space) {
            Ok(cpu) => cpu,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// [`CacheError`] if the host has no room for its TLB.
    pub fn try_new(number: u16, space: Arc<AddressSpace>) -> Result<Self, CacheError> {
        let tlb = Arc::new(TranslationCache::try_new(CPU_TLB_ENTRIES)?);
        space.add_tlb(Arc::clone(&tlb));
        let port = Port::new(&tlb, Arc::clone(space.frames()), Agent::Cpu(number), space.shared_observer());
        Ok(Self { space, tlb, port })
    }

    /// Loads the aligned word at `address`, faulting as often as it takes.
    ///
    /// # Errors
    /// [`FaultError`] when the address space refuses.
    pub fn load(&mut self, address: VirtAddr) -> Result<Accessed, FaultError> {
        loop {
            if let Some(accessed) = self.try_access(address, Access::Read, None) {
                return Ok(accessed);
            }
            self.fault(address, Access::Read)?;
        }
    }

    /// Stores the aligned word at `address`, faulting as often as it takes.
    ///
    /// # Errors
    /// [`FaultError`] when the address space refuses.
    pub fn store(&mut self, address: VirtAddr, value: u64) -> Result<Accessed, FaultError> {
        loop {
            if let Some(accessed) = self.try_access(address, Access::Write, Some(value)) {
                return Ok(accessed);
            }
            self.fault(address, Access::Write)?;
        }
    }

    /// Translates one aligned word and leaves the access in flight; nobody is asked to resolve a fault. Who drops it
    /// at once has walked, as speculation does.
    ///
    /// # Errors
    /// [`Fault`]; nothing is in flight then.
    pub fn translate(&mut self, address: VirtAddr, access: Access) -> Result<InFlight<'_>, Fault> {
        let context = Context { tag: self.space.id().tag(), root: self.space.table().root() };
        self.port.translate(context, address, access)
    }

    /// What its TLB holds for `address`, stale or not.
    #[must_use]
    pub fn cached(&self, address: VirtAddr) -> Option<Translation> {
        self.port.cached(self.space.id().tag(), address)
    }

    /// Tells flushes that this CPU idles.
    pub fn pause(&mut self) {
        self.port.pause();
    }

    fn try_access(&mut self, address: VirtAddr, access: Access, store: Option<u64>) -> Option<Accessed> {
        let in_flight = self.translate(address, access).ok()?;
        Some(match store {
            Some(value) => in_flight.store(value),
            None => in_flight.load(),
        })
    }

    fn fault(&mut self, address: VirtAddr, access: Access) -> Result<(), FaultError> {
        let event = Event::now(self.port.agent(), Action::Fault, address.page(), None);
        self.space.observer().record(event);
        // Handling may flush this very CPU: it has nothing in flight, but may take long.
        self.port.pause();
        self.space.handle_fault(address, access)
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        self.space.remove_tlb(&self.tlb);
    }
}
