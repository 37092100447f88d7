//! rust-vmm's virtio-queue behind a port of the unit, unchanged: the driver moves a buffer to another frame, invalidates nothing,
//! and the device answers a request out of the old one.
use std::io::{Read, Write};
use std::sync::Arc;

use afterimage::unit::{SourceId, Unit, Width};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, IommuMemory};

const DEVICE: SourceId = SourceId::new(0, 3, 0);
/// The table that maps pages from [`WINDOW`] on.
const LEAVES: u64 = 0x6000;
const WINDOW: u64 = 0x20_0000;
/// Pages of the window, by bytes from its beginning: the ring's three parts, a request and its answer.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const REQUEST: u64 = 0x3000;
const ANSWER: u64 = 0x4000;
/// Where the window's pages are, in their order, and where the request's is afterwards.
const FRAMES: u64 = 0x1_0000;
const OTHER_FRAME: u64 = 0x2_0000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Memory = Arc<GuestMemoryMmap>;

fn put(memory: &Memory, at: u64, word: u64) -> Outcome<()> {
    Ok(memory.write_obj(word, GuestAddress(at))?)
}

/// The tables of domain 7, and the unit that uses them.
fn unit(memory: &Memory) -> Outcome<Unit> {
    let entry = 0x2000 + u64::from(DEVICE.devfn()) * 16;
    let above = [(0x1000, 0x2001), (entry + 8, 7 << 8 | 2), (entry, 0x3001)];
    let tables = [(0x3000, 0x4003), (0x4000, 0x5003), (0x5008, LEAVES | 3)];
    let pages = (0..5).map(|page| (LEAVES + page * 8, (FRAMES + page * 0x1000) | 3));
    for (at, word) in above.into_iter().chain(tables).chain(pages) {
        put(memory, at, word)?;
    }
    let unit = Unit::new(Arc::clone(memory))?;
    unit.write(0x20, Width::Bits64, 0x1000); // RTADDR
    unit.write(0x18, Width::Bits32, 1 << 30); // GCMD.SRTP
    unit.write(0x18, Width::Bits32, 1 << 31); // GCMD.TE
    Ok(unit)
}

/// The driver's part: request `number` in the ring, 8 bytes each way.
fn offer(memory: &Memory, number: u16) -> Outcome<()> {
    for (index, (page, flags, next)) in (0..).zip([(REQUEST, 1, 1), (ANSWER, 2, 0)]) {
        put(memory, FRAMES + DESCRIPTORS + index * 16, WINDOW + page)?;
        put(memory, FRAMES + DESCRIPTORS + index * 16 + 8, 8 | flags << 32 | next << 48)?;
    }
    Ok(memory.write_obj(number + 1, GuestAddress(FRAMES + AVAILABLE + 2))?)
}

/// The device's part, which knows of no unit: it answers a request by its own word.
fn serve<M: vm_memory::GuestMemory>(queue: &mut Queue, memory: &M) -> Outcome<()> {
    let chain = queue.pop_descriptor_chain(memory).ok_or("no request in the ring")?;
    let mut word = [0; 8];
    chain.clone().reader(memory)?.read_exact(&mut word)?;
    chain.clone().writer(memory)?.write_all(&word)?;
    Ok(queue.add_used(memory, chain.head_index(), 8)?)
}

fn main() -> Outcome<()> {
    let memory: Memory = Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)])?);
    let unit = unit(&memory)?;
    let seen = IommuMemory::new((*memory).clone(), unit.shared_port(DEVICE), true, ());
    let mut queue = Queue::new(16)?;
    queue.try_set_desc_table_address(GuestAddress(WINDOW + DESCRIPTORS))?;
    queue.try_set_avail_ring_address(GuestAddress(WINDOW + AVAILABLE))?;
    queue.try_set_used_ring_address(GuestAddress(WINDOW + USED))?;
    queue.set_ready(true);
    let mut out = std::io::stdout();
    put(&memory, FRAMES + REQUEST, 1)?;
    put(&memory, OTHER_FRAME, 2)?;
    for number in 0..2 {
        offer(&memory, number)?;
        serve(&mut queue, &seen)?;
        let answer: u64 = memory.read_obj(GuestAddress(FRAMES + ANSWER))?;
        writeln!(out, "request {number} is answered {answer}")?;
        put(&memory, LEAVES + 3 * 8, OTHER_FRAME | 3)?; // mapped anew, and nothing is invalidated
    }
    unit.finish().iter().try_for_each(|report| writeln!(out, "{report}"))?;
    Ok(())
}
