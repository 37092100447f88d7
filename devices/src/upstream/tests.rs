//! Transfers of any length at any alignment, and their ends.

use std::sync::Arc;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::{Address, Atomic, Direct, DmaFault, Requester, SourceId, Transfer, Upstream, read, write};
use crate::interrupt::Message;

const FROM: Requester = Requester::plain(SourceId::from_bits(8));
const BYTES: u64 = 1 << 20;

fn direct() -> (Arc<PhysicalMemory>, Direct, Arc<Mutex<Vec<Message>>>) {
    let memory = Arc::new(PhysicalMemory::new(BYTES).unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    let sink = Arc::new(move |message| seen.lock().push(message));
    (Arc::clone(&memory), Direct::new(memory, sink), sent)
}

/// Notes the pieces that a transfer is cut into.
#[derive(Default)]
struct Pieces(Mutex<Vec<(u64, usize)>>);

impl Upstream for Pieces {
    fn transfer(&self, _: Requester, address: Address, transfer: Transfer<'_>) -> Result<(), DmaFault> {
        self.0.lock().push((address.0, transfer.len_bytes()));
        Ok(())
    }

    fn send(&self, _: SourceId, _: Message) {}
}

#[test]
fn a_transfer_is_cut_at_pages() {
    let pieces = Pieces::default();
    read(&pieces, FROM, Address(0x1ffe), &mut [0; 4100]).unwrap();
    assert_eq!(*pieces.0.lock(), [(0x1ffe, 2), (0x2000, 4096), (0x3000, 2)]);
    pieces.0.lock().clear();
    write(&pieces, FROM, Address(0xfff), &[0; 2]).unwrap();
    assert_eq!(*pieces.0.lock(), [(0xfff, 1), (0x1000, 1)]);
}

#[test]
fn bytes_arrive_at_any_alignment() {
    let (memory, direct, _) = direct();
    for (at, len) in [(0, 8), (3, 8), (0x1ffb, 17), (0x4000, 4096), (BYTES - 5, 5)] {
        let sent: Vec<u8> = (1..=255).cycle().take(len).collect();
        write(&direct, FROM, Address(at), &sent).unwrap();
        let mut found = vec![0; len];
        memory.read_bytes(PhysAddr(at), &mut found);
        assert_eq!(found, sent);
        found.fill(0);
        read(&direct, FROM, Address(at), &mut found).unwrap();
        assert_eq!(found, sent);
    }
}

#[test]
fn a_request_that_leaves_memory_moves_nothing() {
    let (_memory, direct, _) = direct();
    for at in [BYTES - 1, BYTES, u64::MAX - 4, u64::MAX] {
        let refused = write(&direct, FROM, Address(at), &[1; 8]).unwrap_err();
        assert!(matches!(refused, DmaFault::Unsupported { .. }), "{refused}");
    }
    assert!(read(&direct, FROM, Address(u64::MAX), &mut [0]).is_err());
}

#[test]
fn a_dword_to_the_message_range_is_an_interrupt_and_nothing_else_is() {
    let (_memory, direct, sent) = direct();
    write(&direct, FROM, Address(0xfee0_1000), &0x41_u32.to_le_bytes()).unwrap();
    assert_eq!(*sent.lock(), [Message { address: 0xfee0_1000, data: 0x41 }]);
    assert!(write(&direct, FROM, Address(0xfee0_1000), &[0; 8]).is_err());
    assert!(read(&direct, FROM, Address(0xfee0_1000), &mut [0; 4]).is_err());
    assert_eq!(sent.lock().len(), 1);
}

#[test]
fn atomics_want_an_aligned_word() {
    let (memory, direct, _) = direct();
    memory.store(PhysAddr(0x100), 5);
    let mut before = 0;
    let mut run = |at, operation| {
        direct
            .transfer(FROM, Address(at), Transfer::Atomic { operation, before: &mut before })
            .map(|()| before)
    };
    assert_eq!(run(0x100, Atomic::FetchAdd(2)), Ok(5));
    assert_eq!(run(0x100, Atomic::CompareAndSwap { compare: 5, swap: 1 }), Ok(7));
    assert_eq!(run(0x100, Atomic::CompareAndSwap { compare: 7, swap: 9 }), Ok(7));
    assert_eq!(run(0x100, Atomic::Swap(3)), Ok(9));
    assert!(run(0x104, Atomic::Swap(3)).is_err());
    assert!(run(BYTES, Atomic::Swap(3)).is_err());
    assert_eq!(memory.load(PhysAddr(0x100)), 3);
}
