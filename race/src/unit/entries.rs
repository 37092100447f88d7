//! Entries that name address spaces to units: those of PASIDs, and context entries.
//!
//! Invariant: every word of an entry is compared with what would be written there for some address space: one that is not
//! exactly so names none of them. Entries are written in two halves, the one with the present bit last, and removed that
//! bit first. Source: VT-d 6.5.3.3, 9.3, 9.6; drivers/iommu/intel/pasid.c, iommu.c.

use std::ops::Range;

use iommu::spec::command::MODE_SHIFT;
use iommu::spec::context::LegacyContext;
use iommu::spec::paging::SecondStageLevels;
use iommu::spec::pasid_entry::PasidEntry;
use mmu::address::{Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use mmu::table::Root;
use ordering::lowering::{MmId, PageId, PasidId, Scene, UserId};
use pcie::Pasid;
use steps::{Directory, Half};

use super::contexts::ContextTables;
use super::requests::{DOMAIN, domain};
use super::tables::Tables;

/// Words of an entry at most.
const MOST_WORDS: usize = 3;
/// RTADDR.TTM: scalable mode. Legacy mode is 0.
const SCALABLE: u64 = 1 << MODE_SHIFT;

/// What an entry names, or a half of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    /// Nothing is written there.
    Nothing,
    /// An address space; those of the scenario come first.
    Space(usize),
    /// What nobody writes: its first word.
    Foreign(u64),
}

/// The tables of all units, and what is written into them.
#[derive(Debug)]
pub(crate) struct Entries {
    scalable: Tables,
    /// By PASID of the scenario; none: it is one, and no context entry.
    contexts: Vec<Option<ContextTables>>,
    /// By address space: the words of a PASID's entry.
    of_pasids: Vec<[u64; 3]>,
    /// By address space: those of a context entry.
    of_contexts: Vec<[u64; 2]>,
}

/// How many words say something.
const fn count(directory: Directory) -> usize {
    match directory {
        Directory::Pasids => 3,
        Directory::Contexts => 2,
    }
}

/// The words of a PASID's entry for `root`. SLPTPTR, which no first stage heeds, says for whom the word with the present
/// bit is.
const fn of_pasid(root: Root) -> [u64; 3] {
    let PasidEntry([first, second, third]) = PasidEntry::of_first_stage(DOMAIN, root);
    [first | root.table.address().0, second, third]
}

impl Entries {
    /// For `scene`, in frames that `take` gives; `roots`: by address space.
    pub(crate) fn new(scene: &Scene, roots: &[Root], mut take: impl FnMut(u64) -> Pfn) -> Self {
        let scalable = Tables::new(scene, &mut take);
        let contexts = scene.directories.iter().map(|directory| match directory {
            Directory::Contexts => Some(ContextTables::new(&mut take)),
            Directory::Pasids => None,
        });
        let of_context = |(space, root): (usize, &Root)| {
            // What a device is refused the scenario knows of: no fault is to be recorded.
            LegacyContext::of(root.table.address(), SecondStageLevels::Four, domain(space)).without_faults().0
        };
        Self {
            scalable,
            contexts: contexts.collect(),
            of_pasids: roots.iter().map(|root| of_pasid(*root)).collect(),
            of_contexts: roots.iter().enumerate().map(of_context).collect(),
        }
    }

    /// Writes everything that never changes. `spaces`: by page.
    pub(crate) fn link(&self, memory: &PhysicalMemory, spaces: impl Iterator<Item = usize>) {
        self.scalable.link(memory);
        for (page, space) in spaces.enumerate() {
            self.scalable.write(memory, self.of_page(PageId(page)), &self.of_pasids[space]);
        }
        let nowhere = self.of_contexts.last().expect("pages in no address space have one, too");
        self.contexts.iter().flatten().for_each(|tables| tables.link(memory, nowhere));
    }

    /// What the unit of a user is told of its tables: RTADDR.
    pub(crate) fn root_register(&self, scene: &Scene, user: UserId) -> u64 {
        match scene.users[user.0].pasid.and_then(|id| self.contexts[id.0]) {
            Some(tables) => tables.root().0,
            None => self.scalable.root().0 | SCALABLE,
        }
    }

    /// The PASID that names the address space of `page` for good.
    pub(crate) fn of_page(&self, page: PageId) -> Pasid {
        self.scalable.of_page(page)
    }

    /// The number of a PASID of the scenario; none: it is a context entry.
    pub(crate) fn number(&self, id: PasidId) -> Option<Pasid> {
        match self.directory(id) {
            Directory::Pasids => Some(self.scalable.number(id)),
            Directory::Contexts => None,
        }
    }

    /// In which table the entry stands.
    pub(crate) fn directory(&self, id: PasidId) -> Directory {
        if self.contexts[id.0].is_some() { Directory::Contexts } else { Directory::Pasids }
    }

    /// How many of its words say something.
    pub(crate) fn count(&self, id: PasidId) -> usize {
        count(self.directory(id))
    }

    /// Which of them make a half.
    pub(crate) fn range(&self, id: PasidId, half: Half) -> Range<usize> {
        match half {
            Half::Low => 0..1,
            Half::High => 1..self.count(id),
        }
    }

    /// Lets it name `mm`.
    pub(crate) fn set(&self, memory: &PhysicalMemory, id: PasidId, mm: Option<MmId>) {
        self.set_half(memory, id, Half::Low, None);
        self.set_half(memory, id, Half::High, mm);
        self.set_half(memory, id, Half::Low, mm);
    }

    /// Writes the word with the present bit, or those behind it.
    pub(crate) fn set_half(&self, memory: &PhysicalMemory, id: PasidId, half: Half, mm: Option<MmId>) {
        let place = self.place(id);
        for index in self.range(id, half).rev() {
            let word = mm.map_or(0, |mm| self.written(id, mm.0)[index]);
            memory.store(place.offset(index as u64 * 8), word);
        }
    }

    /// What it names, half by half the same.
    pub(crate) fn named(&self, memory: &PhysicalMemory, id: PasidId) -> Named {
        self.whole(id, &self.words(memory, id)[..self.count(id)])
    }

    /// What a half of it names.
    pub(crate) fn half(&self, memory: &PhysicalMemory, id: PasidId, half: Half) -> Named {
        self.by_half(id, half, &self.words(memory, id)[self.range(id, half)])
    }

    /// Its words, and nothing behind them.
    pub(crate) fn words(&self, memory: &PhysicalMemory, id: PasidId) -> [u64; MOST_WORDS] {
        let mut words = [0; MOST_WORDS];
        for (word, place) in words.iter_mut().zip(self.places(id)) {
            *word = memory.load(place);
        }
        words
    }

    /// Where they lie.
    pub(crate) fn places(&self, id: PasidId) -> impl Iterator<Item = PhysAddr> {
        let place = self.place(id);
        (0..self.count(id) as u64).map(move |index| place.offset(index * 8))
    }

    /// What an entry of these words names.
    pub(crate) fn whole(&self, id: PasidId, words: &[u64]) -> Named {
        let [low, high] =
            [Half::Low, Half::High].map(|half| self.by_half(id, half, &words[self.range(id, half)]));
        if low == high { low } else { Named::Foreign(words[0]) }
    }

    /// What a half of these words names.
    pub(crate) fn by_half(&self, id: PasidId, half: Half, words: &[u64]) -> Named {
        if words.iter().all(|word| *word == 0) {
            return Named::Nothing;
        }
        let range = self.range(id, half);
        let is_it = |space: &usize| self.written(id, *space)[range.clone()] == *words;
        (0..self.of_pasids.len()).find(is_it).map_or(Named::Foreign(words[0]), Named::Space)
    }

    fn written(&self, id: PasidId, space: usize) -> &[u64] {
        match self.directory(id) {
            Directory::Pasids => &self.of_pasids[space],
            Directory::Contexts => &self.of_contexts[space],
        }
    }

    fn place(&self, id: PasidId) -> PhysAddr {
        match self.contexts[id.0] {
            Some(tables) => tables.entry(),
            None => self.scalable.place(self.scalable.number(id)),
        }
    }
}
