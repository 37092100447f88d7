//! Interrupt remapping: every interrupt of a device or an IOAPIC passes here on its way to the CPUs.
//!
//! Invariant: with remapping on, only what an entry admits gets through, and the entry decides where to. An IOAPIC's
//! source is not checked: the entry holds the function behind it. The unit's own events are not remapped.
//! Source: VT-d 5.1 (remapping), 6.2.6 (interrupt entry cache), 7.2.2 (faults).

use mmu::address::{Access, PhysAddr, VirtAddr};
use pcie::Msi;
pub use pcie::MsiSink;
use pcie::SourceId;

use crate::spec::command::InterruptTable;
use crate::spec::fault::{AddressType, FaultReason, FaultRecord};
use crate::spec::interrupt::{ENTRY_BYTES, Format, InterruptEntry, has_reserved};
use crate::vtd::Vtd;
use crate::vtd::options::CachingMode;
use crate::vtd::route::Refusal;
use crate::vtd::witness::{Happening, InterruptUse, Loaded, Moment, Used};

/// Readings of an entry's words before they count as they came: software replaces both at once.
const ATTEMPTS: usize = 4;

/// Where an interrupt comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InterruptSource {
    /// A function's message.
    Function(SourceId),
    /// An IOAPIC's, known under this source id.
    IoApic(SourceId),
}

/// GSTS.IRES and GSTS.CFIS, with IRTA as SIRTP took it over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InterruptMode {
    pub(super) table: InterruptTable,
    pub(super) enabled: bool,
    pub(super) compatibility: bool,
}

/// An entry as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CachedInterrupt {
    entry: InterruptEntry,
    /// When; none if nobody wants to know.
    filled: Option<Moment>,
}

impl InterruptMode {
    pub(super) const OFF: Self = Self {
        table: InterruptTable { base: PhysAddr(0), count: 0, x2apic: false },
        enabled: false,
        compatibility: false,
    };
}

impl InterruptSource {
    const fn id(self) -> SourceId {
        match self {
            Self::Function(source) | Self::IoApic(source) => source,
        }
    }
}

impl Vtd {
    /// Remaps `message` and sends it.
    ///
    /// # Errors
    /// The reason, recorded in the fault log, if it is blocked.
    pub fn interrupt(&self, source: InterruptSource, message: Msi) -> Result<(), FaultReason> {
        let remapped = self.remap(source, message)?;
        self.sink.send(remapped);
        Ok(())
    }

    /// What `message` becomes.
    ///
    /// # Errors
    /// As [`interrupt`](Self::interrupt).
    pub fn remap(&self, source: InterruptSource, message: Msi) -> Result<Msi, FaultReason> {
        self.try_remap(source, message).map_err(|blocked| {
            if !blocked.hides_faults {
                self.record_interrupt_fault(source.id(), message, blocked.reason);
            }
            blocked.reason
        })
    }

    fn try_remap(&self, source: InterruptSource, message: Msi) -> Result<Msi, Refusal> {
        let mode = *self.interrupt_mode.read();
        if !mode.enabled {
            return Ok(message);
        }
        let Format::Remappable { index } = Format::of(message) else {
            let passes = mode.compatibility && !mode.table.x2apic;
            return if passes { Ok(message) } else { Err(FaultReason::CompatibilityBlocked.into()) };
        };
        if has_reserved(message) {
            return Err(FaultReason::InterruptRequestReserved.into());
        }
        let index = u16::try_from(index).ok().filter(|&index| u32::from(index) < mode.table.count);
        let index = index.ok_or(FaultReason::InterruptIndex)?;
        let entry = self.interrupt_entry(mode.table, index, source)?;
        check(entry, mode.table, source)
            .map_err(|reason| Refusal { reason, hides_faults: entry.hides_faults() })?;
        Ok(entry.message(mode.table.x2apic))
    }

    fn interrupt_entry(
        &self,
        table: InterruptTable,
        index: u16,
        source: InterruptSource,
    ) -> Result<InterruptEntry, FaultReason> {
        let place = table.base.offset(u64::from(index) * ENTRY_BYTES);
        if let Some(cached) = self.interrupt_entries.get(&index) {
            self.check_interrupt(table, index, source, cached);
            return Ok(cached.entry);
        }
        self.read_and_keep(table, index, source.id(), || {
            let entry = self.read_entry(place)?;
            if let Some(witness) = self.witness() {
                let (source, words) = (source.id(), entry.0);
                witness.loaded(Loaded::InterruptEntry { source, index, place, words });
            }
            Some(entry)
        })
    }

    /// What `read` reads; it is kept if it is sound, unless it was invalidated since before it was read.
    fn read_and_keep(
        &self,
        table: InterruptTable,
        index: u16,
        source: SourceId,
        read: impl FnOnce() -> Option<InterruptEntry>,
    ) -> Result<InterruptEntry, FaultReason> {
        let ticket = self.interrupt_entries.ticket();
        let entry = read().ok_or(FaultReason::InterruptTableAccess)?;
        let sound = entry.is_present() && !entry.has_reserved(table.x2apic);
        if sound || self.options.caching_mode == CachingMode::AlsoAbsent {
            let happening = Happening::InterruptEntry(source, index);
            let filled = self.witness().map(|witness| witness.happen(happening));
            self.interrupt_entries.fill(ticket, index, CachedInterrupt { entry, filled });
        }
        Ok(entry)
    }

    /// Tells of the use of a cached entry if the table makes something else of the interrupt, and the cache still has it.
    fn check_interrupt(
        &self,
        table: InterruptTable,
        index: u16,
        source: InterruptSource,
        cached: CachedInterrupt,
    ) {
        let Some(filled) = cached.filled else { return };
        let place = table.base.offset(u64::from(index) * ENTRY_BYTES);
        let now = self.read_entry(place);
        let becomes =
            |entry: InterruptEntry| check(entry, table, source).map(|()| entry.message(table.x2apic));
        let agrees = now.is_some_and(|now| becomes(now) == becomes(cached.entry));
        if !agrees && self.interrupt_entries.get(&index) == Some(cached) {
            let (source, cached, now) = (source.id(), cached.entry.0, now.map(|now| now.0));
            let used = InterruptUse { source, index, cached, filled, place, now };
            let _no_page = self.tell_used(Used::Interrupt(&used));
        }
    }

    /// The table, as SIRTP took it over.
    pub(crate) fn interrupt_table(&self) -> InterruptTable {
        self.interrupt_mode.read().table
    }

    /// The words of a table's entries.
    pub(crate) fn entries_of(&self, table: InterruptTable) -> impl Fn(u16) -> Option<[u64; 2]> {
        move |index| {
            let place = table.base.offset(u64::from(index) * ENTRY_BYTES);
            self.read_entry(place).map(|entry| entry.0)
        }
    }

    fn read_entry(&self, place: PhysAddr) -> Option<InterruptEntry> {
        words(|offset| self.memory.try_load(place.offset(offset))).map(InterruptEntry)
    }

    fn record_interrupt_fault(&self, source: SourceId, message: Msi, reason: FaultReason) {
        let index = match Format::of(message) {
            Format::Remappable { index } => u64::from(index),
            Format::Compatibility => 0,
        };
        self.record_fault(&FaultRecord {
            reason,
            source,
            pasid: None,
            address: VirtAddr(index << 48),
            access: Access::Write,
            address_type: AddressType::Untranslated,
        });
    }
}

/// Both words of an entry, of one moment if software lets them be.
fn words(mut load: impl FnMut(u64) -> Option<u64>) -> Option<[u64; 2]> {
    let mut low = load(0)?;
    for _ in 0..ATTEMPTS {
        let high = load(8)?;
        let again = load(0)?;
        if again == low {
            return Some([low, high]);
        }
        low = again;
    }
    Some([low, load(8)?])
}

fn check(entry: InterruptEntry, table: InterruptTable, source: InterruptSource) -> Result<(), FaultReason> {
    if !entry.is_present() {
        return Err(FaultReason::InterruptNotPresent);
    }
    let rule = entry.source_check().filter(|_| !entry.has_reserved(table.x2apic));
    let rule = rule.ok_or(FaultReason::InterruptEntryReserved)?;
    match source {
        InterruptSource::Function(function) if !rule.admits(function) => Err(FaultReason::InterruptSource),
        InterruptSource::Function(_) | InterruptSource::IoApic(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
