//! Which track what happens lies on.
//!
//! Invariant: a track is named before anything is written on it, and keeps its place; each port of a device has one of its own, for
//! one thread at a time uses it.

use std::collections::{HashMap, HashSet};

use iommu::stale::told::Part;
use pcie::SourceId;
use tracks::trace::{Sink, Trace, Track};

use crate::kvm::VcpuId;

/// Whoever takes the text.
pub type Text = Box<dyn Sink + Send>;

const PROCESSORS: u32 = 1;
const DEVICES: u32 = 2;
const UNIT: u32 = 3;
const STALE: u32 = 4;

/// Tracks of walks lie behind the caches of the unit.
const WALKS: u32 = 0x2_0000;
/// Tracks of device TLBs lie behind the others of the unit.
const DEVICE_TLBS: u32 = 0x1_0000;
/// Tracks of stale uses lie behind those of changes.
const USES: u32 = 0x1_0000;
/// Lanes of changes, and of uses: what is at one time lies side by side.
const LANES: u32 = 16;

/// Where something lies that happens now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Unit(Part),
    PageRequests,
    Interrupts,
}

/// What lies side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Change,
    Use,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    named: HashSet<Track>,
    /// Ports of each device.
    ports: HashMap<SourceId, u8>,
}

impl Places {
    pub(super) fn new(trace: &mut Trace<Text>) -> Self {
        trace.name_process(PROCESSORS, "Processors");
        trace.name_process(DEVICES, "Devices");
        trace.name_process(UNIT, "Remapping unit");
        trace.name_process(STALE, "Stale uses");
        Self::default()
    }

    pub(super) fn port(&mut self, trace: &mut Trace<Text>, source: SourceId) -> Track {
        let number = self.ports.entry(source).or_default();
        let thread = 1 + (u32::from(source.0) << 8) + u32::from(*number);
        let name = if *number == 0 { source.to_string() } else { format!("{source}, port {number}") };
        // More share the last one: then slices are moved behind each other.
        *number = number.saturating_add(1);
        self.named(trace, Track { process: DEVICES, thread }, name)
    }

    pub(super) fn processor(&mut self, trace: &mut Trace<Text>, id: VcpuId) -> Track {
        let thread = u32::try_from(id.user_id()).expect("a machine has 64 processors at most");
        self.named(trace, Track { process: PROCESSORS, thread }, id.to_string())
    }

    pub(super) fn track(&mut self, trace: &mut Trace<Text>, place: Place) -> Track {
        let (thread, name) = match place {
            Place::Unit(Part::Invalidations) => (1, "Invalidation queue".to_owned()),
            Place::Unit(Part::Iotlb) => (2, "IOTLB".to_owned()),
            Place::Unit(Part::ContextCache) => (4, "Context cache".to_owned()),
            Place::Unit(Part::PasidCache) => (5, "PASID cache".to_owned()),
            Place::Unit(Part::InterruptCache) => (6, "Interrupt entry cache".to_owned()),
            Place::Unit(Part::Faults) => (7, "Faults".to_owned()),
            Place::PageRequests => (8, "Page requests".to_owned()),
            Place::Interrupts => (9, "Interrupts".to_owned()),
            Place::Unit(Part::Walker(source)) => (WALKS + u32::from(source.0), format!("Walks for {source}")),
            Place::Unit(Part::DeviceTlb(source)) => {
                (DEVICE_TLBS + u32::from(source.0), format!("Device TLB of {source}"))
            }
        };
        self.named(trace, Track { process: UNIT, thread }, name)
    }

    /// A lane on which nothing lies from then on; the last, if there is none.
    pub(super) fn lane(&mut self, trace: &mut Trace<Text>, lane: Lane, begin_ns: u64) -> Track {
        let (first, name) = match lane {
            Lane::Change => (1, "Tables changed"),
            Lane::Use => (USES, "Stale uses"),
        };
        let track = |number| Track { process: STALE, thread: first + number };
        let is_free = |number: &u32| trace.end_of(track(*number)) <= begin_ns;
        let number = (0..LANES).find(is_free).unwrap_or(LANES - 1);
        let name = if number == 0 { name.to_owned() } else { format!("{name} {}", number + 1) };
        self.named(trace, track(number), name)
    }

    pub(super) fn count(&self, trace: &mut Trace<Text>, at_ns: u64, name: (&str, &str), value: u64) {
        trace.counter(UNIT, at_ns, name, value);
    }

    fn named(&mut self, trace: &mut Trace<Text>, track: Track, name: String) -> Track {
        if self.named.insert(track) {
            trace.name_track(track, name);
        }
        track
    }
}
