//! Images of every boot protocol, spoilt in their headers, with any module, command line and size of memory.
//!
//! Rules: loading ends with an entry or with one line; what was loaded stands in memory afterwards: every segment where
//! the file says, the module and the command line where the guest is told, and nothing over them; what the guest is told
//! lies where information goes; the memory map ascends and the ACPI tables' pointer adds up to 0.

mod image;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use vmm::boot::{self, File, Module, Payload, map};
use vmm::kvm::Entry;
use vmm::machine::acpi;
use vmm::machine::options::{Debugger, IommuKind, MachineOptions, Placement};
use vmm::sandbox::Sandbox;

use self::image::Image;
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] =
    &["multiboot", "pvh", "bzImage", "refused", "module", "segment", "further module"];

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
        masked_cpu_flags: vmm::kvm::CpuFlags::default(),
        iommu: choices.of(&[IommuKind::None, IommuKind::default()]),
        devices: Vec::new(),
        virtio: Vec::new(),
        functions: Vec::new(),
        placement: Placement::default(),
        debugger: Debugger::None,
        sandbox: Sandbox::OFF,
        tracer: None,
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
    let further = if choices.one_in(4) { 1 + choices.below(3) } else { 0 };
    let modules = (0..further).map(|_| module(choices)).collect();
    let kernel = File { name: "kernel".into(), bytes };
    Payload { kernel, initrd, modules, command_line: "quiet ".repeat(words), if_linux: Vec::new() }
}

fn module(choices: &mut Choices<'_>) -> Module {
    let len = choices.of(&[0, 1, 0xfff, 0x1000, 0x1001]);
    let file = File { name: "module".into(), bytes: vec![choices.byte(); len] };
    Module { file, command_line: "word ".repeat(choices.of(&[0, 1, 3000])) }
}

/// A module as the guest is told of it.
struct Told {
    start: u64,
    end: u64,
    line: u64,
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
        let list = self.word(told + 24);
        let element = |at| Told { start: self.word(at), end: self.word(at + 4), line: self.word(at + 8) };
        let modules: Vec<_> = (0..self.word(told + 20)).map(|number| element(list + 16 * number)).collect();
        self.check_modules(&modules, census);
        let end = self.word(told + 48) + self.word(told + 44);
        assert!(map::INFORMATION.contains(&end), "the memory map ends at {end:#x}");
    }

    fn check_linux(&self, told: u64, census: &mut Census) {
        census.note("bzImage");
        self.check_line(self.word(told + LINE), &self.payload.command_line);
        let start = self.word(told + INITRD);
        if let Some(initrd) = &self.payload.initrd {
            self.check_module(start, start + self.word(told + INITRD_BYTES), &initrd.bytes, census);
        }
    }

    fn check_pvh(&self, told: u64, census: &mut Census) {
        census.note("pvh");
        assert_eq!(self.word(told), PVH_MAGIC);
        self.check_line(self.word(told + 24), &self.payload.command_line);
        let list = self.word(told + 16);
        let element = |at| Told {
            start: self.word(at),
            end: self.word(at) + self.word(at + 8),
            line: self.word(at + 16),
        };
        let modules: Vec<_> = (0..self.word(told + 12)).map(|number| element(list + 32 * number)).collect();
        self.check_modules(&modules, census);
    }

    fn check_line(&self, at: u64, line: &str) {
        let expected: Vec<u8> = line.bytes().chain([0]).collect();
        assert!(self.holds(at, &expected), "the command line at {at:#x} is not what was given");
    }

    /// The initrd and the modules behind it, each where the guest is told, none over another.
    fn check_modules(&self, told: &[Told], census: &mut Census) {
        let first = self.payload.initrd.iter().map(|file| (file, ""));
        let further = self.payload.modules.iter().map(|module| (&module.file, module.command_line.as_str()));
        let given: Vec<_> = first.chain(further).collect();
        assert_eq!(told.len(), given.len(), "so many modules were given");
        for (told, (file, line)) in told.iter().zip(given) {
            self.check_module(told.start, told.end, &file.bytes, census);
            self.check_line(told.line, format!("{} {line}", file.name).trim_end());
        }
        if told.len() > 1 {
            census.note("further module");
        }
        let mut ranges: Vec<_> = told.iter().map(|told| (told.start, told.end)).collect();
        ranges.sort_unstable();
        assert!(
            ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "modules lie over each other: {ranges:x?}"
        );
    }

    fn check_module(&self, start: u64, end: u64, given: &[u8], census: &mut Census) {
        census.note("module");
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
