//! Address spaces and memory: more CPUs whose TLBs are flushed, more memory.
//!
//! Invariant: CPUs that are flushed have the page in their TLBs.

use std::sync::Arc;

use mmu::address::{VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::memory::PhysicalMemory;
use tests_support::measure::fit::Law;
use tests_support::measure::round::turn;

use crate::curve::{Curve, Work};

const AREA: VirtAddr = VirtAddr(0x10_0000_0000);
const MIB: u64 = 1 << 20;
/// In MiB.
const MEMORIES: &[u64] = &[64, 256, 1024, 4096, 16384];

pub(crate) fn curves() -> Vec<Curve> {
    vec![
        Curve {
            name: "cpus-flush",
            what: "a page flushed from as many CPUs' TLBs",
            size: "CPUs",
            should_be: Law::Linear,
            sizes: &[1, 2, 3, 4, 6, 8],
            small: 4,
            at: flush,
        },
        Curve {
            name: "memory-map",
            what: "physical memory mapped",
            size: "MiB",
            should_be: Law::Constant,
            sizes: MEMORIES,
            small: 3,
            at: map,
        },
        Curve {
            name: "memory-frames",
            what: "physical memory with its frames",
            size: "MiB",
            should_be: Law::Linear,
            sizes: MEMORIES,
            small: 3,
            at: frames,
        },
    ]
}

fn flush(cpus: u64) -> Work {
    let frames = Frames::new(16 * MIB).expect("the memory can be mapped");
    let space = AddressSpace::new(frames, SpaceId(1), SpaceOptions::default()).expect("there is a frame");
    space.map(VirtRange::page(AREA), Backing::PrivateAnonymous, Merging::Off).expect("the range is good");
    let count = u16::try_from(cpus).expect("there are few");
    let mut cpus: Vec<Cpu> = (0..count).map(|number| Cpu::new(number, Arc::clone(&space))).collect();
    Box::new(move || {
        let mut found = 0;
        for cpu in &mut cpus {
            found += u64::from(cpu.load(AREA).is_ok());
            cpu.pause();
        }
        assert_eq!(found, cpus.len() as u64, "the page is there for all");
        turn(64, || {
            (0..64).for_each(|_| space.flush_tlb(VirtRange::page(AREA)));
            0
        })
    })
}

fn map(mebibytes: u64) -> Work {
    Box::new(move || {
        turn(1, || PhysicalMemory::new(mebibytes * MIB).expect("the memory can be mapped").len_bytes())
    })
}

fn frames(mebibytes: u64) -> Work {
    Box::new(move || turn(1, || Frames::new(mebibytes * MIB).expect("the memory can be mapped").free_count()))
}
