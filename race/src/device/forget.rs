//! What a device's driver tells the unit and the device to forget, and what comes of it when the device does not answer.
//!
//! Invariant: a descriptor names what it is said of, and nothing more. Source: VT-d 6.5.2; PCIe 10.3 (ATS).

use iommu::spec::descriptor::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, DeviceSpan, Hint, IotlbScope, PageSpan, PasidScope,
};
use ordering::lowering::{Numbers, PageId, PasidId};
use pcie::Pasid;
use steps::{CacheKind, Depth, Invalidation, Reach};

use super::Device;
use crate::stuck::Stuck;
use crate::unit::requests::{DOMAIN, SOURCE};

impl Device<'_> {
    /// It answers nothing from now on.
    pub(crate) fn falls_silent(self) {
        self.unit.unit.hold_device_tlb(SOURCE);
    }

    /// It does not answer in time that it has forgotten `pages`, and keeps them.
    pub(crate) fn times_out(
        self,
        invalidation: &Invalidation<Numbers>,
        pages: &[PageId],
    ) -> Result<(), Stuck> {
        let whole = self.whole(invalidation);
        let descriptors: Vec<_> = match whole {
            Some(pasid) => vec![of_device(Some(pasid), DeviceSpan::All)],
            None => pages.iter().map(|page| self.of_device(*page)).collect(),
        };
        let is_gone = self.machine.is_plugged_in(self.user).is_err();
        self.unit.gives_up(&descriptors, is_gone)
    }

    /// The PASID of which all is to be forgotten, if that is said.
    fn whole(self, invalidation: &Invalidation<Numbers>) -> Option<Pasid> {
        let whole = matches!(invalidation.reach(), Reach::Pasid(_)) && invalidation.depth() == Depth::All;
        self.own().filter(|_| whole).and_then(|id| self.number(id))
    }

    /// The unit and the device are told to forget `pages`, and the driver waits until they have.
    pub(crate) fn forget(self, invalidation: &Invalidation<Numbers>, pages: &[PageId]) -> Result<(), Stuck> {
        let whole = self.whole(invalidation);
        let unit = || match whole {
            Some(pasid) => vec![Descriptor::Iotlb { scope: IotlbScope::Pasid(DOMAIN, pasid), drains: true }],
            None => pages.iter().map(|page| self.of_unit(*page, invalidation.depth())).collect(),
        };
        let device = || match whole {
            _ if !self.is_ahead() => Vec::new(),
            Some(pasid) => vec![of_device(Some(pasid), DeviceSpan::All)],
            None => pages.iter().map(|page| self.of_device(*page)).collect(),
        };
        let descriptors: Vec<Descriptor> = match invalidation.caches() {
            CacheKind::Cpus | CacheKind::Vcpus => return Ok(()),
            CacheKind::PasidCaches => self.own().into_iter().map(|id| self.of_entry(id)).collect(),
            CacheKind::Iotlbs => unit(),
            CacheKind::DeviceTlbs => device(),
            CacheKind::Devices => [unit(), device()].concat(),
        };
        self.unit.forget(&descriptors)
    }

    fn span(self, page: PageId, hint: Hint) -> PageSpan {
        PageSpan { address: self.address(page), log2_pages: 0, hint }
    }

    fn of_unit(self, page: PageId, depth: Depth) -> Descriptor {
        let hint = match depth {
            Depth::All => Hint::EveryLevel,
            Depth::Leaf => Hint::LeavesOnly,
        };
        let (space, span) = (self.space(page), self.span(page, hint));
        let scope = match space.pasid {
            Some(pasid) => IotlbScope::PasidPages(space.domain, pasid, span),
            None => IotlbScope::Pages(space.domain, span),
        };
        Descriptor::Iotlb { scope, drains: true }
    }

    fn of_entry(self, id: PasidId) -> Descriptor {
        match self.number(id) {
            Some(pasid) => Descriptor::PasidCache(PasidScope::Pasid(DOMAIN, pasid)),
            None => Descriptor::ContextCache(ContextScope::Device { source: SOURCE, ignored_bits: 0 }),
        }
    }

    fn of_device(self, page: PageId) -> Descriptor {
        of_device(self.pasid(page), self.span(page, Hint::LeavesOnly).into())
    }
}

fn of_device(pasid: Option<Pasid>, span: DeviceSpan) -> Descriptor {
    let pasid = pasid.map_or(DevicePasid::Without, DevicePasid::One);
    Descriptor::DeviceTlb(DeviceScope { source: SOURCE, pasid, span })
}
