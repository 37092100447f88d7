//! DSDT: the PCI bus with its windows and interrupt pins, the serial port, pvpanic, the clock, the processors, the power button, and how to power
//! off.
//!
//! Source: ACPI 6.5, 5.2.11.1, 5.6.9 (events by interrupts), 6.2.13 (_PRT), 7.4.2 (_S5); PCI Firmware 3.3, 4.1.2.

use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Arg, Device, EISAName, Equal, IO, If, Interrupt, Method, Name,
    Notify, Package, PackageBuilder, Path, ResourceTemplate, Scope, Zero,
};
use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, AmlSink};
use devices::pci::host_bridge::{ADDRESS_PORT, PORTS};
use devices::{cmos_clock, pvpanic, serial};

use super::{OEM, OEM_REVISION, OEM_TABLE, low};
use crate::boot::map;
use crate::machine::board::{POWER_OFF_TYPE, pci_pin};
use crate::machine::power_button;

const HEADER_BYTES: u32 = 36;
/// Devices of a bus, and pins of a device.
const DEVICES: u8 = 32;
const PINS: u8 = 4;

/// The power button's name, and what it is notified of when it is pressed (ACPI 6.5, 5.6.6).
const POWER_BUTTON: &str = "PWRB";
const BUTTON_PRESSED: u8 = 0x80;

/// The table.
pub(super) fn table(processors: u8, last_bus: u8) -> Vec<u8> {
    let mut table = Sdt::new(*b"DSDT", HEADER_BYTES, 6, OEM, OEM_TABLE, OEM_REVISION);
    table.append_slice(&aml(&power_off()));
    table.append_slice(&system_bus(processors, last_bus));
    table.as_slice().to_vec()
}

fn aml(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}

fn power_off() -> Name {
    Name::new("_S5_".into(), &Package::new(vec![&POWER_OFF_TYPE, &Zero {}]))
}

fn system_bus(processors: u8, last_bus: u8) -> Vec<u8> {
    let bus = Raw(pci_bus(last_bus));
    let (port, panic, clock) = (Raw(serial_port()), Raw(panic_port()), Raw(clock()));
    let (button, events) = (Raw(power_button()), Raw(events()));
    let processors: Vec<Raw> = (0..processors).map(|id| Raw(processor(id))).collect();
    let mut children: Vec<&dyn Aml> = vec![&bus, &port, &panic, &clock, &button, &events];
    children.extend(processors.iter().map(|processor| processor as &dyn Aml));
    aml(&Scope::new("_SB_".into(), children))
}

/// An object that is bytes already.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn name(text: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(text), value)
}

fn pci_bus(last_bus: u8) -> Vec<u8> {
    let ports = IO::new(ADDRESS_PORT, ADDRESS_PORT, 1, PORTS);
    let buses = AddressSpace::new_bus_number(0_u16, last_bus.into());
    let window = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        low(map::HOLE),
        low(map::HOLE_END - 1),
        None,
    );
    let resources = ResourceTemplate::new(vec![&buses, &ports, &window]);
    aml(&Device::new(
        "PCI0".into(),
        vec![
            &name("_HID", &EISAName::new("PNP0A08")),
            &name("_CID", &EISAName::new("PNP0A03")),
            &name("_BBN", &Zero {}),
            &name("_SEG", &Zero {}),
            &name("_UID", &Zero {}),
            &name("_CRS", &resources),
            &name("_PRT", &Routes),
        ],
    ))
}

/// Which input of the I/O APIC each pin of each device leads to.
struct Routes;

impl Aml for Routes {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let mut package = PackageBuilder::new();
        for device in 0..DEVICES {
            for pin in 0..PINS {
                package.add_element(&Raw(route(device, pin)));
            }
        }
        package.to_aml_bytes(sink);
    }
}

/// All functions of the device, the pin, no link device, the input.
fn route(device: u8, pin: u8) -> Vec<u8> {
    let address = u32::from(device) << 16 | 0xffff;
    aml(&Package::new(vec![&address, &pin, &Zero {}, &pci_pin(device).0]))
}

fn serial_port() -> Vec<u8> {
    let ports = IO::new(serial::PORT, serial::PORT, 1, serial::PORTS.to_le_bytes()[0]);
    let interrupt = Interrupt::new(true, true, false, false, serial::PIN.into());
    aml(&Device::new(
        "COM1".into(),
        vec![
            &name("_HID", &EISAName::new("PNP0501")),
            &name("_UID", &Zero {}),
            &name("_CRS", &ResourceTemplate::new(vec![&ports, &interrupt])),
        ],
    ))
}

/// It has no interrupt.
fn clock() -> Vec<u8> {
    let ports = IO::new(cmos_clock::PORT, cmos_clock::PORT, 1, cmos_clock::PORTS.to_le_bytes()[0]);
    aml(&Device::new(
        "RTC_".into(),
        vec![
            &name("_HID", &EISAName::new("PNP0B00")),
            &name("_UID", &Zero {}),
            &name("_CRS", &ResourceTemplate::new(vec![&ports])),
        ],
    ))
}

/// Without a state, a device is there and works (ACPI 6.5, 6.3.7).
fn panic_port() -> Vec<u8> {
    let port = IO::new(pvpanic::PORT, pvpanic::PORT, 1, 1);
    aml(&Device::new(
        "PEVT".into(),
        vec![
            &name("_HID", &pvpanic::ACPI_ID),
            &name("_UID", &Zero {}),
            &name("_CRS", &ResourceTemplate::new(vec![&port])),
        ],
    ))
}

fn power_button() -> Vec<u8> {
    aml(&Device::new(
        Path::new(POWER_BUTTON),
        vec![&name("_HID", &EISAName::new("PNP0C0C")), &name("_UID", &Zero {})],
    ))
}

/// The device whose interrupts are events: each is told to the method, by its number.
fn events() -> Vec<u8> {
    let (event, pressed) = (u32::from(power_button::PIN.0), BUTTON_PRESSED);
    let interrupt = Interrupt::new(true, true, false, false, event);
    let (told, button) = (Arg(0), Path::new(POWER_BUTTON));
    let notify = Notify::new(&button, &pressed);
    let is_button = Equal::new(&told, &event);
    let when = If::new(&is_button, vec![&notify]);
    aml(&Device::new(
        "GED_".into(),
        vec![
            &name("_HID", &"ACPI0013"),
            &name("_UID", &Zero {}),
            &name("_CRS", &ResourceTemplate::new(vec![&interrupt])),
            &Method::new("_EVT".into(), 1, true, vec![&when]),
        ],
    ))
}

fn processor(id: u8) -> Vec<u8> {
    let path = format!("C{id:03}");
    aml(&Device::new(Path::new(&path), vec![&name("_HID", &"ACPI0007"), &name("_UID", &id)]))
}
