//! What the machine looks like, beside what the model says of it.
//!
//! Invariant: everything is read from memory, caches and counts; what a variable of the model says is put into the same
//! words, so that both can be compared. What a cache of hardware does not hold, such as software bits, is not compared.

use std::fmt;
use std::sync::atomic::Ordering;

use mmu::address::PageSize;
use mmu::cache::Translation;
use mmu::frame::POISON;
use mmu::pte::Pte;
use ordering::lowering::{AgentId, Caches, Entry, FrameId, Key, PageId, PasidId, PmdId, Scene, UserId};
use steps::Half;
use steps::entry::{Bit, Kind};

use crate::coding::Height;
use crate::device::{Device, OnTheWay};
use crate::hardware::{Begun, InFlight};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::unit::entries::Named;
use crate::walk::translation;

/// What is seen at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A number, an index, a count.
    Number(u64),
    /// An entry of a table.
    Entry(Entry),
    /// A cached translation.
    Cached {
        /// The frame.
        frame: FrameId,
        /// Whether it allows stores.
        write: bool,
        /// Whether it is dirty, if anybody cares.
        dirty: bool,
        /// How much it translates.
        size: PageSize,
    },
    /// A cached upper entry, which names a page-table page.
    Upper(FrameId),
    /// An access that is led to a frame, and has not landed.
    Leads(FrameId),
    /// Nothing.
    Nothing,
    /// A store that has not reached memory: to which of its agent's places, and the word.
    Stored(usize, u64),
    /// What no scenario writes.
    Foreign(u64),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Entry(entry) => {
                let bits: Vec<_> = entry.bits.iter().map(Bit::name).collect();
                let frame = entry.frame.map_or_else(String::new, |frame| format!(" {frame}"));
                write!(f, "{}{frame} {}", entry.kind.name(), bits.join(" "))
            }
            Self::Cached { frame, write, dirty, size } => {
                let (write, dirty) = (if *write { "rw" } else { "ro" }, if *dirty { " dirty" } else { "" });
                write!(f, "{frame} {write}{dirty}, {} bytes", size.bytes())
            }
            Self::Upper(table) => write!(f, "table {table}"),
            Self::Leads(frame) => write!(f, "on the way to {frame}"),
            Self::Stored(place, word) => write!(f, "place {place} = {word:#x}"),
            Self::Nothing => f.write_str("none"),
            Self::Foreign(word) => write!(f, "{word:#x}, which is none of the scenario's"),
        }
    }
}

impl Machine {
    /// What is to be seen there; none if the machine has no such place, or nobody may look.
    #[must_use]
    pub fn look(&self, key: &Key) -> Option<Seen> {
        let count = |count: &std::sync::atomic::AtomicU32| Seen::Number(count.load(Ordering::Acquire).into());
        Some(match key {
            Key::Pte(page) => self.seen_entry(self.layout.page(*page).slot, Height::Leaf),
            Key::Pmd(pmd) => self.seen_entry(self.layout.pmd(*pmd), Height::Upper),
            Key::Spte(page) => self.seen_shadow(*page),
            Key::Tlb(user, page) => self.seen_cached(self.in_tlb(*user, *page)),
            Key::Tagged(user, page, tag) => self.seen_cached(self.under_tag(*user, *page, *tag)),
            Key::LoadedMm(user) => self.seen_loaded(*user, |loaded| loaded.mm().0),
            Key::LoadedTag(user) => self.seen_loaded(*user, |loaded| loaded.tag().0),
            Key::DeviceTlb(user, page) => self.seen_cached(self.in_device_tlb(*user, *page)),
            Key::InFlight(user, page) => self.seen_walk(*user, *page),
            Key::Completion(user, page) => self.seen_completion(*user, *page),
            Key::Pwc(user, pmd) => self.seen_upper(self.cached_upper(*user, *pmd)),
            Key::Pasid(pasid) => self.seen_pasid(*pasid),
            Key::PasidCache(user) => seen_named(self.cached_entry(*user)),
            Key::InProgress(page) => Seen::Number(self.shared.ranges[page.0].lock().open.into()),
            Key::Content(frame) => self.seen_content(*frame),
            Key::Refs(frame) => count(&self.frames[frame.0].refs),
            Key::Mapcount(frame) => count(&self.frames[frame.0].maps),
            Key::Pins(frame) => count(&self.frames[frame.0].pins),
            Key::Stable(frame) => count(&self.frames[frame.0].stable),
            Key::Requested(page) => count(&self.shared.requested[page.0]),
            Key::Slot(index) => self.seen_slot(*index),
            Key::Lock(name) => self.seen_lock(name),
            Key::Shares(agent, name) => self.seen_share(*agent, name),
            Key::Section(section, agent) => {
                Seen::Number(self.held[*agent].sections.lock().contains(section).into())
            }
            Key::Awaits(agent, party) => {
                Seen::Number(self.shared.awaited.lock().contains(&(*agent, *party)).into())
            }
            Key::User(index) => count(&self.shared.variables[*index]),
            Key::Handle(agent, name) => self.seen_handle(*agent, name),
            Key::Orig(agent, page) => {
                self.seen_word(self.held[*agent].entries[page.0].load(Ordering::Acquire), Height::Leaf)
            }
            Key::PmdOrig(agent, pmd) => {
                self.seen_word(self.held[*agent].uppers[pmd.0].load(Ordering::Acquire), Height::Upper)
            }
            Key::Store(agent, index) => {
                let found = self.buffered(*agent, *index);
                found.map_or(Seen::Nothing, |(place, word)| Seen::Stored(place, word))
            }
            // What properties remember is the judge's; what a step returns is compared where it is taken.
            Key::Ghost(_) | Key::Returned(..) => return None,
            Key::Dma(agent, page) => self.seen_flight(*agent, *page),
            Key::Gone(user) => Seen::Number(self.is_plugged_in(*user).is_err().into()),
            Key::Aborted(agent) => Seen::Number(self.held[*agent].aborted.load(Ordering::Acquire).into()),
            Key::PasidHigh(pasid) => seen_named(self.layout.entries.half(&self.memory, *pasid, Half::High)),
            Key::PasidRead(user) => self.read_of_entry(*user).map_or(Seen::Foreign(0), Seen::Number),
            Key::Torn(user) => Seen::Number(self.users[user.0].torn.load(Ordering::Acquire).into()),
            Key::Spmd(pmd) => self.seen_entry(self.layout.spmd(*pmd), Height::Upper),
        })
    }

    /// What the model's value of a variable looks like on this machine.
    #[must_use]
    pub fn expected(&self, key: &Key, value: u32) -> Seen {
        let entry = || self.scene.entries[value as usize];
        match key {
            Key::Pte(_) | Key::Pmd(_) | Key::Spmd(_) | Key::Orig(..) | Key::PmdOrig(..) => {
                Seen::Entry(entry())
            }
            Key::Spte(_) => self.as_shadow(entry()),
            Key::Tlb(..)
            | Key::Tagged(..)
            | Key::DeviceTlb(..)
            | Key::InFlight(..)
            | Key::Completion(..)
            | Key::Pwc(..) => self.as_cached(entry()),
            Key::Dma(..) => entry().frame.map_or(Seen::Nothing, Seen::Leads),
            Key::Content(_) => Seen::Number(self.scene.contents[value as usize].into()),
            Key::User(index) => Seen::Number((least(&self.scene, *index) + value).into()),
            Key::LoadedMm(_)
            | Key::LoadedTag(_)
            | Key::Pasid(_)
            | Key::PasidCache(_)
            | Key::InProgress(_)
            | Key::Refs(_)
            | Key::Mapcount(_)
            | Key::Pins(_)
            | Key::Stable(_)
            | Key::Requested(_)
            | Key::Slot(_)
            | Key::Lock(_)
            | Key::Shares(..)
            | Key::Section(..)
            | Key::Awaits(..)
            | Key::Handle(..)
            | Key::Gone(_)
            | Key::Aborted(_)
            | Key::PasidHigh(_)
            | Key::PasidRead(_)
            | Key::Torn(_)
            | Key::Returned(..)
            | Key::Ghost(_) => Seen::Number(value.into()),
            Key::Store(agent, _) => self.expected_store(*agent, value),
        }
    }

    /// What a slot of a store buffer holds: nothing, or one of the values of one of its places.
    fn expected_store(&self, agent: AgentId, value: u32) -> Seen {
        let Some(mut left) = (value as usize).checked_sub(1) else { return Seen::Nothing };
        for (place, key) in self.scene.agents[agent].stores.iter().enumerate() {
            match self.storable(key, left) {
                Ok(word) => return Seen::Stored(place, word),
                Err(words) => left -= words,
            }
        }
        Seen::Foreign(value.into())
    }

    /// The word of that number among those that a plain store can store to a place, in the model's order; else how many there
    /// are.
    fn storable(&self, place: &Key, number: usize) -> Result<u64, usize> {
        let (words, first) = match place {
            Key::User(index) => {
                let of = &self.scene.variables[*index];
                ((of.most - of.least) as usize + 1, u64::from(of.least))
            }
            Key::Lock(_) => (self.scene.agents.len() + 1, 0),
            entry => {
                assert!(matches!(entry, Key::Pte(_) | Key::Pmd(_)), "no plain store goes to {entry:?}");
                let entry = self.scene.entries.get(number).ok_or(self.scene.entries.len())?;
                return Ok(self.coding.encode(*entry).0);
            }
        };
        if number < words { Ok(first + number as u64) } else { Err(words) }
    }

    /// What a frame holds; one that was freed holds poison, and what it held is given back by who allocates it.
    fn seen_content(&self, frame: FrameId) -> Seen {
        let (word, counts) = (self.memory.load(self.content(frame)), &self.frames[frame.0]);
        match self.bytes(frame).poisons && counts.is_free() {
            true if word == POISON => Seen::Number(counts.kept.load(Ordering::Acquire)),
            true => Seen::Foreign(word),
            false => Seen::Number(word),
        }
    }

    /// What stands in the queue, as its number plus one.
    fn seen_slot(&self, index: u32) -> Seen {
        let posted = self.shared.queue.lock().get(index as usize).copied();
        Seen::Number(posted.map_or(0, |number| u64::from(number) + 1))
    }

    /// Who holds a lock alone, as the agent's index plus one.
    fn seen_lock(&self, name: &str) -> Seen {
        let locks = self.shared.locks.lock();
        let holder = locks.get(name).and_then(|lock| lock.holder);
        Seen::Number(holder.map_or(0, |agent| agent as u64 + 1))
    }

    /// The frame behind a handle, as its index plus one.
    fn seen_handle(&self, agent: AgentId, name: &str) -> Seen {
        let handle = self.held[agent].handles.lock().get(name).copied();
        Seen::Number(handle.map_or(0, |frame| frame.0 as u64 + 1))
    }

    fn seen_share(&self, agent: AgentId, name: &str) -> Seen {
        let locks = self.shared.locks.lock();
        Seen::Number(locks.get(name).is_some_and(|lock| lock.sharers.contains(&agent)).into())
    }

    fn seen_entry(&self, place: mmu::address::PhysAddr, height: Height) -> Seen {
        self.seen_word(self.memory.load(place), height)
    }

    fn seen_word(&self, word: u64, height: Height) -> Seen {
        self.coding.decode(Pte(word), height).map_or(Seen::Foreign(word), Seen::Entry)
    }

    fn seen_upper(&self, word: u64) -> Seen {
        if word == 0 {
            return Seen::Nothing;
        }
        self.coding.frame(Pte(word).pfn()).map_or(Seen::Foreign(word), Seen::Upper)
    }

    /// The address space that an entry names: its word with the present bit does, if it is read by halves.
    fn seen_pasid(&self, pasid: PasidId) -> Seen {
        let entries = &self.layout.entries;
        seen_named(match self.by_halves {
            true => entries.half(&self.memory, pasid, Half::Low),
            false => entries.named(&self.memory, pasid),
        })
    }

    /// What the user's first cache holds of a page: a TLB, or an IOTLB.
    fn in_tlb(&self, user: UserId, page: PageId) -> Option<Translation> {
        match self.device(user) {
            Some(device) => device.iotlb(page),
            None => {
                self.users[user.0].tlb.holds(self.users[user.0].tag(page), self.layout.page(page).address)
            }
        }
    }

    fn seen_loaded(&self, user: UserId, what: impl Fn(&Loaded) -> usize) -> Seen {
        self.users[user.0].loaded.as_ref().map_or(Seen::Nothing, |loaded| Seen::Number(what(loaded) as u64))
    }

    fn in_device_tlb(&self, user: UserId, page: PageId) -> Option<Translation> {
        match self.device(user) {
            Some(device) => device.device_tlb(page),
            None => self.users[user.0]
                .device_tlb
                .holds(self.users[user.0].tag(page), self.layout.page(page).address),
        }
    }

    /// What is cached of an upper entry, as a word; 0 for nothing.
    fn cached_upper(&self, user: UserId, pmd: PmdId) -> u64 {
        self.device(user).map_or_else(|| self.users[user.0].upper(pmd), |device| device.upper(pmd))
    }

    /// What the entry in front of the user's tables names, as it has cached that.
    fn cached_entry(&self, user: UserId) -> Named {
        self.device(user).map_or_else(|| self.users[user.0].named(), Device::cached_entry)
    }

    fn seen_cached(&self, found: Option<Translation>) -> Seen {
        let Some(found) = found else { return Seen::Nothing };
        let dirty = found.dirty && self.coding.tracks(Bit::Dirty);
        match self.coding.frame(found.pfn) {
            Some(frame) => Seen::Cached { frame, write: found.permission.write, dirty, size: found.size },
            None => Seen::Foreign(found.pfn.0),
        }
    }

    /// What a shadow entry allows, if it allows anything; else the entry.
    fn seen_shadow(&self, page: PageId) -> Seen {
        let word = self.load(self.shadow_place(page));
        match word {
            Pte::NONE => Seen::Nothing,
            word if word.is_present() => self.seen_cached(Some(translation(word, PageSize::Size4K))),
            word => self.seen_word(word.0, Height::Leaf),
        }
    }

    fn seen_walk(&self, user: UserId, page: PageId) -> Seen {
        if let Some(device) = self.device(user) {
            return match device.walk_in_flight(page) {
                None => Seen::Nothing,
                Some(OnTheWay::Upper(word)) => self.seen_upper(word),
                Some(OnTheWay::Leaf(found)) => self.seen_cached(Some(found)),
            };
        }
        let hardware = &self.users[user.0];
        let shadow = self.caches(user) == Caches::Shadow;
        match *hardware.walks[page.0].lock() {
            None => Seen::Nothing,
            Some(InFlight::Upper(word)) => self.seen_upper(word),
            // What a fault has read is worth nothing once a range was opened or closed.
            Some(InFlight::Leaf(_, Begun::Sequence(since)))
                if shadow && self.shared.ranges[page.0].lock().sequence != since =>
            {
                Seen::Nothing
            }
            Some(InFlight::Leaf(found, _)) => self.seen_cached(Some(found)),
        }
    }

    fn seen_flight(&self, agent: AgentId, page: PageId) -> Seen {
        let Some(place) = *self.held[agent].flights[page.0].lock() else { return Seen::Nothing };
        self.coding.frame(place).map_or(Seen::Foreign(place.0), Seen::Leads)
    }

    fn seen_completion(&self, user: UserId, page: PageId) -> Seen {
        if let Some(device) = self.device(user) {
            return self.seen_cached(device.completion_in_flight(page));
        }
        match *self.users[user.0].completions[page.0].lock() {
            None => Seen::Nothing,
            Some(InFlight::Upper(word)) => self.seen_upper(word),
            Some(InFlight::Leaf(found, _)) => self.seen_cached(Some(found)),
        }
    }

    /// What a shadow entry for it allows, which is one of a page; or the entry, if it allows nothing.
    fn as_shadow(&self, entry: Entry) -> Seen {
        match self.as_cached(entry) {
            Seen::Cached { frame, write, dirty, .. } => {
                Seen::Cached { frame, write, dirty, size: PageSize::Size4K }
            }
            Seen::Nothing if entry.kind != Kind::None => Seen::Entry(entry),
            other => other,
        }
    }

    /// What a cache keeps of an entry.
    fn as_cached(&self, entry: Entry) -> Seen {
        let dirty = self.coding.tracks(Bit::Dirty) && entry.bits.has(Bit::Dirty);
        match (entry.kind, entry.frame) {
            (Kind::Present, Some(frame)) if !entry.bits.has(Bit::ProtNone) => {
                let size = if entry.bits.has(Bit::Huge) { PageSize::Size2M } else { PageSize::Size4K };
                Seen::Cached { frame, write: entry.bits.has(Bit::Write), dirty, size }
            }
            (Kind::Table, Some(table)) => Seen::Upper(table),
            (Kind::None | Kind::Marker | Kind::Swap | Kind::Migration | Kind::Present | Kind::Table, _) => {
                Seen::Nothing
            }
        }
    }
}

/// The address space, as its number plus one.
fn seen_named(named: Named) -> Seen {
    match named {
        Named::Nothing => Seen::Number(0),
        Named::Space(space) => Seen::Number(space as u64 + 1),
        Named::Foreign(word) => Seen::Foreign(word),
    }
}

fn least(scene: &Scene, index: usize) -> u32 {
    scene.variables[index].least
}
