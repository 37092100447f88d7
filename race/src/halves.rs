//! PASID entries that are written and read by halves.
//!
//! Invariant: what has been read of one half stays as it was read, until the PASID cache is told to forget. An entry comes
//! into the cache only whole; one of which the halves were written for two address spaces is torn, and nobody uses it.
//! Source: VT-d 6.2.3, 6.5.3.3; drivers/iommu/intel/pasid.c `intel_pasid_tear_down_entry`.

use std::ops::Range;
use std::sync::atomic::Ordering;

use iommu::vtd::port::PartlyRead;
use mmu::address::{Access, VirtAddr};
use mmu::table::Root;
use ordering::lowering::{Hop, UserId};
use steps::Half;

use crate::device::{Device, refused};
use crate::machine::{Machine, Stuck};
use crate::unit::request;
use crate::unit::tables::{high_root, low_root};

/// What has been read of a PASID's entry, by whom.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// The machine, for a device without a unit.
    Plain([Option<u64>; 3]),
    /// The device's unit.
    Unit(PartlyRead),
}

impl Reading {
    fn words(&self) -> [Option<u64>; 3] {
        match self {
            Self::Plain(words) => *words,
            Self::Unit(part) => part.words(),
        }
    }
}

/// Which words make a half.
const fn words_of(half: Half) -> Range<usize> {
    match half {
        Half::Low => 0..1,
        Half::High => 1..3,
    }
}

const NOTHING_READ: Stuck = Stuck::Waits("no half of the entry has been read");

impl Machine {
    /// The hop, if it reads a half of a PASID's entry: what came of it. Some other hop: none.
    pub(crate) fn half_hop(&self, user: UserId, hop: Hop) -> Result<Option<Hop>, Stuck> {
        match hop {
            Hop::PasidLow => self.begin_entry(user, Half::Low).map(|()| Some(hop)),
            Hop::PasidHigh => self.begin_entry(user, Half::High).map(|()| Some(hop)),
            Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent => self.end_entry(user).map(Some),
            Hop::Read | Hop::Huge | Hop::Fill | Hop::Upper | Hop::Pasid | Hop::Fault => Ok(None),
        }
    }

    /// What has been read, unless the PASID cache was told to forget since.
    fn reading(&self, user: UserId) -> Option<Reading> {
        let found = self.users[user.0].reading.lock().clone()?;
        let lives = match (&found, self.device(user)) {
            (Reading::Unit(part), Some(device)) => device.entry_is_current(part),
            (Reading::Unit(_) | Reading::Plain(_), _) => true,
        };
        lives.then_some(found)
    }

    /// Reads that half first.
    fn begin_entry(&self, user: UserId, half: Half) -> Result<(), Stuck> {
        if self.reading(user).is_some() {
            return Err(Stuck::Waits("a half of the entry has been read"));
        }
        let id = self.scene.users[user.0].pasid;
        let id = id.ok_or_else(|| Stuck::Cannot(format!("{user} has no PASID")))?;
        // Who finds the entry absent reads nothing more.
        if self.layout.tables.low(&self.memory, self.layout.tables.number(id)).is_none() {
            return Err(Stuck::Waits("the entry of the PASID names no address space"));
        }
        let mut begun = match self.device(user) {
            Some(device) => Reading::Unit(device.begin_entry()?),
            None => Reading::Plain([None; 3]),
        };
        self.read_words(user, &mut begun, words_of(half))?;
        *self.users[user.0].reading.lock() = Some(begun);
        Ok(())
    }

    /// Reads the half that is left.
    fn end_entry(&self, user: UserId) -> Result<Hop, Stuck> {
        let mut reading = self.reading(user).ok_or(NOTHING_READ)?;
        self.read_words(user, &mut reading, 0..3)?;
        let [Some(first), Some(second), Some(third)] = reading.words() else { return Err(NOTHING_READ) };
        let words = [first, second, third];
        let (low, high) = (low_root(words), high_root(words));
        let hardware = &self.users[user.0];
        *hardware.reading.lock() = None;
        if low.is_none() {
            return Ok(Hop::PasidAbsent);
        }
        if low != high {
            hardware.torn.store(true, Ordering::Release);
            return Ok(Hop::PasidTorn);
        }
        match (&reading, self.device(user)) {
            (Reading::Unit(part), Some(device)) => device.end_entry(part)?,
            (Reading::Unit(_) | Reading::Plain(_), _) => {
                hardware.pasid.store(low.map_or(0, |root| root.table.0), Ordering::Release);
            }
        }
        Ok(Hop::PasidRest)
    }

    /// Reads those words that have not been read yet.
    fn read_words(&self, user: UserId, reading: &mut Reading, words: Range<usize>) -> Result<(), Stuck> {
        let outside = || Stuck::Cannot("the entry of the PASID lies outside memory".to_owned());
        match (reading, self.device(user)) {
            (Reading::Unit(part), Some(device)) => match device.read_words(part, words) {
                true => Ok(()),
                false => Err(outside()),
            },
            (Reading::Plain(read), _) => {
                let id = self.scene.users[user.0].pasid.ok_or_else(outside)?;
                let found = self.layout.tables.words(&self.memory, self.layout.tables.number(id));
                for index in words {
                    read[index].get_or_insert(found[index]);
                }
                Ok(())
            }
            (Reading::Unit(_), None) => Err(Stuck::Cannot("the unit is gone".to_owned())),
        }
    }

    /// What has been read, as a number: 0 for nothing, then the address spaces of low halves, then what high ones name.
    pub(crate) fn read_of_entry(&self, user: UserId) -> Option<u64> {
        let Some(reading) = self.reading(user) else { return Some(0) };
        let spaces = self.scene.mms.len() as u64 + 1;
        let number = |root: Option<Root>| {
            root.map_or(Some(0), |root| self.layout.named(root.table.0).map(|mm| mm as u64 + 1))
        };
        match reading.words() {
            [Some(low), None, None] => number(low_root([low, 0, 0])),
            [None, Some(middle), Some(high)] => {
                number(high_root([0, middle, high])).map(|number| spaces + number)
            }
            [_, _, _] => None,
        }
    }
}

impl Device<'_> {
    fn begin_entry(self) -> Result<PartlyRead, Stuck> {
        let pasid = self.own_pasid().ok_or_else(|| Stuck::Cannot("the device has no PASID".to_owned()))?;
        let begun = self.port().begin_pasid_entry(request(pasid, VirtAddr(0), Access::Read));
        begun.map_err(refused)
    }

    fn end_entry(self, part: &PartlyRead) -> Result<(), Stuck> {
        match self.port().end_pasid_entry(part) {
            true => Ok(()),
            false => Err(Stuck::Cannot("the unit does not cache the entry".to_owned())),
        }
    }

    fn read_words(self, part: &mut PartlyRead, words: Range<usize>) -> bool {
        self.port().read_pasid_words(part, words)
    }

    fn entry_is_current(self, part: &PartlyRead) -> bool {
        self.port().pasid_entry_is_current(part)
    }
}
