//! What a device meets without a remapping unit, and behind one whose translation is off.

use std::sync::Arc;

use iommu::vtd::Vtd;
use iommu::vtd::options::VtdOptions;
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::{Msi, MsiSink, SourceId};

use super::{Atomic, Direct, DmaFault, Port, Remapped, Upstream};

const FROM: SourceId = SourceId::new(0, 1, 0);
const BYTES: u64 = 1 << 20;

#[derive(Default)]
struct Sent(Mutex<Vec<Msi>>);

impl MsiSink for Sent {
    fn send(&self, message: Msi) {
        self.0.lock().push(message);
    }
}

struct Way {
    memory: Arc<PhysicalMemory>,
    port: Box<dyn Port>,
    upstream: Arc<dyn Upstream>,
    sent: Arc<Sent>,
}

/// Both ways to the same kind of memory.
fn ways() -> [Way; 2] {
    let memory = || Arc::new(PhysicalMemory::new(BYTES).expect("a MiB can be mapped"));
    let way =
        |memory, upstream: Arc<dyn Upstream>, sent| Way { memory, port: upstream.port(FROM), upstream, sent };
    let (first, sent) = (memory(), Arc::new(Sent::default()));
    let sink = Arc::clone(&sent);
    let direct = Direct::new(Arc::clone(&first), Arc::new(move |message| sink.send(message)));
    let direct = way(first, Arc::new(direct), sent);
    let (second, sent) = (memory(), Arc::new(Sent::default()));
    let unit = Vtd::new(Arc::clone(&second), VtdOptions::default(), sent.clone());
    [direct, way(second, Arc::new(Remapped::new(unit, 0)), sent)]
}

#[test]
fn bytes_arrive_at_any_alignment() {
    for mut way in ways() {
        for (at, len) in [(0, 8), (3, 8), (0x1ffb, 17), (0x4000, 4096), (BYTES - 5, 5)] {
            let sent: Vec<u8> = (1..=255).cycle().take(len).collect();
            way.port.write(None, VirtAddr(at), &sent).unwrap();
            let mut found = vec![0; len];
            way.memory.read_bytes(PhysAddr(at), &mut found);
            assert_eq!(found, sent);
            found.fill(0);
            way.port.read(None, VirtAddr(at), &mut found).unwrap();
            assert_eq!(found, sent);
        }
    }
}

#[test]
fn a_request_that_leaves_memory_moves_nothing() {
    for mut way in ways() {
        way.memory.store(PhysAddr(BYTES - 8), 7);
        for at in [BYTES, u64::MAX - 4, u64::MAX] {
            // Which of them is a fault is the unit's decision; without a unit all are.
            let _answer = way.port.write(None, VirtAddr(at), &[1; 8]);
            let _answer = way.port.read(None, VirtAddr(at), &mut [0; 8]);
        }
        assert_eq!((way.memory.load(PhysAddr(BYTES - 8)), way.memory.load(PhysAddr(0))), (7, 0));
    }
    let [mut direct, _] = ways();
    let refused = direct.port.write(None, VirtAddr(BYTES - 1), &[1; 8]).unwrap_err();
    assert!(matches!(refused, DmaFault::Unsupported { .. }), "{refused}");
}

#[test]
fn a_request_reaches_memory_around_a_hole_and_nothing_in_it() {
    let hole = BYTES..4 * BYTES;
    let memory = Arc::new(PhysicalMemory::around(2 * BYTES, hole.clone()).expect("some MiB can be mapped"));
    let unit = Vtd::new(Arc::clone(&memory), VtdOptions::default(), Arc::new(Sent::default()));
    let direct = Direct::new(Arc::clone(&memory), Arc::new(|_| {}));
    for mut port in [direct.port(FROM), Remapped::new(unit, 0).port(FROM)] {
        for at in [hole.start - 8, hole.end, hole.end + BYTES - 8] {
            port.write(None, VirtAddr(at), &at.to_le_bytes()).unwrap();
            assert_eq!(memory.load(PhysAddr(at)), at);
            memory.store(PhysAddr(at), 0);
        }
        for at in [hole.start, hole.end - 8] {
            let _answer = port.write(None, VirtAddr(at), &[1; 8]);
            assert!(!matches!(port.atomic(None, VirtAddr(at), Atomic::Swap(1)), Ok(1)), "{at:#x} kept it");
        }
    }
}

#[test]
fn a_dword_to_the_message_range_is_an_interrupt() {
    for mut way in ways() {
        way.port.write(None, VirtAddr(0xfee0_1000), &0x41_u32.to_le_bytes()).unwrap();
        way.upstream.send(FROM, Msi { address: 0xfee0_2000, data: 0x42 });
        let expected =
            [(0xfee0_1000, 0x41), (0xfee0_2000, 0x42)].map(|(address, data)| Msi { address, data });
        assert_eq!(*way.sent.0.lock(), expected);
    }
}

#[test]
fn atomics_want_an_aligned_word() {
    for mut way in ways() {
        way.memory.store(PhysAddr(0x100), 5);
        let mut run = |at, operation| way.port.atomic(None, VirtAddr(at), operation);
        assert_eq!(run(0x100, Atomic::FetchAdd(2)), Ok(5));
        assert_eq!(run(0x100, Atomic::CompareAndSwap { compare: 5, swap: 1 }), Ok(7));
        assert_eq!(run(0x100, Atomic::CompareAndSwap { compare: 7, swap: 9 }), Ok(7));
        assert_eq!(run(0x100, Atomic::Swap(3)), Ok(9));
        assert!(run(0x104, Atomic::Swap(3)).is_err());
        assert_eq!(way.memory.load(PhysAddr(0x100)), 3);
    }
}
