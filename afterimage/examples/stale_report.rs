//! A device behind a VT-d unit, a driver that maps a page anew and invalidates nothing, and the report of it.
use std::io::Write;
use std::sync::Arc;

use afterimage::unit::{SourceId, Unit, VirtAddr, Width};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const PAGE: VirtAddr = VirtAddr(0x20_0000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)])?;
    let memory = Arc::new(memory);
    let put = |at: u64, word: u64| memory.write_obj(word, GuestAddress(at));
    let device = SourceId::new(0, 3, 0);

    // The driver's tables: root, context entry of 00:03.0 (domain 7, four levels), and one table a level.
    put(0x1000, 0x2000 | 1)?;
    let entry = 0x2000 + u64::from(device.devfn()) * 16;
    put(entry + 8, 7 << 8 | 2)?;
    put(entry, 0x3000 | 1)?;
    put(0x3000, 0x4000 | 3)?;
    put(0x4000, 0x5000 | 3)?;
    put(0x5000 + 8, 0x6000 | 3)?;
    put(0x6000, 0x10000 | 3)?;
    put(0x10000, 1)?;
    put(0x20000, 2)?;

    let unit = Unit::new(Arc::clone(&memory))?;
    unit.write(0x20, Width::Bits64, 0x1000); // RTADDR
    unit.write(0x18, Width::Bits32, 1 << 30); // GCMD.SRTP
    unit.write(0x18, Width::Bits32, 1 << 31); // GCMD.TE
    let (mut port, mut word) = (unit.port(device), [0; 8]);
    port.read(None, PAGE, &mut word)?;
    put(0x6000, 0x20000 | 3)?; // mapped anew, and nothing is invalidated
    port.read(None, PAGE, &mut word)?;
    let mut out = std::io::stdout();
    writeln!(out, "the device has read {}", u64::from_le_bytes(word))?;
    unit.finish().iter().try_for_each(|report| writeln!(out, "{report}"))?;
    Ok(())
}
