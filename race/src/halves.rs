//! Entries of PASIDs and context entries that are written and read by halves.
//!
//! Invariant: what has been read of one half stays as it was read, until the cache of such entries is told to forget. An
//! entry comes into the cache only whole; one of which the halves were written for two address spaces is torn, and nobody
//! uses it.
//! Source: VT-d 6.2.2, 6.2.3, 6.5.3.3; drivers/iommu/intel/pasid.c `intel_pasid_tear_down_entry`, iommu.c
//! `context_set_present`.

use std::ops::Range;
use std::sync::atomic::Ordering;

use iommu::vtd::port::PartlyRead;
use mmu::address::{Access, VirtAddr};
use ordering::lowering::{Hop, PasidId, UserId};
use steps::Half;

use crate::device::{Device, refused};
use crate::machine::Machine;
use crate::reading::Reading;
use crate::stuck::Stuck;
use crate::unit::entries::Named;
use crate::unit::requests::request;
use crate::walk::{NAMES_NOTHING, names_foreign};

const NOTHING_READ: Stuck = Stuck::Waits("no half of the entry has been read");

impl Machine {
    /// The hop, if it reads a half of an entry: what came of it. Some other hop: none.
    pub(crate) fn half_hop(&self, user: UserId, hop: Hop) -> Result<Option<Hop>, Stuck> {
        match hop {
            Hop::PasidLow => self.begin_entry(user, Half::Low).map(|()| Some(hop)),
            Hop::PasidHigh => self.begin_entry(user, Half::High).map(|()| Some(hop)),
            Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent => self.end_entry(user).map(Some),
            Hop::Read | Hop::Huge | Hop::Fill | Hop::Upper | Hop::Pasid | Hop::Fault => Ok(None),
        }
    }

    /// The entry that `user` goes by.
    pub(crate) fn entry_of(&self, user: UserId) -> Result<PasidId, Stuck> {
        let found = self.scene.users[user.0].pasid;
        found.ok_or_else(|| Stuck::Cannot(format!("{user} has neither a PASID nor a context entry")))
    }

    /// What has been read, unless the cache was told to forget since.
    fn reading(&self, user: UserId) -> Option<Reading> {
        let found = self.users[user.0].reading.lock().clone()?;
        let lives = match (&found, self.device(user)) {
            (Reading::Unit(part), Some(device)) => device.entry_is_current(part),
            (Reading::Plain(_), _) => true,
            (Reading::Unit(_), None) => false,
        };
        lives.then_some(found)
    }

    /// Reads that half first.
    fn begin_entry(&self, user: UserId, half: Half) -> Result<(), Stuck> {
        if self.reading(user).is_some() {
            return Err(Stuck::Waits("a half of the entry has been read"));
        }
        let (id, entries) = (self.entry_of(user)?, &self.layout.entries);
        // Who finds the entry absent reads nothing more.
        match entries.half(&self.memory, id, Half::Low) {
            Named::Nothing => return Err(NAMES_NOTHING),
            Named::Foreign(word) => return Err(names_foreign(word)),
            Named::Space(_) => {}
        }
        let mut begun = match self.device(user) {
            Some(device) => Reading::Unit(device.begin_entry(id)?),
            None => Reading::Plain(vec![None; entries.count(id)]),
        };
        self.read_words(user, &mut begun, entries.range(id, half))?;
        *self.users[user.0].reading.lock() = Some(begun);
        Ok(())
    }

    /// Reads the half that is left.
    fn end_entry(&self, user: UserId) -> Result<Hop, Stuck> {
        let (id, entries) = (self.entry_of(user)?, &self.layout.entries);
        let mut reading = self.reading(user).ok_or(NOTHING_READ)?;
        self.read_words(user, &mut reading, 0..entries.count(id))?;
        let [Some(low), Some(high)] = self.halves_of(id, &reading)? else { return Err(NOTHING_READ) };
        let hardware = &self.users[user.0];
        let hop = match (low, high) {
            (Named::Foreign(word), _) | (_, Named::Foreign(word)) => return Err(names_foreign(word)),
            (Named::Nothing, Named::Nothing | Named::Space(_)) => Hop::PasidAbsent,
            (Named::Space(space), Named::Space(other)) if space == other => {
                match (&reading, self.device(user)) {
                    (Reading::Unit(part), Some(device)) => device.end_entry(part)?,
                    (Reading::Plain(_), _) => hardware.set_named(space),
                    (Reading::Unit(_), None) => return Err(no_unit(user)),
                }
                Hop::PasidRest
            }
            (Named::Space(_), Named::Nothing | Named::Space(_)) => {
                hardware.torn.store(true, Ordering::Release);
                Hop::PasidTorn
            }
        };
        *hardware.reading.lock() = None;
        Ok(hop)
    }

    /// What each half names, if it has been read.
    fn halves_of(&self, id: PasidId, reading: &Reading) -> Result<[Option<Named>; 2], Stuck> {
        let entries = &self.layout.entries;
        let half = |half: Half| {
            let words = &reading.words()[entries.range(id, half)];
            if words.iter().all(Option::is_none) {
                return Ok(None);
            }
            let words: Option<Vec<u64>> = words.iter().copied().collect();
            let words = words.ok_or_else(|| Stuck::Cannot("a part of a half has been read".to_owned()))?;
            Ok(Some(entries.by_half(id, half, &words)))
        };
        Ok([half(Half::Low)?, half(Half::High)?])
    }

    /// Reads those words that have not been read yet.
    fn read_words(&self, user: UserId, reading: &mut Reading, words: Range<usize>) -> Result<(), Stuck> {
        match (reading, self.device(user)) {
            (Reading::Unit(part), Some(device)) => match device.read_words(part, words) {
                true => Ok(()),
                false => Err(Stuck::Cannot("the entry lies outside memory".to_owned())),
            },
            (Reading::Plain(read), _) => {
                let found = self.layout.entries.words(&self.memory, self.entry_of(user)?);
                for index in words {
                    read[index].get_or_insert(found[index]);
                }
                Ok(())
            }
            (Reading::Unit(_), None) => Err(no_unit(user)),
        }
    }

    /// What has been read, as a number: 0 for nothing, then the address spaces of low halves, then what high ones name. None:
    /// what no scenario writes, or more than one half.
    pub(crate) fn read_of_entry(&self, user: UserId) -> Option<u64> {
        let Some(reading) = self.reading(user) else { return Some(0) };
        let spaces = self.scene.mms.len() as u64 + 1;
        match self.halves_of(self.entry_of(user).ok()?, &reading).ok()? {
            [Some(Named::Space(low)), None] => Some(low as u64 + 1),
            [None, Some(Named::Nothing)] => Some(spaces),
            [None, Some(Named::Space(high))] => Some(spaces + high as u64 + 1),
            [_, _] => None,
        }
    }
}

fn no_unit(user: UserId) -> Stuck {
    Stuck::Cannot(format!("a unit has read for {user}, which has none"))
}

impl Device<'_> {
    fn begin_entry(self, id: PasidId) -> Result<PartlyRead, Stuck> {
        let pasid = self.number(id);
        let (request, mut port) = (request(pasid, VirtAddr(0), Access::Read), self.port());
        let begun = match pasid {
            Some(_) => port.begin_pasid_entry(request),
            None => port.begin_context_entry(request),
        };
        begun.map_err(refused)
    }

    fn end_entry(self, part: &PartlyRead) -> Result<(), Stuck> {
        match self.port().end_entry(part) {
            true => Ok(()),
            false => Err(Stuck::Cannot("the unit does not cache the entry".to_owned())),
        }
    }

    fn read_words(self, part: &mut PartlyRead, words: Range<usize>) -> bool {
        self.port().read_words(part, words)
    }

    fn entry_is_current(self, part: &PartlyRead) -> bool {
        self.port().entry_is_current(part)
    }
}
