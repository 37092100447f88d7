//! vCPUs on the real /dev/kvm that are asked by hand. Without it each test says "skipped: ..." and passes.

use mmu::address::{Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use mmu::pte::Pte;

use super::*;
use crate::race::{GUEST_FRAMES, seated};

/// A guest of its own, with frames behind it.
struct Rig {
    memory: Arc<PhysicalMemory>,
    leaf_table: PhysAddr,
    players: Players,
}

impl Rig {
    /// None if there is no KVM.
    fn new(vcpus: usize) -> Option<Self> {
        match seated((0..vcpus).map(UserId).collect(), (GUEST_FRAMES + 512) << 12) {
            Ok((memory, space, players)) => Some(Self { memory, leaf_table: space.leaf_table(), players }),
            Err(PlayError::System(error)) => {
                println!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The frame behind the guest of that number, which holds `word` from now on.
    fn frame(&self, number: u64, word: u64) -> Pfn {
        let frame = Pfn(GUEST_FRAMES + number);
        self.memory.store(frame.address(), word);
        frame
    }

    fn map(&self, page: usize, entry: Pte) {
        self.memory.store(self.leaf_table.offset(page as u64 * 8), entry.0);
    }

    fn load(&self, vcpu: usize, page: usize) -> Result<u64, Stuck> {
        self.players.access(UserId(vcpu), Slot(page), Access::Read, 0)
    }
}

#[test]
fn what_the_host_maps_is_read_what_it_empties_is_refused_and_what_it_maps_anew_is_read_again() {
    let Some(rig) = Rig::new(2) else { return };
    for round in 0..10 {
        for vcpu in 0..2 {
            assert_eq!(rig.load(vcpu, 3), Err(REFUSED), "round {round}");
        }
        rig.map(3, Pte::leaf(rig.frame(round, 70 + round)));
        for vcpu in 0..2 {
            assert_eq!(rig.load(vcpu, 3), Ok(70 + round));
            let store = rig.players.access(UserId(vcpu), Slot(3), Access::Write, 1);
            assert_eq!(store, Err(REFUSED), "the entry allows loads only");
        }
        rig.players.zap(&[Slot(3)]).unwrap();
    }
}

#[test]
fn a_store_of_a_vcpu_is_in_memory_when_it_has_answered() {
    let Some(rig) = Rig::new(1) else { return };
    let frame = rig.frame(0, 1);
    rig.map(59, Pte::leaf(frame).with(Pte::WRITE | Pte::DIRTY | Pte::ACCESSED));
    for value in 2..100 {
        rig.players.access(UserId(0), Slot(59), Access::Write, value).unwrap();
        assert_eq!(rig.memory.load(frame.address()), value);
        assert_eq!(rig.load(0, 59), Ok(value));
    }
}

#[test]
fn each_of_many_who_ask_the_same_vcpu_gets_his_own_answer() {
    let Some(rig) = Rig::new(1) else { return };
    for page in 0..4 {
        rig.map(page, Pte::leaf(rig.frame(page as u64, 100 + page as u64)));
    }
    let rig = &rig;
    thread::scope(|scope| {
        for page in 0..4 {
            scope.spawn(move || (0..50).for_each(|_| assert_eq!(rig.load(0, page), Ok(100 + page as u64))));
        }
    });
}

#[test]
fn an_entry_that_is_written_after_a_zap_stays() {
    let Some(rig) = Rig::new(2) else { return };
    for round in 0..200 {
        rig.map(0, Pte::leaf(rig.frame(round % 8, round)));
        for vcpu in 0..2 {
            assert_eq!(rig.load(vcpu, 0), Ok(round), "vCPU {vcpu} emptied it after the zap");
        }
        rig.players.zap(&[Slot(0)]).unwrap();
        if round % 20 == 0 {
            // Long enough for the vCPUs to leave the guest.
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn a_vcpu_that_does_not_answer_is_named_with_what_it_did_and_nothing_is_asked_after_it() {
    let Some(mut rig) = Rig::new(2) else { return };
    rig.players.patience = Duration::from_millis(30);
    rig.players.seats[1].handle.request_stop();
    assert!(rig.players.seats[1].end());
    let told = rig.load(1, 4).unwrap_err();
    let text = told.to_string();
    assert!(text.starts_with("vCPU 1 has not answered Load("), "{text}");
    assert!(text.contains("it is outside the guest, entered "), "{text}");
    assert_eq!(rig.load(0, 4), Err(told.clone()));
    assert_eq!(rig.players.zap(&[Slot(4)]), Err(told));
}

#[test]
fn a_vcpu_that_cannot_go_on_says_why() {
    let Some(rig) = Rig::new(1) else { return };
    // A page that nobody maps and that is none of the window.
    let outside = VirtAddr(AREA_VA - PAGE_SIZE);
    let told = rig.players.ask(&rig.players.seats[0], Deed::Load(outside)).unwrap_err();
    assert!(told.to_string().contains("outside the shadow window"), "{told}");
}

#[test]
fn a_user_without_a_vcpu_is_no_access() {
    let Some(rig) = Rig::new(1) else { return };
    assert!(matches!(rig.load(1, 0), Err(Stuck::Cannot(_))));
}
