//! A hit of the IOTLB: enter, look up, leave; by one thread, and by two at once.
//!
//! Invariant: every lookup of ours is a whole access, with its announcement, its tag and its permissions.

use std::sync::Arc;

use mmu::address::{PAGE_SIZE, PageSize, Pfn, VirtAddr};
use mmu::cache::{CachePort, Permission, Tag, Translation, TranslationCache};
use tests_support::measure::round::{Row, Unit, turn};
use tests_support::measure::target::Held;

use crate::Run;
use crate::pages::{BASE, LOOKUPS, addresses, frame, sweep};
use crate::pinned::{processors, together};
use crate::shapes::{cloud_hypervisor, crosvm, openvmm, qemu, vm_memory};

pub(crate) const TAG: Tag = Tag(5);

/// Pages, and what ours is held to against vm-memory and QEMU's shape.
const SIZES: [(u64, Held, Held); 3] = [
    (64, Held::Faster { must: 12.0, stretch: 20.0 }, Held::Faster { must: 2.5, stretch: 4.0 }),
    (1024, Held::Faster { must: 25.0, stretch: 45.0 }, Held::Faster { must: 4.0, stretch: 7.0 }),
    (65536, Held::Faster { must: 25.0, stretch: 50.0 }, Held::Faster { must: 5.0, stretch: 9.0 }),
];

/// Our cache with that many pages.
pub(crate) fn filled(pages: u64) -> Arc<TranslationCache> {
    let cache = Arc::new(TranslationCache::new(usize::try_from(pages).unwrap_or(usize::MAX)));
    let mut port = cache.port();
    (0..pages).for_each(|page| fill(&mut port, page));
    cache
}

pub(crate) fn fill(port: &mut CachePort, page: u64) {
    let section = port.enter();
    let ticket = section.begin_fill(TAG);
    let translation = Translation {
        pfn: Pfn(frame(page)),
        size: PageSize::Size4K,
        permission: Permission::READ_WRITE,
        dirty: true,
    };
    section.fill(ticket, VirtAddr(BASE + page * PAGE_SIZE), translation);
}

#[inline(always)]
pub(crate) fn look_up(port: &mut CachePort, address: u64) -> Option<u64> {
    let address = VirtAddr(address);
    port.enter().lookup(TAG, address).map(|found| found.physical(address).0)
}

pub(crate) fn run(run: &mut Run) {
    for (pages, vm, qemu) in SIZES {
        alone(run, pages, vm, qemu);
    }
    match processors() {
        Some(processors) => two(run, processors),
        None => run.skipped.push("two threads at once: there is one processor".to_owned()),
    }
}

fn alone(run: &mut Run, pages: u64, against_vm_memory: Held, against_qemu: Held) {
    let count = run.effort.pick(LOOKUPS, 64);
    // A cache three quarters full loses entries to conflicts; what is not there any more has to be walked for by
    // anybody.
    let cache = filled(pages);
    let held: Vec<u64> = addresses(count, pages);
    let held: Vec<u64> =
        held.into_iter().filter(|address| cache.contains(TAG, VirtAddr(*address)).is_some()).collect();
    assert!(held.len() * 10 > count * 8, "{} of {count} pages are in the cache", held.len());
    let mut port = cache.port();
    let vm_memory = vm_memory::Locked::filled(pages);
    let qemu = qemu::Shared::filled(pages);
    let cloud = cloud_hypervisor::Shared::filled(pages);
    let crosvm = crosvm::Shared::filled(pages);
    let openvmm = openvmm::Shared::filled(pages);
    let (held, count) = (&held, held.len());
    let row = Row::new(format!("IOTLB hit, {pages} pages"), Unit::Nanoseconds, move || {
        turn(count, || sweep(held, |address| look_up(&mut port, address)))
    });
    let row = row
        .against("vm-memory", against_vm_memory, || turn(count, || sweep(held, |at| vm_memory.address(at))))
        .against("QEMU's shape", against_qemu, || turn(count, || sweep(held, |at| qemu.address(at))))
        .against("cloud-hypervisor's shape", Held::Nothing, || {
            turn(count, || sweep(held, |at| cloud.address(at)))
        })
        .against("crosvm's shape", Held::Nothing, || turn(count, || sweep(held, |at| crosvm.address(at))))
        .against("OpenVMM's shape (walks)", Held::Nothing, || {
            turn(count, || sweep(held, |at| openvmm.address(at)))
        });
    run.rows.push(row.run(run.effort));
}

fn two(run: &mut Run, processors: [usize; 2]) {
    let pages = 64;
    let count = run.effort.pick(LOOKUPS, 64);
    let cache = filled(pages);
    let vm_memory = vm_memory::Locked::filled(pages);
    let qemu = qemu::Shared::filled(pages);
    let cloud = cloud_hypervisor::Shared::filled(pages);
    let crosvm = crosvm::Shared::filled(pages);
    let openvmm = openvmm::Shared::filled(pages);
    let held: Vec<u64> = addresses(count, pages)
        .into_iter()
        .filter(|at| cache.contains(TAG, VirtAddr(*at)).is_some())
        .collect();
    let (held, count) = (&held[..], held.len());
    let ours = || {
        let mut port = cache.port();
        move || sweep(held, |address| look_up(&mut port, address))
    };
    let scaling = Held::Faster { must: 1.8, stretch: 1.95 };
    let mut alone = cache.port();
    let row =
        Row::new("IOTLB hit, 64 pages, 2 threads", Unit::Nanoseconds, || together(count, processors, ours))
            .against("ours, 1 thread", scaling, move || {
                let mut both = || sweep(held, |address| look_up(&mut alone, address));
                turn(2 * count, || both().wrapping_add(both()))
            })
            .against("vm-memory", Held::Faster { must: 50.0, stretch: 90.0 }, || {
                together(count, processors, || || sweep(held, |at| vm_memory.address(at)))
            })
            .against("QEMU's shape", Held::Nothing, || {
                together(count, processors, || || sweep(held, |at| qemu.address(at)))
            })
            .against("cloud-hypervisor's shape", Held::Nothing, || {
                together(count, processors, || || sweep(held, |at| cloud.address(at)))
            })
            .against("crosvm's shape", Held::Nothing, || {
                together(count, processors, || || sweep(held, |at| crosvm.address(at)))
            })
            .against("OpenVMM's shape (walks)", Held::Nothing, || {
                together(count, processors, || || sweep(held, |at| openvmm.address(at)))
            });
    run.rows.push(row.run(run.effort));
}
