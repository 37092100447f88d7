//! The guests that come with the program: by name, with the devices that they drive.
//!
//! Invariant: a guest runs on a machine that has its devices and nothing else of its own, and says on the serial port how it
//! goes. A driver's image is one for all its programs; the command line names the program.

use crate::bare::{BareImage, ElfWidth};

/// The driver of `guest-images/driver`, an ELF64 file with a Multiboot 1 header that says where it is to be loaded.
const DRIVER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/driver.elf"));

/// A guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Guest {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The devices that it drives, as `afterimage boot --device` takes them.
    pub devices: &'static [&'static str],
    /// What it needs of the unit, as `afterimage boot --iommu vtd,` takes it; empty if nothing.
    pub unit: &'static str,
    image: Image,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Image {
    Bare(BareImage),
    /// The driver, and which of its programs.
    Driver(&'static str),
    /// One of its programs, with the mistake that the guest is named after.
    Bug(&'static str),
}

const fn bare(
    name: &'static str,
    about: &'static str,
    devices: &'static [&'static str],
    image: BareImage,
) -> Guest {
    // It tells a stale use itself, before it invalidates.
    let unit = if matches!(image, BareImage::Testdev) { "report=first-use" } else { "" };
    Guest { name, about, devices, unit, image: Image::Bare(image) }
}

const fn driver(name: &'static str, about: &'static str, unit: &'static str, image: Image) -> Guest {
    Guest { name, about, devices: &["dma-engine", "dma-engine"], unit, image }
}

/// Where a later wait, or a flush of everything, would excuse the mistake, every use before an invalidation is to count: the
/// devices idle while the driver unmaps.
const fn bug(name: &'static str, about: &'static str, unit: &'static str) -> Guest {
    driver(name, about, unit, Image::Bug("workload"))
}

/// What the name of a driver with a mistake begins with; the rest is the mistake's.
const BUG: &str = "vtd-bug-";

/// The guests, the smallest first.
pub const GUESTS: [Guest; 26] = [
    bare("hello", "says hello", &[], BareImage::Hello),
    bare("echo", "puts out what it is told, up to a `.`", &[], BareImage::Echo),
    bare("edu", "drives edu: registers, transfers, MSI, INTx", &["edu"], BareImage::Edu),
    bare(
        "testdev",
        "one stale page behind a VT-d unit, seen by iommu-testdev",
        &["iommu-testdev"],
        BareImage::Testdev,
    ),
    driver(
        "vtd-test",
        "drives a VT-d unit: every mode, what each invalidation reaches, interrupts, page requests",
        // It tells each stale use itself, before it invalidates.
        "report=first-use",
        Image::Driver("vtd-test"),
    ),
    driver(
        "vtd-race",
        "reads for a process while its pages move; --cmdline reads=N says how often",
        "",
        Image::Driver("vtd-race"),
    ),
    driver(
        "vtd-driver",
        "maps, uses, unmaps and maps again, as drivers do, without a mistake",
        "",
        Image::Driver("workload"),
    ),
    driver(
        "vtd-detach",
        "attaches a device and detaches it, by registers alone, without a mistake",
        "",
        Image::Driver("detach"),
    ),
    Guest {
        name: "virtio",
        about: "drives virtio devices behind a VT-d unit: --rng, --disk FILE (which it writes), --net user, or more of them; or --vsock CID,PATH alone, whose bytes it sends back",
        devices: &[],
        unit: "",
        image: Image::Driver("virtio"),
    },
    bug("vtd-bug-missing-flush", "unmaps pages without an invalidation", ""),
    bug("vtd-bug-wrong-domain", "invalidates unmapped pages in another domain", ""),
    bug("vtd-bug-wrong-pasid", "invalidates unmapped pages of another process", ""),
    bug("vtd-bug-ih-after-table-change", "sets IH where a page table was replaced", ""),
    bug("vtd-bug-device-tlb-first", "invalidates the device's TLB before the IOTLB", ""),
    bug("vtd-bug-device-tlb-forgotten", "invalidates the IOTLB and not the device's TLB", ""),
    bug("vtd-bug-no-wait", "waits for no invalidation", "queue=when-asked,report=first-use"),
    bug(
        "vtd-bug-free-before-wait",
        "gives pages back before the wait is over",
        "queue=when-asked,report=first-use",
    ),
    bug("vtd-bug-cm-map-without-flush", "maps without an invalidation though CAP.CM is 1", "caching-mode=on"),
    bug("vtd-bug-pasid-entry-kept", "changes PASID entries and keeps their cached copies", ""),
    bug("vtd-bug-context-entry-kept", "moves devices and keeps their cached context entries", "scalable=off"),
    bug("vtd-bug-interrupt-entry-kept", "moves interrupts and keeps their cached entries", ""),
    bug("vtd-bug-pasid-entry-in-place", "changes PASID entries that are present, word by word", "pasid=0"),
    bug(
        "vtd-bug-context-entry-in-place",
        "changes context entries that are present, word by word",
        "scalable=off,context=0",
    ),
    bug(
        "vtd-bug-interrupt-entry-in-place",
        "changes interrupt entries that are present, half by half",
        "interrupt=0",
    ),
    driver(
        "vtd-bug-context-cache-forgotten",
        "detaches a device by registers and invalidates the IOTLB alone",
        "",
        Image::Bug("detach"),
    ),
    bug(
        "vtd-bug-large-page-half-flushed",
        "unmaps the middle of large pages and invalidates one page of it",
        // The rest goes with the domain soon after.
        "split-large=on,report=first-use",
    ),
];

impl Guest {
    /// The guest of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        GUESTS.into_iter().find(|guest| guest.name == name)
    }

    /// The image as a file.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        match self.image {
            Image::Bare(image) => image.elf(ElfWidth::Bits32),
            Image::Driver(_) | Image::Bug(_) => DRIVER.to_vec(),
        }
    }

    /// What it must be told, besides what the unit keeps; none if it reads no command line.
    #[must_use]
    pub fn command_line(&self) -> Option<String> {
        match self.image {
            Image::Bare(_) => None,
            Image::Driver(program) => Some(format!("run={program}")),
            // Once is enough to see it.
            Image::Bug(program) => {
                let mistake = self.name.strip_prefix(BUG).unwrap_or_default();
                Some(format!("run={program} rounds=1 bug={mistake}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{GUESTS, Guest};

    #[test]
    fn a_guest_is_found_by_its_name_alone() {
        let names: HashSet<_> = GUESTS.iter().map(|guest| guest.name).collect();
        assert_eq!(names.len(), GUESTS.len());
        assert!(GUESTS.iter().all(|guest| Guest::named(guest.name) == Some(*guest)));
        assert_eq!(Guest::named("nobody"), None);
    }

    #[test]
    fn every_image_is_an_elf_file() {
        assert!(GUESTS.iter().all(|guest| guest.file().starts_with(b"\x7fELF")));
    }
}
