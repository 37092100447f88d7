//! Who answers which access of a processor.
//!
//! Invariant: every access is answered by one device at most; what nobody answers reads as all ones and takes nothing.
//! A board is used by all processors at once; each device has its own lock.

use std::sync::Arc;
use std::time::Duration;

use devices::bus::{Registers, Width, fill, value_of};
use devices::debug_exit;
use devices::edu::Edu;
use devices::interrupt::{Pin, Wire};
use devices::io_apic::{self, IoApic};
use devices::iommu_testdev::IommuTestdev;
use devices::pc_testdev;
use devices::pci::PciBus;
use devices::pci::bus::{BusFull, NoRoom, Reserved, Window};
use devices::pci::host_bridge::{self, BridgeFunction, HostBridge};
use devices::pci_engine::PciEngine;
use devices::serial::{self, Output, Serial};
use devices::upstream::{Direct, Remapped, Upstream};
use devices::virtio::console::UserEnd;
use devices::worker::Hooks;
use iommu::stale::told::Listener;
use iommu::vtd::options::VtdOptions;
use iommu::vtd::{REGISTER_BYTES, Vtd};
use mmu::cache::CacheError;
use mmu::memory::PhysicalMemory;
use pcie::SourceId;
use thiserror::Error;

use super::chipset::Chipset;
use super::doorbells::KvmRinger;
use super::ending::{End, Ending};
use super::interrupts::Interrupts;
use super::options::{Answers, DeviceKind, IommuKind, MachineOptions, Placement, QueueRuns, UnitOptions};
use super::power_button::{self, PowerButton};
use super::remapping::UnitRegisters;
use super::traced::Traced;
use super::unanswered::{self, Kind, Unanswered};
use super::virtio;
use crate::boot::map;
use crate::kvm::{Access, Vm};
use crate::remedy::remedy;
use crate::sandbox::Role;

/// Why the devices do not fit.
#[derive(Debug, Error)]
pub enum BoardError {
    /// Too many.
    #[error(transparent)]
    Full(#[from] BusFull),
    /// Too large.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// No room for a cache of translations.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No thread for a device, or no event that wakes it.
    #[error("the host refuses a thread or an event for a device: {error}; {}", remedy(.0, "give fewer"), error = .0)]
    Thread(std::io::Error),
    /// No event for a device.
    #[error("the host refuses an event for a device: {error}; {}", remedy(.0, "give fewer"), error = .0)]
    Bell(std::io::Error),
    /// A function of its own cannot be made.
    #[error("a device of its own cannot be made: {error}; {}", remedy(.0, "leave it out"), error = .0)]
    Function(std::io::Error),
    /// No thread for the timer.
    #[error("the host refuses a thread for the timer: {error}; {}", remedy(.0, "end other programs"), error = .0)]
    Timer(std::io::Error),
}

/// The first of the inputs of the I/O APIC that PCI devices interrupt by, and how many there are.
const FIRST_PCI_PIN: u8 = 16;
const PCI_PINS: u8 = 8;

/// The input that all interrupt pins of device `device` lead to.
#[must_use]
pub const fn pci_pin(device: u8) -> Pin {
    Pin(FIRST_PCI_PIN + device % PCI_PINS)
}

/// Ports that restart a PC: the reset control register (a write of bit 2) and the keyboard controller's command.
pub(super) const RESET_PORT: u16 = 0xcf9;
const RESET_BIT: u64 = 1 << 2;
/// What software writes there.
pub(super) const RESET_VALUE: u8 = 0x06;
const KEYBOARD_PORT: u16 = 0x64;
const KEYBOARD_RESET: u64 = 0xfe;

/// The two registers of a hardware-reduced ACPI machine, and what is written to the first to power off.
pub(super) const SLEEP_PORT: u16 = 0x600;
pub(super) const SLEEP_STATUS_PORT: u16 = 0x601;
/// The type of the deepest sleep, S5.
pub(super) const POWER_OFF_TYPE: u8 = 5;
const POWER_OFF: u64 = (POWER_OFF_TYPE as u64) << 2 | 1 << 5;

/// How long a device that is late lets an invalidation wait, at most; and how often the time of devices that have not
/// answered is looked at.
const LATENESS: Duration = Duration::from_millis(20);
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// The devices of a machine.
pub struct Board {
    bus: Arc<PciBus>,
    bridge: HostBridge,
    /// Bytes of its window.
    ecam_bytes: u64,
    io_apic: Arc<IoApic>,
    unit: Option<UnitRegisters>,
    /// Devices that answer invalidations of their TLBs late.
    late: Vec<SourceId>,
    serial: Serial,
    /// The user's end of a virtio console.
    console: Option<Arc<UserEnd>>,
    chipset: Chipset,
    power_button: PowerButton,
    unanswered: Unanswered,
    end: Arc<End>,
}

impl Board {
    /// The devices that `options` name, in front of the memory and the local APICs of `vm`.
    ///
    /// # Errors
    /// [`BoardError`] if they do not fit.
    pub fn new(
        vm: &Arc<Vm>,
        options: &MachineOptions,
        end: Arc<End>,
        output: Output,
    ) -> Result<Self, BoardError> {
        let interrupts = Interrupts::new(Arc::clone(vm), options.tracer.clone());
        let io_apic = IoApic::new(interrupts.clone());
        let (upstream, unit) = upstream(vm, options, &interrupts)?;
        let wires: Vec<Wire> = (0..io_apic::PINS).map(|pin| Wire::new(io_apic.clone(), Pin(pin))).collect();
        let wire = |pin: Pin| wires[usize::from(pin.0)].clone();
        let mut bus = PciBus::new(
            upstream,
            (0..PCI_PINS).map(|device| wire(pci_pin(device))).collect(),
            reserved(options),
        );
        let unit = unit.map(UnitRegisters);
        admit(&bus, unit.as_ref(), options.iommu)?;
        bus.attach(BridgeFunction::config(), |_| Ok::<_, BusFull>(Arc::new(BridgeFunction)))?;
        let sandbox = options.sandbox;
        let hooks_of = |role| Hooks::new(move || sandbox.enter(role), end.alarm());
        let hooks = || hooks_of(Role::Engine);
        let sources = populate(&mut bus, unit.as_ref(), options, vm.memory(), &hooks_of)?;
        let late = late(unit.as_ref(), options.iommu, sources);
        if options.tracer.is_none() {
            bus.ring_by(Box::new(KvmRinger::new(Arc::clone(vm))));
        }
        bus.place_bars(Window { start: map::HOLE, end: map::HOLE_END })?;
        let ecam_bytes = (u64::from(bus.last_bus()) + 1) * host_bridge::ECAM_BYTES_PER_BUS;
        let bus = Arc::new(bus);
        let bridge = HostBridge::new(Arc::clone(&bus));
        let serial = Serial::new(wire(Pin(serial::PIN)).line(), output);
        let chipset = Chipset::new(&wires, Arc::clone(&end), hooks()).map_err(BoardError::Timer)?;
        let console = virtio::console(&options.virtio);
        let power_button = PowerButton::new(wire(power_button::PIN).line(), Arc::clone(&io_apic));
        let unanswered = Unanswered::default();
        Ok(Self {
            bus,
            bridge,
            ecam_bytes,
            io_apic,
            unit,
            late,
            serial,
            console,
            chipset,
            power_button,
            unanswered,
            end,
        })
    }

    /// The serial port, for its input.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// By which the guest is asked to power off.
    #[must_use]
    pub fn power_button(&self) -> &PowerButton {
        &self.power_button
    }

    /// Offers input to the console whose driver listens, otherwise to the serial port; how much of it was taken.
    #[must_use]
    pub fn offer(&self, input: &[u8]) -> usize {
        match self.console.as_ref().filter(|console| console.is_heard()) {
            Some(console) => console.offer(input),
            None => self.serial.offer(input),
        }
    }

    /// Looks whether there is room for output again, and how large the user's window is.
    pub fn look(&self) {
        self.serial.look();
        if let Some(console) = &self.console {
            console.look(virtio::window());
        }
    }

    /// The remapping unit, if there is one.
    #[must_use]
    pub fn unit(&self) -> Option<&Arc<Vtd>> {
        self.unit.as_ref().map(|unit| &unit.0)
    }

    /// How often [`look_after_late`](Self::look_after_late) is to be called, if ever.
    #[must_use]
    pub fn lateness(&self) -> Option<Duration> {
        let limit = self.unit().and_then(|unit| unit.options().answer_time_out);
        let every = limit.map(|limit| limit.clamp(SHORTEST_LOOK, LATENESS));
        if self.late.is_empty() { every } else { Some(LATENESS) }
    }

    /// The devices that are late answer now; one whose time is over is given up.
    pub fn look_after_late(&self) {
        let Some(unit) = self.unit() else { return };
        unit.give_up_unanswered();
        for source in &self.late {
            unit.release_device_tlb(*source);
            unit.hold_device_tlb(*source);
        }
    }

    /// Answers a processor.
    pub fn serve(&self, access: Access<'_>) {
        match access {
            Access::In { port, bytes } => self.read_port(port, bytes),
            Access::Out { port, bytes } => self.write_port(port, bytes),
            Access::OutString { port, bytes, taken } => *taken = self.write_string(port, bytes),
            Access::Load { address, bytes } => self.load(address, bytes),
            Access::Store { address, bytes } => self.store(address, bytes),
            Access::EndOfInterrupt { vector } => self.io_apic.end_of_interrupt(vector),
        }
    }

    fn read_port(&self, port: u16, bytes: &mut [u8]) {
        if let Some(offset) = offset(port, serial::PORT, serial::PORTS) {
            return self.serial.read(offset, bytes);
        }
        if self.chipset.read(port, bytes).is_some() {
            return;
        }
        let value = match (port, Width::of(bytes.len())) {
            (host_bridge::ADDRESS_PORT..=host_bridge::LAST_PORT, Some(width)) => {
                self.bridge.read_port(port, width)
            }
            // No keyboard, and its controller has nothing to give and takes everything; nobody has slept.
            (KEYBOARD_PORT | SLEEP_PORT | SLEEP_STATUS_PORT, _) => 0,
            _ => {
                self.tell_unanswered(Kind::In, port.into(), bytes.len());
                return bytes.fill(0xff);
            }
        };
        fill(bytes, value);
    }

    fn write_port(&self, port: u16, bytes: &[u8]) {
        if let Some(offset) = offset(port, serial::PORT, serial::PORTS) {
            return self.serial.write(offset, bytes);
        }
        if port == pc_testdev::OUTPUT_PORT {
            return self.serial.write(0, bytes);
        }
        if self.chipset.write(port, bytes).is_some() {
            return;
        }
        let value = value_of(bytes);
        match (port, Width::of(bytes.len())) {
            (RESET_PORT, Some(Width::Byte)) if value & RESET_BIT != 0 => self.end.finish(Ending::Reset),
            (KEYBOARD_PORT, Some(Width::Byte)) if value == KEYBOARD_RESET => self.end.finish(Ending::Reset),
            (SLEEP_PORT, Some(Width::Byte)) if value == POWER_OFF => self.end.finish(Ending::PoweredOff),
            (debug_exit::PORT, Some(_)) => self.end.finish(Ending::Exit(debug_exit::value(value))),
            (host_bridge::ADDRESS_PORT..=host_bridge::LAST_PORT, Some(width)) => {
                self.bridge.write_port(port, width, value);
            }
            (KEYBOARD_PORT | SLEEP_PORT | SLEEP_STATUS_PORT, _) => {}
            _ => self.tell_unanswered(Kind::Out, port.into(), bytes.len()),
        }
    }

    /// How many of the bytes, one access each, the serial port took.
    fn write_string(&self, port: u16, bytes: &[u8]) -> usize {
        match port {
            serial::PORT | pc_testdev::OUTPUT_PORT => self.serial.write_string(bytes),
            _ => 0,
        }
    }

    fn load(&self, address: u64, bytes: &mut [u8]) {
        match Width::of(bytes.len()).and_then(|width| self.read(address, width)) {
            Some(value) => fill(bytes, value),
            None => {
                self.tell_unanswered(Kind::Load, address, bytes.len());
                bytes.fill(0xff);
            }
        }
    }

    fn store(&self, address: u64, bytes: &[u8]) {
        let written = Width::of(bytes.len()).and_then(|width| self.write(address, width, value_of(bytes)));
        if written.is_none() {
            self.tell_unanswered(Kind::Store, address, bytes.len());
        }
    }

    /// None if nobody answers.
    fn read(&self, address: u64, width: Width) -> Option<u64> {
        match self.fixed(address) {
            Some((registers, offset)) => Some(registers.read(offset, width)),
            None => self.bus.read(address, width),
        }
    }

    /// None if nobody takes it.
    fn write(&self, address: u64, width: Width, value: u64) -> Option<()> {
        match self.fixed(address) {
            Some((registers, offset)) => {
                registers.write(offset, width, value);
                Some(())
            }
            None => self.bus.write(address, width, value),
        }
    }

    fn tell_unanswered(&self, kind: Kind, address: u64, len_bytes: usize) {
        self.unanswered.tell(unanswered::Access { kind, address, len_bytes });
    }

    /// The registers that no BAR moves, which go before any BAR.
    fn fixed(&self, address: u64) -> Option<(&dyn Registers, u64)> {
        let unit =
            self.unit.as_ref().map(|unit| (unit as &dyn Registers, map::REMAPPING_UNIT, REGISTER_BYTES));
        let ranges: [(&dyn Registers, u64, u64); 3] = [
            (&*self.io_apic, io_apic::ADDRESS, io_apic::LEN_BYTES),
            (&self.bridge, map::ECAM, self.ecam_bytes),
            (self.chipset.test_memory(), pc_testdev::ADDRESS, pc_testdev::LEN_BYTES.into()),
        ];
        ranges.into_iter().chain(unit).find_map(|(registers, start, len_bytes)| {
            let offset = address.checked_sub(start).filter(|offset| *offset < len_bytes)?;
            Some((registers, offset))
        })
    }
}

/// The way of devices to memory, and what stands in it.
type Way = (Arc<dyn Upstream>, Option<Arc<Vtd>>);

/// What is upstream of the devices, and the unit if there is one.
fn upstream(vm: &Vm, options: &MachineOptions, interrupts: &Arc<Interrupts>) -> Result<Way, CacheError> {
    let (upstream, unit) = untraced(vm, options, interrupts)?;
    let Some(tracer) = &options.tracer else { return Ok((upstream, unit)) };
    if let Some(unit) = &unit {
        tracer.follow(unit);
    }
    Ok((Arc::new(Traced::new(upstream, Arc::clone(tracer))), unit))
}

fn untraced(vm: &Vm, machine: &MachineOptions, interrupts: &Arc<Interrupts>) -> Result<Way, CacheError> {
    let memory = Arc::clone(vm.memory());
    Ok(match machine.iommu {
        IommuKind::None => (Arc::new(Direct::new(memory, interrupts.sink())), None),
        IommuKind::Vtd(options) => {
            let vtd = VtdOptions { answer_time_out: options.answer_time_out(), ..options.vtd };
            let listener = machine.tracer.clone().map(|tracer| tracer as Arc<dyn Listener>);
            let unit = Vtd::try_told(memory, vtd, interrupts.clone(), listener)?;
            turn_knobs(&unit, &options);
            interrupts.remap_by(Arc::clone(&unit));
            (Arc::new(Remapped::new(Arc::clone(&unit), options.device_tlb_entries)), Some(unit))
        }
    })
}

/// Makes the TLB of the function that comes next, before it asks for its way to memory: that asks the host for nothing.
fn admit(bus: &PciBus, unit: Option<&UnitRegisters>, kind: IommuKind) -> Result<(), BoardError> {
    let (Some(unit), IommuKind::Vtd(options)) = (unit, kind) else { return Ok(()) };
    Ok(unit.0.admit(bus.next_source()?, options.device_tlb_entries)?)
}

/// Attaches all devices, in the order in which they are numbered; which of them answer the unit's invalidations.
fn populate(
    bus: &mut PciBus,
    unit: Option<&UnitRegisters>,
    options: &MachineOptions,
    memory: &Arc<PhysicalMemory>,
    hooks_of: &dyn Fn(Role) -> Hooks,
) -> Result<Vec<SourceId>, BoardError> {
    let make_room = |bus: &mut PciBus| {
        place(bus, unit, options.placement)?;
        admit(bus, unit, options.iommu)
    };
    let mut sources = Vec::new();
    for device in &options.devices {
        make_room(bus)?;
        sources.push(attach(bus, *device, memory, &|| hooks_of(Role::Engine))?);
    }
    for device in &options.virtio {
        make_room(bus)?;
        virtio::attach(bus, device, memory, hooks_of)?;
    }
    for function in &options.functions {
        make_room(bus)?;
        let make = |endpoint| function.make(endpoint).map_err(BoardError::Function);
        let source = bus.attach_any(function.config(), make)?;
        log::info!("{source}: {function:?}");
    }
    Ok(sources)
}

/// Puts a root port there, if the next device goes behind one. A port keeps no translations.
fn place(bus: &mut PciBus, unit: Option<&UnitRegisters>, placement: Placement) -> Result<(), BoardError> {
    match placement {
        Placement::Integrated => {}
        Placement::BehindPorts => {
            unit.map_or(Ok(()), |unit| unit.0.admit(bus.next_source()?, 0).map_err(BoardError::from))?;
            bus.attach_port()?;
        }
    }
    Ok(())
}

fn turn_knobs(unit: &Vtd, options: &UnitOptions) {
    if let Some(fault) = options.fault {
        unit.break_queue(fault);
    }
    match options.queue {
        QueueRuns::AtOnce => {}
        QueueRuns::UpTo(admitted) => unit.hold_queue(admitted),
        QueueRuns::WhenAsked => unit.run_queue_when_asked(),
    }
}

/// Of `sources` those that answer late; those that are not prompt take their time from now on.
fn late(unit: Option<&UnitRegisters>, kind: IommuKind, sources: Vec<SourceId>) -> Vec<SourceId> {
    let (Some(unit), IommuKind::Vtd(options)) = (unit, kind) else { return Vec::new() };
    if options.answers != Answers::Prompt {
        sources.iter().for_each(|source| unit.0.hold_device_tlb(*source));
    }
    if options.answers == Answers::Late { sources } else { Vec::new() }
}

fn offset(port: u16, first: u16, count: u16) -> Option<u8> {
    let offset = port.checked_sub(first).filter(|offset| *offset < count)?;
    u8::try_from(offset).ok()
}

fn reserved(options: &MachineOptions) -> Vec<Reserved> {
    let reserved = |name, start, len_bytes| Reserved { name, start, len_bytes };
    vec![
        reserved("memory", 0, map::first_piece_end(options.memory_bytes)),
        reserved("memory", map::HOLE_BEHIND, options.memory_bytes.saturating_sub(map::HOLE)),
        reserved("the configuration space", map::ECAM, map::ECAM_BYTES),
        reserved("the I/O APIC", io_apic::ADDRESS, io_apic::LEN_BYTES),
        reserved("the remapping unit", map::REMAPPING_UNIT, REGISTER_BYTES),
        reserved("the local APICs", map::LOCAL_APICS, 1 << 20),
        reserved("the test device", pc_testdev::ADDRESS, pc_testdev::LEN_BYTES.into()),
    ]
}

fn attach(
    bus: &mut PciBus,
    device: DeviceKind,
    memory: &Arc<PhysicalMemory>,
    hooks: &dyn Fn() -> Hooks,
) -> Result<SourceId, BoardError> {
    let source = match device {
        DeviceKind::Edu(options) => bus.attach(Edu::config(), |endpoint| Ok(Edu::new(endpoint, options))),
        DeviceKind::IommuTestdev => {
            bus.attach(IommuTestdev::config(), |endpoint| Ok(IommuTestdev::new(endpoint, Arc::clone(memory))))
        }
        DeviceKind::DmaEngine(options) => bus.attach(PciEngine::config(options), |endpoint| {
            PciEngine::start(endpoint, hooks()).map_err(BoardError::Thread)
        }),
    }?;
    log::info!("{source}: {device:?}");
    Ok(source)
}
