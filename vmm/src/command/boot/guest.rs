//! A guest that comes with the program, by its name: image, devices, and what it is told.
//!
//! Invariant: what a driver is told of the unit is what the machine's unit has. Caches stand in no register of a unit, and
//! a check of what is still cached needs to know.

use guest_images::Guest;
use guest_images::guest::GUESTS;
use iommu::vtd::options::LargePages;

use crate::boot::{File, Module, Payload};
use crate::machine::options::{DeviceKind, IommuKind};

/// The guest called `name`.
pub(super) fn parse(name: &str) -> Result<Guest, String> {
    let names = || GUESTS.map(|guest| guest.name).join(", ");
    Guest::named(name).ok_or_else(|| format!("no guest `{name}`; there is {}", names()))
}

/// Its own devices.
pub(super) fn devices(guest: Guest) -> Result<Vec<DeviceKind>, String> {
    guest.devices.iter().map(|device| super::device::parse(device)).collect()
}

/// Its image, told what it must know, and behind that what the user adds.
pub(super) fn payload(
    guest: Guest,
    iommu: IommuKind,
    initrd: Option<File>,
    modules: Vec<Module>,
    added: &str,
) -> Payload {
    let told = guest.command_line().map(|line| format!("{line} {} ", unit(iommu))).unwrap_or_default();
    let kernel = File { name: guest.name.to_owned(), bytes: guest.file() };
    Payload { kernel, initrd, modules, command_line: format!("{told}{added}"), if_linux: Vec::new() }
}

/// The unit's caches, in the words of `--iommu`.
fn unit(iommu: IommuKind) -> String {
    let IommuKind::Vtd(unit) = iommu else { return "iommu=none".to_owned() };
    let caches = unit.vtd.caches;
    let pieces = match unit.vtd.large_pages {
        LargePages::Whole => "",
        LargePages::InPieces => " split-large=1",
    };
    format!(
        "iotlb={} paging={} context={} pasid={} interrupt={} device-tlb={}{pieces}",
        caches.iotlb, caches.paging, caches.context, caches.pasid, caches.interrupt, unit.device_tlb_entries
    )
}

#[cfg(test)]
mod tests;
