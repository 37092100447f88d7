//! The stage of one run: one address space, and everybody who uses it.
//!
//! Invariant: the secondary MMUs are subscribed before the first user starts, and every user has stopped before the
//! address space goes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use devices::dma_engine::{DmaEngine, Progress, Work};
use guest_images::layout::{AREA_PAGES, AREA_VA, CONTROL_VA};
use iommu::sva::port::DmaPort;
use iommu::sva::{BindError, SvaDriver, SvaError, SvaOptions};
use mmu::address::{VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, BadRange, Merging, SharedObject};
use mmu::cache::CacheError;
use mmu::cpu::Cpu;
use mmu::frame::{Frames, OutOfFrames};
use mmu::memory::MemoryError;
use mmu::table::Levels;
use mmu::trace::{Agent, Observer};
use parking_lot::Mutex;
use pcie::{BadPasid, Pasid};
use steps::program::Program;
use thiserror::Error;

use super::board::{Board, User};
use super::guest::{CpuKind, Guest, GuestError, GuestParts};
use super::party::{Party, UserError};
use super::recorder::Recorder;
use super::tally::{Counts, Tally};
use crate::remedy::remedy;

/// Pages under test.
pub const PAGES: u64 = 4;
/// Physical memory of a run, in bytes: small, so that freed frames come round again and are checked.
const MEMORY_BYTES: u64 = 16 << 20;
/// What a device keeps of its translations, beside the IOTLB.
const DEVICE_TLB_ENTRIES: usize = 64;
/// Accesses of a vCPU between two offers of its CPU to others.
const YIELD_EVERY: u64 = 1 << 14;
/// The number of the address space, and its PASID.
const SPACE: SpaceId = SpaceId(1);

/// Who is on stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cast {
    /// What vCPUs are.
    pub cpu: CpuKind,
    /// How many of them.
    pub vcpus: u16,
    /// DMA engines.
    pub devices: u16,
    /// CPU threads.
    pub cpus: u16,
}

impl Cast {
    fn users(&self) -> Vec<Vec<User>> {
        let kind = |numbers: Range<u16>, agent: fn(u16) -> Agent| {
            numbers.map(|number| User::of(agent(number))).collect()
        };
        vec![
            kind(0..self.vcpus, Agent::Vcpu),
            kind(1..self.cpus + 1, Agent::Cpu),
            kind(0..self.devices, Agent::Device),
        ]
    }
}

/// What stops a run.
#[derive(Debug, Error)]
pub enum StageError {
    /// No memory for the machine.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// No frames left in it.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
    /// The address space's layout is wrong.
    #[error(transparent)]
    Range(#[from] BadRange),
    /// No room for a TLB.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The unit or a device has no room.
    #[error(transparent)]
    Sva(#[from] SvaError),
    /// The PASID is wrong.
    #[error(transparent)]
    Pasid(#[from] BadPasid),
    /// The PASID cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The guest cannot start or go on.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A CPU or a device cannot go on.
    #[error("{agent}: {source}")]
    User {
        /// Who.
        agent: Agent,
        /// Why.
        source: UserError,
    },
    /// The host has no thread left.
    #[error("cannot start a thread: {error}; {}", remedy(.0, "end other programs"), error = .0)]
    Thread(#[from] std::io::Error),
    /// A user did not take its turn.
    #[error("{agent} made no progress for 2 s: it did not write page {page} in its turn; {activity}")]
    NoProgress {
        /// Who.
        agent: Agent,
        /// Which page.
        page: u64,
        /// What it does.
        activity: String,
    },
}

impl StageError {
    /// Whether the host lacks memory or threads.
    #[must_use]
    pub fn is_of_host(&self) -> bool {
        match self {
            Self::Memory(_)
            | Self::Cache(_)
            | Self::Sva(SvaError::Cache(_))
            | Self::Thread(_)
            | Self::Guest(GuestError::Cache(_) | GuestError::Thread(_)) => true,
            Self::OutOfFrames(_)
            | Self::Sva(SvaError::OutOfFrames(_))
            | Self::Range(_)
            | Self::Pasid(_)
            | Self::Bind(_)
            | Self::Guest(
                GuestError::System(_)
                | GuestError::Vm(_)
                | GuestError::Vcpu(_)
                | GuestError::Zap(_)
                | GuestError::User(_)
                | GuestError::OutOfFrames(_),
            )
            | Self::User { .. }
            | Self::NoProgress { .. } => false,
        }
    }
}

/// One address space and everybody on it.
pub struct Stage {
    /// The frames.
    pub frames: Arc<Frames>,
    /// The address space.
    pub space: Arc<AddressSpace>,
    /// Where turns are given.
    pub board: Board,
    /// Who may be given one: the vCPUs, the CPUs, the devices.
    pub users: Vec<Vec<User>>,
    guest: Guest,
    cpus: Vec<JoinHandle<()>>,
    engines: Vec<DmaEngine<DeviceWork>>,
    tallies: Vec<(Agent, Arc<Tally>)>,
    trouble: Trouble,
}

/// What CPU threads and engines share with the operator.
#[derive(Clone, Default)]
struct Trouble {
    stopped: Arc<AtomicBool>,
    first: Arc<Mutex<Option<StageError>>>,
}

/// What a DMA engine does here.
struct DeviceWork {
    agent: Agent,
    party: Party,
    trouble: Trouble,
}

impl Stage {
    /// Builds the address space and starts everybody; COW is broken by `break_cow`.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn set(cast: Cast, break_cow: Program, recorder: &Arc<Recorder>) -> Result<Self, StageError> {
        let frames = Frames::new(MEMORY_BYTES)?;
        let observer = Arc::clone(recorder) as Arc<dyn Observer>;
        let options = SpaceOptions { levels: Levels::Four, break_cow, observer: Arc::clone(&observer) };
        let space = AddressSpace::new(Arc::clone(&frames), SPACE, options)?;
        let parts = GuestParts {
            frames: Arc::clone(&frames),
            space: Arc::clone(&space),
            observer,
            pages: PAGES,
            vcpus: cast.vcpus,
        };
        let guest = Guest::build(cast.cpu, &parts)?;
        let board = map_pages_and_board(&space, &guest)?;
        let mut stage = Self {
            board,
            frames,
            space,
            users: cast.users(),
            guest,
            cpus: Vec::new(),
            engines: Vec::new(),
            tallies: Vec::new(),
            trouble: Trouble::default(),
        };
        stage.guest.start()?;
        (1..=cast.cpus).try_for_each(|number| stage.start_cpu(number))?;
        stage.start_devices(cast.devices)?;
        Ok(stage)
    }

    fn start_cpu(&mut self, number: u16) -> Result<(), StageError> {
        let user = User::of(Agent::Cpu(number));
        let party = self.party(user);
        let cpu = Cpu::try_new(number, Arc::clone(&self.space))?;
        let trouble = self.trouble.clone();
        let builder = thread::Builder::new().name(format!("cpu-{number}"));
        self.cpus.push(builder.spawn(move || run_cpu(cpu, party, user.agent, &trouble))?);
        Ok(())
    }

    fn start_devices(&mut self, devices: u16) -> Result<(), StageError> {
        let driver = SvaDriver::new(Arc::clone(&self.frames), SvaOptions::default())?;
        let pasid = Pasid::new(u32::from(SPACE.0))?;
        driver.bind(pasid, &self.space)?;
        for number in 0..devices {
            let user = User::of(Agent::Device(number));
            let party = self.party(user);
            let device = driver.attach(number, DEVICE_TLB_ENTRIES)?;
            let port = DmaPort::new(&driver, device, pasid, self.space.shared_observer());
            let work = DeviceWork { agent: user.agent, party, trouble: self.trouble.clone() };
            self.engines.push(DmaEngine::start(number, port, work)?);
        }
        Ok(())
    }

    fn party(&mut self, user: User) -> Party {
        let tally = Arc::new(Tally::default());
        self.tallies.push((user.agent, Arc::clone(&tally)));
        Party::new(user, PAGES, tally, self.space.shared_observer())
    }

    /// What everybody of a kind did so far: CPUs, vCPUs, devices.
    #[must_use]
    pub fn counts(&self) -> [Counts; 3] {
        let mut counts = [Counts::default(); 3];
        for (agent, tally) in &self.tallies {
            counts[if matches!(agent, Agent::Cpu(_)) { 0 } else { 2 }] += tally.counts();
        }
        self.guest.counts().into_iter().for_each(|vcpu| counts[1] += vcpu);
        counts
    }

    /// The first trouble that somebody ran into.
    ///
    /// # Errors
    /// That trouble.
    pub fn check(&self) -> Result<(), StageError> {
        if let Some(failure) = self.guest.take_failure() {
            return Err(failure.into());
        }
        self.trouble.first.lock().take().map_or(Ok(()), Err)
    }

    /// What a user is doing, for messages.
    #[must_use]
    pub fn activity(&self, agent: Agent) -> String {
        match agent {
            Agent::Vcpu(number) => self.guest.activity(usize::from(number)),
            _ => "is the host starved of CPU?".to_owned(),
        }
    }

    /// Stops everybody.
    ///
    /// # Errors
    /// The first trouble that somebody ran into.
    pub fn strike(&mut self) -> Result<(), StageError> {
        self.trouble.stopped.store(true, Ordering::Release);
        self.guest.stop(&self.board);
        self.engines.clear();
        for thread in self.cpus.drain(..) {
            // A panic has been printed by its own thread.
            let _ended = thread.join();
        }
        self.check()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Trouble that nobody asked about any more.
        let _trouble = self.strike();
    }
}

/// The pages under test and their twins in one private, mergeable area; the board in a shared one.
fn map_pages_and_board(space: &AddressSpace, guest: &Guest) -> Result<Board, StageError> {
    let pages = VirtRange::pages(VirtAddr(AREA_VA), AREA_PAGES);
    space.map(pages, Backing::PrivateAnonymous, Merging::Mergeable)?;
    let frame = guest.board_frame();
    let board = Board::new(Arc::clone(space.frames().memory()), frame.pfn().address());
    let object = Backing::Shared(Arc::new(SharedObject::of([frame])));
    space.map(VirtRange::page(VirtAddr(CONTROL_VA)), object, Merging::Off)?;
    board.set_up(PAGES, YIELD_EVERY);
    Ok(board)
}

impl Trouble {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn note(&self, agent: Agent, source: UserError) {
        if source != UserError::Stopped {
            self.first.lock().get_or_insert(StageError::User { agent, source });
        }
    }
}

fn run_cpu(mut cpu: Cpu, mut party: Party, agent: Agent, trouble: &Trouble) {
    while !trouble.is_stopped() {
        if let Err(error) = party.play(&mut cpu, &|| trouble.is_stopped()) {
            return trouble.note(agent, error);
        }
        cpu.pause();
        thread::yield_now();
    }
}

impl Work for DeviceWork {
    fn proceed(&mut self, port: &mut DmaPort) -> Progress {
        let trouble = &self.trouble;
        match self.party.play(port, &|| trouble.is_stopped()) {
            Ok(()) if trouble.is_stopped() => Progress::Done,
            Ok(()) => Progress::Idle,
            Err(error) => {
                trouble.note(self.agent, error);
                Progress::Done
            }
        }
    }
}
