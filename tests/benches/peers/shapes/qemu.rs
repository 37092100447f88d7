//! The shape of QEMU's IOTLB for VT-d: a hash table of pointers to keys and values, under one mutex.
//!
//! Invariant: as in a GHashTable, a key's hash and the equality of two keys are functions called by address, hashes
//! lie in an array of their own, and probing goes in growing steps. A lookup tries a key of each page size in turn.
//! The bound of 1024 entries is left out, in its favour: with it nearly every lookup of 64k pages would be a miss.
//! Source: QEMU 9 hw/i386/intel_iommu.c `vtd_lookup_iotlb`, `vtd_iotlb_page_invalidate`; GLib `g_hash_table_lookup`.

use std::sync::Mutex;

use mmu::address::{PAGE_SIZE, PageSize};

use crate::pages::{BASE, frame};

const SOURCE: u16 = 0x18;
const PASID: u32 = 5;
const DOMAIN: u16 = 7;
/// Hashes that say what a place holds; those of keys are larger.
const UNUSED: u32 = 0;
const REMOVED: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    frame: u64,
    pasid: u32,
    source: u16,
    level: u32,
}

struct Entry {
    frame: u64,
    domain: u16,
    to: u64,
    mask: u64,
}

struct Table {
    hash: fn(&Key) -> u32,
    equal: fn(&Key, &Key) -> bool,
    hashes: Vec<u32>,
    keys: Vec<Option<Box<Key>>>,
    values: Vec<Option<Box<Entry>>>,
    /// Places that were ever used.
    taken: usize,
}

pub(crate) struct Shared(Mutex<Table>);

impl Shared {
    pub(crate) fn filled(pages: u64) -> Self {
        let shared = Self(Mutex::new(Table::sized(8)));
        (0..pages).for_each(|page| shared.fill(page));
        shared
    }

    pub(crate) fn fill(&self, page: u64) {
        let address = BASE + page * PAGE_SIZE;
        let entry = Entry {
            frame: address / PAGE_SIZE,
            domain: DOMAIN,
            to: frame(page) * PAGE_SIZE,
            mask: !(PAGE_SIZE - 1),
        };
        self.0.lock().expect("nobody panics").insert(Key::new(address, PageSize::Size4K), entry);
    }

    #[inline]
    pub(crate) fn address(&self, address: u64) -> Option<u64> {
        let table = self.0.lock().expect("nobody panics");
        let sizes = [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G];
        let entry = sizes.into_iter().find_map(|size| table.find(&Key::new(address, size)))?;
        Some(entry.to | address & !entry.mask)
    }

    /// Looks at every entry, as it must: a domain's entries are found by nothing else.
    pub(crate) fn invalidate(&self, page: u64) {
        let gone = BASE / PAGE_SIZE + page;
        let mut table = self.0.lock().expect("nobody panics");
        table.remove_if(|entry| entry.domain == DOMAIN && entry.frame == gone);
    }

    pub(crate) fn invalidate_all(&self) {
        *self.0.lock().expect("nobody panics") = Table::sized(8);
    }
}

impl Key {
    fn new(address: u64, size: PageSize) -> Self {
        Self { frame: address / size.bytes(), pasid: PASID, source: SOURCE, level: size.level() }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a hash is its low bits")]
    fn hash(&self) -> u32 {
        let spread = self.frame
            ^ u64::from(self.source) << 28
            ^ u64::from(self.level) << 44
            ^ u64::from(self.pasid) << 48;
        (spread ^ spread >> 32) as u32
    }
}

impl Table {
    fn sized(places: usize) -> Self {
        Self {
            hash: Key::hash,
            equal: Key::eq,
            hashes: vec![UNUSED; places],
            keys: (0..places).map(|_| None).collect(),
            values: (0..places).map(|_| None).collect(),
            taken: 0,
        }
    }

    /// Where the key is, or where it could be put.
    fn place(&self, key: &Key) -> (u32, usize) {
        let hash = (self.hash)(key).max(2);
        let mask = self.hashes.len() - 1;
        let (mut at, mut step) = ((hash as usize).wrapping_mul(11) & mask, 0);
        while self.hashes[at] != UNUSED {
            if self.hashes[at] == hash && self.keys[at].as_ref().is_some_and(|held| (self.equal)(held, key)) {
                break;
            }
            step += 1;
            at = (at + step) & mask;
        }
        (hash, at)
    }

    fn find(&self, key: &Key) -> Option<&Entry> {
        let (_, at) = self.place(key);
        self.values[at].as_deref()
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        if (self.taken + 1) * 4 > self.hashes.len() * 3 {
            self.grow();
        }
        let (hash, at) = self.place(&key);
        self.taken += usize::from(self.hashes[at] == UNUSED);
        self.hashes[at] = hash;
        self.keys[at] = Some(Box::new(key));
        self.values[at] = Some(Box::new(entry));
    }

    fn grow(&mut self) {
        let held = self.values.iter().flatten().count();
        let old = std::mem::replace(self, Self::sized((held * 2 + 8).next_power_of_two()));
        for (key, value) in old.keys.into_iter().zip(old.values) {
            if let (Some(key), Some(value)) = (key, value) {
                self.insert(*key, *value);
            }
        }
    }

    fn remove_if(&mut self, is_gone: impl Fn(&Entry) -> bool) {
        for at in 0..self.hashes.len() {
            if self.hashes[at] > REMOVED && self.values[at].as_deref().is_some_and(&is_gone) {
                self.hashes[at] = REMOVED;
                (self.keys[at], self.values[at]) = (None, None);
            }
        }
    }
}
