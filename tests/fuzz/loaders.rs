//! Images of every boot protocol, spoilt in their headers, with any module, command line and size of memory.
//!
//! Rules: loading ends with an entry or with one line; what was loaded stands in memory afterwards: every segment where
//! the file says, the module and the command line where the guest is told, and nothing over them; what the guest is told
//! lies where information goes; the memory map ascends and the ACPI tables' pointer adds up to 0.

mod image;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use vmm::boot::{self, File, Payload, map};
use vmm::kvm::Entry;
use vmm::machine::acpi;
use vmm::machine::options::{IommuKind, MachineOptions};
use vmm::sandbox::Sandbox;

use self::image::Image;
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] = &["multiboot", "pvh", "bzImage", "refused", "module", "segment"];

/// What EAX holds if it was a Multiboot image.
const MULTIBOOT: u32 = 0x2bad_b002;
const PVH_MAGIC: u64 = 0x336e_c578;
/// Offsets in Linux's parameters.
const INITRD: u64 = 0x218;
const INITRD_BYTES: u64 = 0x21c;
const LINE: u64 = 0x228;

/// Images that one input holds at most: each takes few decisions.
const MOST_IMAGES: usize = 4;

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    for _ in 0..MOST_IMAGES {
        load(choices, census);
        if choices.is_over() {
            return;
        }
    }
}

fn load(choices: &mut Choices<'_>, census: &mut Census) {
    let options = MachineOptions {
        memory_bytes: (2 + choices.below(6)) << 20,
        processors: 1 + choices.below(64).to_le_bytes()[0],
        iommu: choices.of(&[IommuKind::None, IommuKind::default()]),
        devices: Vec::new(),
        sandbox: Sandbox::OFF,
    };
    let image = Image::new(choices);
    let payload = payload(image.bytes(choices), options.memory_bytes, choices);
    let memory = PhysicalMemory::new(options.memory_bytes).expect("some MiB can be mapped");
    let entry = match boot::load(&memory, &payload) {
        Ok(entry) => entry,
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.len() < 500, "no single line: {line}");
            return census.note("refused");
        }
    };
    acpi::write(&memory, &options);
    let guest = Guest { memory: &memory, payload: &payload };
    guest.check_entry(&entry, census);
    for (at, bytes) in image::segments(&payload.kernel.bytes, &entry) {
        assert!(guest.holds(at, bytes), "a segment at {at:#x} is not what the file holds");
        census.note("segment");
    }
    guest.check_acpi();
    let regions = map::regions(options.memory_bytes);
    assert!(regions.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{regions:?}");
}

/// The image with whatever goes with it; a module may be so large that it just fits above the image, or does not.
fn payload(bytes: Vec<u8>, memory_bytes: u64, choices: &mut Choices<'_>) -> Payload {
    let initrd = choices.one_in(2).then(|| {
        let most = memory_bytes - map::HIGH_MEMORY;
        let len = choices.of(&[0, 1, 0x3000, most / 2, most - 0x2400, most - 0x1400, most]);
        let len = usize::try_from(len).unwrap_or(0);
        let first = choices.byte();
        File { name: "initrd".into(), bytes: (first..=u8::MAX).cycle().take(len).collect() }
    });
    let words = choices.of(&[0, 0, 1, 5, 300, 90_000]);
    Payload { kernel: File { name: "kernel".into(), bytes }, initrd, command_line: "quiet ".repeat(words) }
}

/// What the guest finds.
struct Guest<'a> {
    memory: &'a PhysicalMemory,
    payload: &'a Payload,
}

impl Guest<'_> {
    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_bytes(PhysAddr(at), &mut bytes);
        bytes
    }

    fn word(&self, at: u64) -> u64 {
        devices::bus::value_of(&self.bytes(at, 4))
    }

    fn holds(&self, at: u64, bytes: &[u8]) -> bool {
        self.bytes(at, bytes.len()) == bytes
    }

    fn check_entry(&self, entry: &Entry, census: &mut Census) {
        let told = |at: u32| {
            assert!(map::INFORMATION.contains(&at.into()), "{at:#x} is not where information goes");
            u64::from(at)
        };
        told(entry.descriptors);
        if entry.eax == MULTIBOOT {
            self.check_multiboot(told(entry.ebx), census);
        } else if entry.esi != 0 {
            self.check_linux(told(entry.esi), census);
        } else {
            self.check_pvh(told(entry.ebx), census);
        }
    }

    fn check_multiboot(&self, told: u64, census: &mut Census) {
        census.note("multiboot");
        let line = format!("kernel {}", self.payload.command_line);
        self.check_line(self.word(told + 16), line.trim_end());
        if self.word(told + 20) != 0 {
            let module = self.word(told + 24);
            self.check_module(self.word(module), self.word(module + 4), census);
        }
        let end = self.word(told + 48) + self.word(told + 44);
        assert!(map::INFORMATION.contains(&end), "the memory map ends at {end:#x}");
    }

    fn check_linux(&self, told: u64, census: &mut Census) {
        census.note("bzImage");
        self.check_line(self.word(told + LINE), &self.payload.command_line);
        let start = self.word(told + INITRD);
        if self.payload.initrd.is_some() {
            self.check_module(start, start + self.word(told + INITRD_BYTES), census);
        }
    }

    fn check_pvh(&self, told: u64, census: &mut Census) {
        census.note("pvh");
        assert_eq!(self.word(told), PVH_MAGIC);
        self.check_line(self.word(told + 24), &self.payload.command_line);
        if self.word(told + 12) != 0 {
            let module = self.word(told + 16);
            self.check_module(self.word(module), self.word(module) + self.word(module + 8), census);
        }
    }

    fn check_line(&self, at: u64, line: &str) {
        let expected: Vec<u8> = line.bytes().chain([0]).collect();
        assert!(self.holds(at, &expected), "the command line at {at:#x} is not what was given");
    }

    fn check_module(&self, start: u64, end: u64, census: &mut Census) {
        census.note("module");
        let given = self.payload.initrd.as_ref().map_or(&[][..], |file| &file.bytes);
        assert_eq!(end - start, given.len() as u64, "the module has another length");
        assert!(self.holds(start, given), "the module at {start:#x} is not what was given");
    }

    fn check_acpi(&self) {
        let pointer = self.bytes(map::ACPI, 36);
        assert_eq!(&pointer[..8], b"RSD PTR ");
        let sum = pointer.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0, "the ACPI tables' pointer does not add up");
    }
}
