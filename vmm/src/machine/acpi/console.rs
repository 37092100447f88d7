//! SPCR and DBG2: the serial port, as the console and as the port of a debugger.
//!
//! Source: Microsoft's Serial Port Console Redirection Table, revision 2, and Debug Port Table 2, revision 0.

use acpi_tables::sdt::Sdt;
use devices::serial;

use super::{OEM, OEM_REVISION, OEM_TABLE, bytes, port};

/// Bytes of the two tables; the second with its only device.
const SPCR_BYTES: u32 = 80;
const DBG2_BYTES: u32 = 44;

/// A 16550, in either table's numbers.
const SERIAL_PORT: u16 = 0x8000;
const INTERFACE_16550: u8 = 0;
/// Interrupts by the I/O APIC. 115200 baud, one stop bit, a VT100 or better.
const BY_IO_APIC: u8 = 1 << 1;
const BAUD_115200: u8 = 7;
const ONE_STOP_BIT: u8 = 1;
const VT_UTF8: u8 = 2;
/// No PCI device.
const NO_PCI_ID: [u8; 4] = [0xff; 4];

/// Offsets in the second table's device: its address, the length of that, its name.
const ADDRESS_AT: u16 = 22;
const LENGTH_AT: u16 = ADDRESS_AT + 12;
const NAME_AT: u16 = LENGTH_AT + 4;
/// Where the name space has it.
const NAME: &[u8] = b"\\_SB.COM1\0";

/// SPCR.
pub(super) fn redirection() -> Vec<u8> {
    let mut table = Sdt::new(*b"SPCR", SPCR_BYTES, 2, OEM, OEM_TABLE, OEM_REVISION);
    table.write_u8(36, INTERFACE_16550);
    table.write_bytes(40, &bytes(&port(serial::PORT)));
    table.write_u8(52, BY_IO_APIC);
    table.write_u32(54, serial::PIN.into());
    table.write_u8(58, BAUD_115200);
    table.write_u8(60, ONE_STOP_BIT);
    table.write_u8(62, VT_UTF8);
    table.write_bytes(64, &NO_PCI_ID);
    table.as_slice().to_vec()
}

/// DBG2.
pub(super) fn debug_port() -> Vec<u8> {
    let mut table = Sdt::new(*b"DBG2", DBG2_BYTES, 0, OEM, OEM_TABLE, OEM_REVISION);
    table.write_u32(36, DBG2_BYTES);
    table.write_u32(40, 1);
    table.append_slice(&device());
    table.as_slice().to_vec()
}

fn device() -> Vec<u8> {
    let name_bytes = u16::try_from(NAME.len()).unwrap_or_else(|_| unreachable!("a short name"));
    let mut device = vec![0];
    device.extend((NAME_AT + name_bytes).to_le_bytes());
    // One address; a name; no data of its own.
    device.push(1);
    for half in [name_bytes, NAME_AT, 0, 0, SERIAL_PORT, INTERFACE_16550.into(), 0, ADDRESS_AT, LENGTH_AT] {
        device.extend(half.to_le_bytes());
    }
    device.extend(bytes(&port(serial::PORT)));
    device.extend(u32::from(serial::PORTS).to_le_bytes());
    device.extend(NAME);
    device
}
