//! Which caches the unit has: the command line tells, because no register does.
//!
//! Invariant: a cache of which nothing is told is one that keeps what is read.

use crate::entry::DeviceTlb;
use crate::memory::CommandLine;

/// Entries from which on a cache keeps all that the checks read.
const ENOUGH: u64 = 64;

/// Whether a cache still has what was read a moment ago.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Keeps {
    /// It is off.
    Never,
    /// It is small.
    Maybe,
    /// It is on.
    Always,
}

/// The caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caches {
    /// Translations.
    pub iotlb: Keeps,
    /// Entries above the leaves.
    pub paging: Keeps,
    /// Context entries.
    pub context: Keeps,
    /// PASID entries.
    pub pasid: Keeps,
    /// Entries of the interrupt remapping table.
    pub interrupt: Keeps,
    /// A device's own translations.
    pub device_tlb: Keeps,
    /// The pages of a large page beside those that an invalidation names.
    pub pieces: Keeps,
}

impl Keeps {
    fn of(entries: Option<u64>) -> Self {
        match entries {
            Some(0) => Self::Never,
            Some(..ENOUGH) => Self::Maybe,
            _ => Self::Always,
        }
    }
}

impl Caches {
    /// As `line` says by `iotlb=ENTRIES` and so on, and by `split-large=1`.
    #[must_use]
    pub fn of(line: &CommandLine) -> Self {
        let keeps = |name| Keeps::of(line.number(name));
        Self {
            iotlb: keeps("iotlb"),
            paging: keeps("paging"),
            context: keeps("context"),
            pasid: keeps("pasid"),
            interrupt: keeps("interrupt"),
            device_tlb: keeps("device-tlb"),
            pieces: if line.number("split-large") == Some(1) { keeps("iotlb") } else { Keeps::Never },
        }
    }

    /// Whether a device's TLB keeps its translations, if there is one in use.
    #[must_use]
    pub const fn device(&self, device_tlb: DeviceTlb) -> Keeps {
        match device_tlb {
            DeviceTlb::Off => Keeps::Never,
            DeviceTlb::On => self.device_tlb,
        }
    }

    /// Whether a translation is kept by anybody.
    #[must_use]
    pub fn translation(&self, device_tlb: DeviceTlb) -> Keeps {
        self.iotlb.max(self.device(device_tlb))
    }
}

#[cfg(test)]
mod tests {
    use super::{Caches, Keeps};
    use crate::entry::DeviceTlb;
    use crate::memory::CommandLine;

    #[test]
    fn what_is_not_told_is_kept() {
        let caches = Caches::of(&CommandLine::new("iotlb=0 paging=7 context=64 device-tlb=0"));
        let kept = [caches.iotlb, caches.paging, caches.context, caches.pasid];
        assert_eq!(kept, [Keeps::Never, Keeps::Maybe, Keeps::Always, Keeps::Always]);
        assert_eq!(caches.translation(DeviceTlb::On), Keeps::Never);
    }

    #[test]
    fn what_is_left_of_a_large_page_is_kept_where_pieces_are() {
        let pieces = |line| Caches::of(&CommandLine::new(line)).pieces;
        assert_eq!((pieces(""), pieces("split-large=1")), (Keeps::Never, Keeps::Always));
        assert_eq!(pieces("iotlb=0 split-large=1"), Keeps::Never);
    }

    #[test]
    fn a_device_keeps_what_the_unit_does_not() {
        let caches = Caches::of(&CommandLine::new("iotlb=0"));
        assert_eq!(caches.translation(DeviceTlb::Off), Keeps::Never);
        assert_eq!(caches.translation(DeviceTlb::On), Keeps::Always);
    }
}
