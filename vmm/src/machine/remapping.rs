//! The remapping unit as part of the board: its registers at their place.
//!
//! Invariant: the unit sees accesses of 32 and 64 bits; others read 0 and write nothing.

use std::sync::Arc;

use devices::bus::{Registers, Width};
use iommu::vtd::{self, Vtd};

/// The unit's registers.
pub struct UnitRegisters(pub Arc<Vtd>);

impl Registers for UnitRegisters {
    fn read(&self, offset: u64, width: Width) -> u64 {
        unit_width(width).map_or(0, |width| self.0.read(offset, width))
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        if let Some(width) = unit_width(width) {
            self.0.write(offset, width, value);
        }
    }
}

const fn unit_width(width: Width) -> Option<vtd::Width> {
    match width {
        Width::Byte | Width::Word => None,
        Width::Dword => Some(vtd::Width::Bits32),
        Width::Qword => Some(vtd::Width::Bits64),
    }
}

#[cfg(test)]
mod tests;
