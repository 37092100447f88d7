//! A walk of four levels, against the bare loads that it consists of, and against vm-memory's accessors.
//!
//! Invariant: all of them read the same tables, and return the frame. The bare loads check nothing: they are the
//! limit.

use std::sync::atomic::Ordering;

use mmu::address::{Access, PAGE_SIZE, Pfn, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use mmu::table::{Levels, Root};
use mmu::walker::walk;
use tests_support::measure::round::{Row, Unit, turn};
use tests_support::measure::target::Held;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::Run;

const AREA: u64 = 0x10_0000_0000;
const MEMORY: u64 = 64 << 20;
/// Present, writable, for users, used and written.
const FLAGS: u64 = 0x67;
const FRAME: u64 = 0x000f_ffff_ffff_f000;
/// The walks of a turn.
const WALKS: usize = 65536;

/// What is walked: pages so far apart.
struct Shape {
    name: &'static str,
    pages: u64,
    stride: u64,
    /// ns that a walk may take.
    at_most: Option<(f64, f64)>,
}

const SHAPES: [Shape; 2] = [
    Shape { name: "walk, warm (64 pages)", pages: 64, stride: PAGE_SIZE, at_most: Some((12.0, 9.0)) },
    Shape { name: "walk, cold (a table a page)", pages: 8192, stride: 2 << 20, at_most: None },
];

const LIMIT: Held = Held::Within { must: 1.15, stretch: 1.05 };

pub(crate) fn run(run: &mut Run) {
    for shape in &SHAPES {
        walks(run, shape);
    }
}

/// The tables from frame 1 on.
fn tables(shape: &Shape) -> (PhysicalMemory, Root) {
    let memory = PhysicalMemory::new(MEMORY).expect("the memory can be mapped");
    let root = Root { table: Pfn(1), levels: Levels::Four };
    let mut next = 2;
    for page in 0..shape.pages {
        let address = VirtAddr(AREA + page * shape.stride);
        let mut table = root.table;
        for level in (2..=4).rev() {
            let place = table.address().offset(address.table_index(level) * 8);
            if memory.load(place) == 0 {
                memory.store(place, Pfn(next).address().0 | FLAGS);
                next += 1;
            }
            table = PhysAddr(memory.load(place) & FRAME).pfn();
        }
        memory.store(table.address().offset(address.table_index(1) * 8), Pfn(page).address().0 | FLAGS);
    }
    (memory, root)
}

/// The same bytes, as vm-memory keeps them.
fn copied(memory: &PhysicalMemory) -> GuestMemoryMmap<()> {
    let mut bytes = vec![0; usize::try_from(MEMORY).expect("it is small")];
    memory.read_bytes(PhysAddr(0), &mut bytes);
    let copy =
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes.len())]).expect("the memory can be mapped");
    copy.write_slice(&bytes, GuestAddress(0)).expect("it is as long");
    copy
}

#[inline(always)]
fn descend(root: Root, address: u64, load: impl Fn(u64) -> u64) -> u64 {
    let mut table = root.table.address().0;
    for shift in [39, 30, 21, 12] {
        table = load(table + (address >> shift) % 512 * 8) & FRAME;
    }
    table / PAGE_SIZE
}

fn walks(run: &mut Run, shape: &Shape) {
    let (memory, root) = tables(shape);
    let copy = copied(&memory);
    let count = run.effort.pick(WALKS, 64);
    let mut random = fastrand::Rng::with_seed(1);
    let addresses: Vec<u64> = (0..count).map(|_| AREA + random.u64(0..shape.pages) * shape.stride).collect();
    let words = memory.words();
    let ours = || {
        turn(count, || {
            let found =
                |at: &u64| walk(&memory, root, VirtAddr(*at), Access::Read).map_or(0, |found| found.pfn.0);
            addresses.iter().map(found).fold(0, u64::wrapping_add)
        })
    };
    let mut row = Row::new(shape.name, Unit::Nanoseconds, ours);
    if let Some((must, stretch)) = shape.at_most {
        row = row.at_most(must, stretch);
    }
    let bare = || {
        let load = |at: u64| words[usize::try_from(at / 8).unwrap_or(usize::MAX)].load(Ordering::Relaxed);
        turn(count, || addresses.iter().map(|at| descend(root, *at, load)).fold(0, u64::wrapping_add))
    };
    let read = || {
        let load = |at: u64| copy.read_obj::<u64>(GuestAddress(at)).unwrap_or(0);
        turn(count, || addresses.iter().map(|at| descend(root, *at, load)).fold(0, u64::wrapping_add))
    };
    let load = || {
        let load = |at: u64| copy.load::<u64>(GuestAddress(at), Ordering::Acquire).unwrap_or(0);
        turn(count, || addresses.iter().map(|at| descend(root, *at, load)).fold(0, u64::wrapping_add))
    };
    let row = row
        .against("4 bare loads", LIMIT, bare)
        .against("4 x vm-memory read_obj", Held::Nothing, read)
        .against("4 x vm-memory load", Held::Nothing, load);
    run.rows.push(row.run(run.effort));
}
