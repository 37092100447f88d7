//! `cow-n`, a protocol with known numbers of states: the yardstick for the explorer's tests and benchmarks.
//!
//! One agent breaks COW on each page in turn (lock; clear the entry; flush all CPUs; clear every device's IOTLB entry; set
//! the new entry; unlock; fill its own TLB; store), a second CPU reads every page through its TLB, and devices read pages
//! by DMA through their IOTLBs. Nobody may read old contents of a page after the store to it.
//!
//! Invariant: one step of the model is one step of the protocol, so that counts can be compared with other checkers.

use crate::model::{
    Agent, Alternative, Check, Guard, Instruction, Member, Model, Pc, Property, PropertyId, Symmetry, Update,
    Var, Variable,
};

/// When the IOTLB entries are cleared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Before the new entry is set.
    NotifyFirst,
    /// After the store, which is too late.
    NotifyLast,
}

/// The size of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Pages.
    pub pages: u16,
    /// Devices.
    pub devices: u16,
    /// DMA reads of each device.
    pub reads: u16,
}

/// Frames, as an entry names them.
const NONE: u32 = 0;
const OLD: u32 = 1;
const NEW: u32 = 2;

/// The protocol as a model.
#[must_use]
pub fn cow_n(size: Size, order: Order) -> Model {
    let vars = Vars { size };
    let devices = (0..size.devices).map(|device| vars.device(device));
    let agents = [vars.writer(order), vars.reader()].into_iter().chain(devices).collect();
    let own = |device| (0..size.pages).map(|page| vars.iotlb(device, page)).collect();
    let member = |device| Member { agents: vec![usize::from(device) + 2], vars: own(device) };
    let members = (0..size.devices).map(member).collect();
    let stale = Property {
        text: "nobody reads old contents after the store".to_owned(),
        check: Check::Step,
        line: 0,
    };
    Model {
        variables: vars.variables(),
        agents,
        properties: vec![stale],
        symmetries: vec![Symmetry { members }],
        marks: Vec::new(),
    }
}

/// Numbers the variables: the lock, then a row of pages for each kind.
#[derive(Clone, Copy)]
struct Vars {
    size: Size,
}

impl Vars {
    const LOCK: Var = Var(0);

    fn row(self, row: u16, page: u16) -> Var {
        Var(1 + row * self.size.pages + page)
    }

    fn pte(self, page: u16) -> Var {
        self.row(0, page)
    }

    fn writer_tlb(self, page: u16) -> Var {
        self.row(1, page)
    }

    fn reader_tlb(self, page: u16) -> Var {
        self.row(2, page)
    }

    /// Contents of the new frame: whether the store has reached it.
    fn content(self, page: u16) -> Var {
        self.row(3, page)
    }

    /// That the store to the page is complete.
    fn stored(self, page: u16) -> Var {
        self.row(4, page)
    }

    fn iotlb(self, device: u16, page: u16) -> Var {
        self.row(5 + device, page)
    }

    fn variables(self) -> Vec<Variable> {
        let entry = |name: String, initial| {
            let values = ["none", "old", "new"].map(str::to_owned).to_vec();
            Variable { name, values, initial }
        };
        let flag =
            |name: String| Variable { name, values: vec!["no".to_owned(), "yes".to_owned()], initial: 0 };
        let pages = || 0..self.size.pages;
        let mut all = vec![flag("lock".to_owned())];
        all.extend(pages().map(|page| entry(format!("pte[{page}]"), OLD)));
        all.extend(pages().map(|page| entry(format!("tlb0[{page}]"), NONE)));
        all.extend(pages().map(|page| entry(format!("tlb1[{page}]"), NONE)));
        all.extend(pages().map(|page| flag(format!("content[{page}]"))));
        all.extend(pages().map(|page| flag(format!("stored[{page}]"))));
        for device in 0..self.size.devices {
            all.extend(pages().map(|page| entry(format!("iotlb{device}[{page}]"), NONE)));
        }
        all
    }

    fn writer(self, order: Order) -> Agent {
        let mut writer = Program::of("writer");
        for page in 0..self.size.pages {
            let notify =
                (0..self.size.devices).map(|device| Update::Set(self.iotlb(device, page), NONE)).collect();
            let notify = step("notify", page, vec![], notify);
            let flush = [self.writer_tlb(page), self.reader_tlb(page)].map(|tlb| Update::Set(tlb, NONE));
            let fill = Update::Copy { to: self.writer_tlb(page), from: self.pte(page) };
            writer.add(step("lock", page, vec![Guard::Is(Self::LOCK, 0)], vec![Update::Set(Self::LOCK, 1)]));
            writer.add(step("pte_clear", page, vec![], vec![Update::Set(self.pte(page), NONE)]));
            writer.add(step("flush_tlb", page, vec![], flush.to_vec()));
            if order == Order::NotifyFirst {
                writer.add(notify.clone());
            }
            writer.add(step("set_pte", page, vec![], vec![Update::Set(self.pte(page), NEW)]));
            writer.add(step("unlock", page, vec![], vec![Update::Set(Self::LOCK, 0)]));
            writer.add(step("walk", page, vec![], vec![fill]));
            writer.add_choice(self.store(page));
            if order == Order::NotifyLast {
                writer.add(notify);
            }
        }
        writer.agent
    }

    fn store(self, page: u16) -> Vec<Alternative> {
        let (tlb, stored) = (self.writer_tlb(page), Update::Set(self.stored(page), 1));
        let content = Update::Set(self.content(page), 1);
        vec![
            step("store", page, vec![Guard::Is(tlb, NEW)], vec![content, stored]),
            step("store", page, vec![Guard::IsNot(tlb, NEW)], vec![stored]),
        ]
    }

    fn reader(self) -> Agent {
        let mut reader = Program::of("reader");
        for page in 0..self.size.pages {
            let (tlb, pte) = (self.reader_tlb(page), self.pte(page));
            let miss = vec![Guard::Is(tlb, NONE), Guard::IsNot(pte, NONE)];
            reader.add_choice(vec![
                step("walk", page, vec![Guard::IsNot(tlb, NONE)], vec![]),
                step("walk", page, miss, vec![Update::Copy { to: tlb, from: pte }]),
            ]);
            let again = reader.here() - 1;
            let mut load = self.read("load", page, tlb, reader.here() + 1);
            load.push(Alternative {
                next: Pc(again),
                ..step("load", page, vec![Guard::Is(tlb, NONE)], vec![])
            });
            reader.agent.program.push(Instruction { alternatives: load, may_end: false });
        }
        reader.agent
    }

    fn device(self, device: u16) -> Agent {
        let mut program = Program::of(&format!("device{device}"));
        let pages = 0..self.size.pages;
        for _ in 0..self.size.reads {
            let (walk, next) = (program.here(), program.here() + 1 + self.size.pages);
            let walks =
                pages.clone().flat_map(|page| self.device_walk(device, page, Pc(walk + 1 + page))).collect();
            program.agent.program.push(Instruction { alternatives: walks, may_end: false });
            for page in pages.clone() {
                let tlb = self.iotlb(device, page);
                let mut read = self.read("dma_read", page, tlb, next);
                read.push(Alternative {
                    next: Pc(next),
                    ..step("dma_read", page, vec![Guard::Is(tlb, NONE)], vec![])
                });
                program.agent.program.push(Instruction { alternatives: read, may_end: false });
            }
        }
        program.agent
    }

    fn device_walk(self, device: u16, page: u16, next: Pc) -> Vec<Alternative> {
        let (tlb, fill) = (self.iotlb(device, page), self.pte(page));
        let hit = step("walk", page, vec![Guard::IsNot(tlb, NONE)], vec![]);
        let miss = step("walk", page, vec![Guard::Is(tlb, NONE)], vec![Update::Copy { to: tlb, from: fill }]);
        vec![Alternative { next, ..hit }, Alternative { next, ..miss }]
    }

    /// A read through a present entry: the new contents, the old ones before the store, the old ones after it.
    fn read(self, name: &str, page: u16, tlb: Var, next: u16) -> Vec<Alternative> {
        let (content, stored) = (self.content(page), self.stored(page));
        let old_frame = |store| vec![Guard::Is(tlb, OLD), Guard::Is(stored, store)];
        let unwritten = |store| vec![Guard::Is(tlb, NEW), Guard::Is(content, 0), Guard::Is(stored, store)];
        let written = vec![Guard::Is(tlb, NEW), Guard::Is(content, 1)];
        let fine = [written, old_frame(0), unwritten(0)].map(|guard| step(name, page, guard, vec![]));
        let stale = [old_frame(1), unwritten(1)]
            .map(|guard| Alternative { violates: Some(PropertyId(0)), ..step(name, page, guard, vec![]) });
        fine.into_iter().chain(stale).map(|read| Alternative { next: Pc(next), ..read }).collect()
    }
}

/// An agent that is being written.
struct Program {
    agent: Agent,
}

impl Program {
    fn of(name: &str) -> Self {
        Self { agent: Agent { name: name.to_owned(), program: Vec::new(), spontaneous: false } }
    }

    /// The number of the next instruction.
    fn here(&self) -> u16 {
        u16::try_from(self.agent.program.len()).expect("the protocol is small")
    }

    fn add(&mut self, step: Alternative) {
        self.add_choice(vec![step]);
    }

    fn add_choice(&mut self, mut alternatives: Vec<Alternative>) {
        let next = Pc(self.here() + 1);
        alternatives.iter_mut().for_each(|alternative| alternative.next = next);
        self.agent.program.push(Instruction { alternatives, may_end: false });
    }
}

/// A step; where it leads is for the caller to say.
fn step(name: &str, page: u16, guard: Vec<Guard>, updates: Vec<Update>) -> Alternative {
    Alternative {
        guard,
        updates,
        next: Pc(0),
        violates: None,
        text: format!("{name} {page}"),
        line: 0,
        marks: Vec::new(),
    }
}
