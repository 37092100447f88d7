//! What a machine can have.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use devices::edu::EduOptions;
use devices::pci::Endpoint;
use devices::pci::bus::Function;
use devices::pci::config::ConfigSpace;
use devices::pci_engine::{Offer, PciEngineOptions};
use devices::user_network::address::Reach;
use devices::virtio::blk::disk::Disk;
use devices::virtio::console::UserEnd;
use devices::virtio::net::address::MacAddress;
use iommu::stale::watch::{StaleOptions, Watching};
use iommu::vtd::knobs::Fault;
use iommu::vtd::options::VtdOptions;

use super::tracer::Tracer;
use crate::kvm::CpuFlags;
use crate::sandbox::Sandbox;

/// The least memory that a machine has: the first MiB is not all memory.
pub const MIN_MEMORY_BYTES: u64 = 2 << 20;
/// The most, for which tables are laid out.
pub const MAX_MEMORY_BYTES: u64 = mmu::memory::MAX_MEMORY_BYTES;

/// Hardware gives a device 60 to 90 seconds (PCIe 10.3.4); nobody who tries his driver waits for that.
const NEVER_IS_TOLD_AFTER: Duration = Duration::from_secs(1);

/// How a machine is built.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Bytes of memory, from [`MIN_MEMORY_BYTES`] to [`MAX_MEMORY_BYTES`].
    pub memory_bytes: u64,
    /// Processors, 1 to 64.
    pub processors: u8,
    /// Flags that processors are not told of.
    pub masked_cpu_flags: CpuFlags,
    /// What devices reach memory through.
    pub iommu: IommuKind,
    /// Devices on the bus, in the order of their numbers from 1 on.
    pub devices: Vec<DeviceKind>,
    /// virtio devices, on the bus behind the others.
    pub virtio: Vec<VirtioKind>,
    /// Functions of whoever builds the machine, on the bus behind all others.
    pub functions: Vec<Arc<dyn OwnFunction>>,
    /// Where all of them are.
    pub placement: Placement,
    /// Whether somebody may look into its processors.
    pub debugger: Debugger,
    /// The fence around its threads.
    pub sandbox: Sandbox,
    /// Who writes down what happens, if anybody does.
    pub tracer: Option<Arc<Tracer>>,
}

/// Where devices are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// On bus 0, integrated into the root complex.
    #[default]
    Integrated,
    /// Each behind a root port of its own, on a bus of its own.
    BehindPorts,
}

impl MachineOptions {
    /// The number of the last bus: 0 has no number of its own behind a port.
    #[must_use]
    pub fn last_bus(&self) -> u8 {
        match self.placement {
            Placement::Integrated => 0,
            Placement::BehindPorts => {
                u8::try_from(self.devices.len() + self.virtio.len() + self.functions.len()).unwrap_or(u8::MAX)
            }
        }
    }
}

impl Default for MachineOptions {
    /// 64 MiB, one processor, a VT-d unit that is watched, no devices, no fence: a machine inside another program.
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            processors: 1,
            masked_cpu_flags: CpuFlags::default(),
            iommu: IommuKind::default(),
            devices: Vec::new(),
            virtio: Vec::new(),
            functions: Vec::new(),
            placement: Placement::default(),
            debugger: Debugger::None,
            sandbox: Sandbox::OFF,
            tracer: None,
        }
    }
}

/// Whether there may be a debugger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Debugger {
    /// No.
    #[default]
    None,
    /// It may come at any time.
    Welcome,
    /// The guest begins when it has come.
    Awaited,
}

/// What stands between devices and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IommuKind {
    /// Nothing.
    None,
    /// A VT-d unit.
    Vtd(UnitOptions),
}

/// A VT-d unit and what is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitOptions {
    /// How it is built.
    pub vtd: VtdOptions,
    /// Translations that a device keeps which translates ahead; 0 for none.
    pub device_tlb_entries: usize,
    /// An error of its queue, once.
    pub fault: Option<Fault>,
    /// When its queue runs.
    pub queue: QueueRuns,
    /// Whether devices answer.
    pub answers: Answers,
    /// How long the unit waits for that.
    pub answer_time_out: AnswerTimeOut,
}

/// How long a unit waits for a device's answer before it gives it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AnswerTimeOut {
    /// A second where devices never answer, otherwise for ever.
    #[default]
    AsAnswers,
    /// For ever.
    Never,
    /// For so long.
    After(Duration),
}

/// When a unit executes what software queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum QueueRuns {
    /// At the doorbell.
    #[default]
    AtOnce,
    /// At the doorbell, so many descriptors; then it stands still.
    UpTo(u64),
    /// When software looks whether it is done.
    WhenAsked,
}

/// Whether devices carry out and answer what their TLBs are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Answers {
    /// At once.
    #[default]
    Prompt,
    /// When the machine comes round to it, some milliseconds later.
    Late,
    /// Never: a wait behind such an invalidation is aborted when the unit gives the device up.
    Never,
}

impl UnitOptions {
    /// How long the unit waits for a device's answer, if not for ever.
    #[must_use]
    pub const fn answer_time_out(&self) -> Option<Duration> {
        match (self.answer_time_out, self.answers) {
            (AnswerTimeOut::After(limit), _) => Some(limit),
            (AnswerTimeOut::AsAnswers, Answers::Never) => Some(NEVER_IS_TOLD_AFTER),
            (AnswerTimeOut::AsAnswers, Answers::Prompt | Answers::Late) | (AnswerTimeOut::Never, _) => None,
        }
    }
}

impl Default for IommuKind {
    fn default() -> Self {
        Self::Vtd(UnitOptions::default())
    }
}

impl Default for UnitOptions {
    /// A unit that does what it is told, and is watched.
    fn default() -> Self {
        let stale = StaleOptions { watching: Watching::EveryUse, ..StaleOptions::default() };
        Self {
            vtd: VtdOptions { stale, ..VtdOptions::default() },
            device_tlb_entries: 64,
            fault: None,
            queue: QueueRuns::default(),
            answers: Answers::default(),
            answer_time_out: AnswerTimeOut::default(),
        }
    }
}

/// A device for the bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    /// The educational device.
    Edu(EduOptions),
    /// The device that looks behind the remapping unit.
    IommuTestdev,
    /// The DMA engine with a ring of descriptors.
    DmaEngine(PciEngineOptions),
}

impl DeviceKind {
    /// Whether it translates ahead if its driver wants it to.
    #[must_use]
    pub const fn has_tlb(&self) -> bool {
        match self {
            Self::Edu(_) | Self::IommuTestdev => false,
            Self::DmaEngine(options) => matches!(options.ats, Offer::Present),
        }
    }
}

/// A function that whoever builds the machine brings along: what it is, and how it is made when it has its place.
///
/// The endpoint is its only way out: its port to memory, through the remapping unit if there is one, its interrupts, its
/// configuration space. Its BARs are loaded and stored by any number of processors at once.
pub trait OwnFunction: fmt::Debug + Send + Sync {
    /// Its configuration space after power-on.
    fn config(&self) -> ConfigSpace;

    /// The function, on its bus.
    ///
    /// # Errors
    /// If the host refuses it something, such as a thread.
    fn make(&self, endpoint: Arc<Endpoint>) -> io::Result<Arc<dyn Function>>;
}

/// Where the cable of a network interface leads.
#[derive(Clone, Debug)]
pub enum Cable {
    /// To an interface of the host's, open.
    Tap {
        /// By which it is reached.
        descriptor: Arc<OwnedFd>,
        /// What it is called.
        name: String,
    },
    /// To a network of the program's own, from which so much is reached.
    User(Reach),
}

/// A virtio device for the bus.
#[derive(Clone, Debug)]
pub enum VirtioKind {
    /// A disk, open.
    Disk(Arc<Disk>),
    /// Entropy.
    Rng,
    /// A console, by its user's end.
    Console(Arc<UserEnd>),
    /// A network interface, its address, and where its cable leads.
    Net(MacAddress, Cable),
    /// Sockets between guest and host.
    Vsock {
        /// The guest's.
        cid: u32,
        /// Where the host reaches the guest.
        listener: Arc<OwnedFd>,
        /// By which whoever connects to the host's sockets for the guest is asked.
        errands: Arc<OwnedFd>,
    },
}
