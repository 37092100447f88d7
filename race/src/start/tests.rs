//! That a machine that was put back is like a new one, and that each piece which is forgotten makes a difference.

use std::fmt::Write as _;
use std::sync::LazyLock;

use iommu::spec::descriptor::{Descriptor, IotlbScope};
use mmu::address::PAGE_LEN;
use ordering::catalogue::{self, Entry};
use ordering::lowering::{Lowered, PageId, PmdId, TagId, UserId, load};

use super::*;
use crate::steered::Steered;

/// Random runs of a scenario between two looks, and rows of each at most.
const RUNS: u64 = 2;
const ROWS: usize = 60;

static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(catalogue::entries);

/// What no scenario of the catalogue leaves behind often enough.
const WRITTEN: [&str; 8] = [
    // A unit in legacy mode, and what is refused there.
    "scenario s\nmm P\npage A in P under M\nframe f\ntable T\npmd M -> T\nmap A -> f rw\ncontext E -> P\ndevice D ats context E\n\
     agent d on D\n  dma_read A\nagent k\n  set_context_high E -> none; pmd_clear M; iotlb_inv A; context_inv E\n",
    // An interrupt that nobody has answered; a section that nobody has left.
    "scenario s\npage A\nframe f\nmap A -> f rw\ncpu C, D\noption flush = ipi\nagent a on C\n  irq_off; load A; irq_on\n\
     agent k on D\n  pte_clear A; flush_tlb A\n",
    // A request that nobody has answered.
    "scenario s\nmm P\npage A in P\nframe f\nmap A -> f rw\npasid X -> P\ndevice D pasid X\nagent d on D\n  page_request A\n\
     agent k\n  page_response A\n",
    // A device that has no unit in front of it, with a TLB of its own.
    "scenario s\nmm P\npage A in P\npage B in P\nframe f\nframe g\nmap A -> f rw\nmap B -> g rw\npasid X -> P\ndevice D ats pasid X\n\
     option walk = split\nagent d on D\n  dma_read A; dma_read B\nagent k\n  pte_clear A; iotlb_inv A; devtlb_inv A\n",
    // An access that has not landed.
    "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D\noption dma = split\nagent d on D\n  dma_read A\n\
     agent k\n  pte_clear A; iotlb_inv A\n",
    // A store that nobody else has seen.
    "scenario s\nvar x = 0..1, y = 0..1, r = 0..1\ncpu C, E\noption memory = tso\nagent a on C\n  x = 1; r = y\n\
     agent b on E\n  y = 1; r = x\n",
    // A device that was taken away.
    "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D ats\nagent d on D\n  dma_read A\nagent k\n  unplug D\n",
    // A queue with something in it, and a walk that is kept.
    "scenario s\npage A under M\nframe f\ntable T\npmd M -> T\nmap A -> f rw\ndevice D\noption walk = split\noption inv_drains = off\n\
     agent d on D\n  dma_read A\nagent k\n  pte_clear A; iotlb_inv A post; inv_wait\n",
];

fn machine(lowered: &Lowered) -> Machine {
    Machine::new(lowered).expect("a scenario needs little memory")
}

/// Everything that can be seen of a machine.
#[derive(PartialEq, Eq)]
struct Seen {
    memory: Vec<u8>,
    /// A line for each thing beside it.
    lines: Vec<String>,
}

fn seen(machine: &Machine) -> Seen {
    let mut memory = vec![0; usize::try_from(machine.memory.len_bytes()).unwrap()];
    machine.memory.read_bytes(PhysAddr(0), &mut memory);
    for frame in machine.layout.rings.iter().flat_map(|ring| [ring.queue, ring.status]) {
        let at = usize::try_from(frame.address().0).unwrap();
        memory[at..at + PAGE_LEN].fill(0);
    }
    Seen { memory, lines: lines(machine) }
}

fn lines(machine: &Machine) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, frame) in machine.frames.iter().enumerate() {
        lines.push(format!("frame {id}: {frame:?}"));
    }
    for (id, held) in machine.held.iter().enumerate() {
        lines.push(format!("agent {id}: {held:?}"));
    }
    lines.push(format!("{:?}", machine.shared));
    (0..machine.users.len()).for_each(|user| see_user(machine, UserId(user), &mut lines));
    lines
}

fn see_user(machine: &Machine, user: UserId, lines: &mut Vec<String>) {
    let hardware = &machine.users[user.0];
    let mut line = format!("{user}: {:?} {:?} ", hardware.uppers, hardware.pasid);
    write!(line, "{:?} {:?} ", hardware.walks, hardware.completions).unwrap();
    write!(line, "{:?} {:?} {:?} ", hardware.reading, hardware.torn, hardware.gone).unwrap();
    let runs_in = hardware.loaded.as_ref().map(|loaded| (loaded.mm(), loaded.tag()));
    write!(line, "{runs_in:?} ").unwrap();
    for page in 0..machine.scene.pages.len() {
        let (id, address) = (PageId(page), machine.layout.pages[page].address);
        let tags = match &hardware.loaded {
            Some(loaded) => (0..machine.scene.tags.len()).map(|tag| loaded.known(id, TagId(tag))).collect(),
            None => vec![hardware.tag(id)],
        };
        for tag in tags {
            let own = (hardware.tlb.holds(tag, address), hardware.device_tlb.holds(tag, address));
            write!(line, "{own:?} ").unwrap();
        }
        if let Some(device) = machine.device(user) {
            write!(line, "{:?} {:?} ", device.iotlb(id), device.device_tlb(id)).unwrap();
            write!(line, "{:?} ", device.holds(id)).unwrap();
        }
    }
    for pmd in 0..machine.scene.pmds.len() {
        let upper = machine.device(user).map(|device| device.upper(PmdId(pmd)));
        write!(line, "{upper:?} ").unwrap();
    }
    if let Some(unit) = &hardware.unit {
        let tables = unit.unit.cached_tables();
        write!(line, "{:?} {:?} {tables:?} {}", unit.walks, unit.completions, unit.queue.is_settled())
            .unwrap();
    }
    lines.push(line);
}

/// What differs from a new machine.
fn differs(machine: &Machine, new: &Seen) -> Option<String> {
    let now = seen(machine);
    if now == *new {
        return None;
    }
    let byte = now.memory.iter().zip(&new.memory).position(|(now, new)| now != new);
    let line = now.lines.iter().zip(&new.lines).find(|(now, new)| now != new);
    Some(format!("memory at {byte:x?}, or {line:#?}"))
}

/// Random runs on a machine from one seed, which end anywhere.
fn use_it(steered: &Steered<'_>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let most = random.usize(1..ROWS);
    let rows = random.usize(..most);
    let ended = steered.random(&mut random, rows);
    assert!(ended.is_ok(), "{ended:#?}");
}

fn texts() -> Vec<Lowered> {
    WRITTEN
        .iter()
        .map(|text| load(text).unwrap_or_else(|found| panic!("{found:?} in\n{text}")).remove(0).1)
        .collect()
}

#[test]
fn a_machine_that_was_put_back_is_like_a_new_one() {
    let texts = texts();
    let (mut were_used, mut runs) = (0, 0);
    for lowered in CATALOGUE.iter().map(|entry| &entry.lowered).chain(&texts) {
        let new = seen(&machine(lowered));
        let steered = Steered::new(lowered, machine(lowered));
        assert_eq!(differs(steered.machine(), &new), None, "{}: two new ones differ", lowered.name);
        for seed in 0..RUNS {
            use_it(&steered, seed);
            runs += 1;
            were_used += u32::from(differs(steered.machine(), &new).is_some());
            steered.machine().reset().unwrap();
            assert_eq!(differs(steered.machine(), &new), None, "{} after a run of seed {seed}", lowered.name);
        }
    }
    assert!(were_used * 3 > runs, "only {were_used} of {runs} runs left something behind");
}

#[test]
fn each_piece_that_is_forgotten_makes_a_difference() {
    let texts = texts();
    let all: Vec<&Lowered> = texts.iter().chain(CATALOGUE.iter().map(|entry| &entry.lowered)).collect();
    // What guests have cached the tests of vCPUs see; a driver that waits leaves nothing in a queue.
    let elsewhere = [Piece::Played, Piece::UnitQueues];
    for piece in Piece::ALL.into_iter().filter(|piece| !elsewhere.contains(piece)) {
        let makes_one = |(number, lowered): (usize, &&Lowered)| {
            let runs = if number < texts.len() { RUNS * 60 } else { RUNS };
            let steered = Steered::new(lowered, machine(lowered));
            let new = seen(steered.machine());
            (0..runs).any(|seed| {
                *steered.machine().forgets.lock() = None;
                use_it(&steered, seed);
                *steered.machine().forgets.lock() = Some(piece);
                steered.machine().reset().unwrap();
                differs(steered.machine(), &new).is_some()
            })
        };
        assert!(all.iter().enumerate().any(makes_one), "nobody sees that {piece:?} is forgotten");
    }
}

#[test]
fn what_nobody_has_waited_for_is_done_before_the_next_start() {
    let lowered = texts().pop().unwrap();
    let machine = machine(&lowered);
    let unit = machine.users[0].unit.as_ref().expect("the device is behind a unit");
    let everything = Descriptor::Iotlb { scope: IotlbScope::Global, drains: true };
    for (forgets, settled) in [(Some(Piece::UnitQueues), false), (None, true)] {
        unit.queue.submit_only(&[everything]);
        *machine.forgets.lock() = forgets;
        machine.reset().unwrap();
        assert_eq!(unit.queue.is_settled(), settled);
    }
}
