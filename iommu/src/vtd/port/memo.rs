//! The routes that a port found last: what makes a hit as fast as a look at one counter.
//!
//! Invariant: a memo is used only in the epoch in which its route was found, and an epoch ends with every change of
//! what the unit caches of routes. So a memo shows nothing that the caches behind it do not. Where those caches are
//! switched off, there is no memo either.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mmu::address::VirtAddr;
use mmu::cache::Tag;
use mmu::memory::PhysicalMemory;
use pcie::{Ats, Msi, Pasid, Request, Requester};

use crate::spec::fault::{AddressType, FaultReason};
use crate::vtd::Vtd;
use crate::vtd::device_tlb::Device;
use crate::vtd::route::{Dialect, Reach, Refusal, RefusedRoute, Stages};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::{Trail, Word};
use crate::vtd::walk::{Path, Space};
use crate::vtd::witness::{HeldIn, NoRoute, Origin, Used};

/// Memos of a port, one for each PASID modulo this.
const MEMOS: usize = 8;

/// A route, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    pub(super) requester: Requester,
    /// The epoch in which it may be used again; 0 is none, as epochs count from 1.
    valid_in: u64,
    pub(super) found_in: u64,
    pub(super) space: Space,
    /// What its translations are tagged with.
    pub(super) key: Option<SpaceKey>,
    /// What the device's TLB tags its translations with.
    device_tag: Option<Tag>,
    has_device_tlb: bool,
    pub(super) has_page_requests: bool,
    pub(super) hides_faults: bool,
    pub(super) trail: Trail,
    /// The trail's words; none if nothing is watched.
    pub(super) words: Box<[[Word; 4]]>,
}

/// What a hit needs of a memo, small and apart from the rest: each access reads it.
#[derive(Clone, Copy)]
pub(super) struct Shortcut {
    /// 0 if there is none. In the same epoch its route was found.
    pub(super) valid_in: u64,
    pasid: Option<Pasid>,
    /// The tag of its translations in the cache that is asked first.
    pub(super) tag: Tag,
    /// Its addresses are physical, and no cache is asked.
    pub(super) is_identity: bool,
}

/// The last routes of one port.
pub(super) struct Memos {
    device: Arc<Device>,
    /// The device's, as it was at the first look in the epoch `seen`: its change ends the epoch, so that all shortcuts of
    /// an epoch are for the same cache.
    ats: Ats,
    seen: u64,
    shortcuts: [Shortcut; MEMOS],
    memos: [Option<Memo>; MEMOS],
}

impl Shortcut {
    const NONE: Self = Self { valid_in: 0, pasid: None, tag: Tag(0), is_identity: false };
}

impl Memos {
    pub(super) fn new(device: &Arc<Device>) -> Self {
        Self {
            device: Arc::clone(device),
            ats: Ats::Disabled,
            seen: 0,
            shortcuts: [Shortcut::NONE; MEMOS],
            memos: [const { None }; MEMOS],
        }
    }

    /// Whether the device's TLB was asked first when this was looked at last: in the epoch of every shortcut that is
    /// valid.
    #[inline(always)]
    pub(super) fn ats_before(&self) -> Ats {
        self.ats
    }

    /// Whether the device's TLB is asked first.
    #[inline(always)]
    pub(super) fn ats_now(&mut self, unit: &Vtd) -> Ats {
        self.follow(unit.epoch());
        self.ats
    }

    #[inline(always)]
    fn follow(&mut self, epoch: u64) {
        if self.seen != epoch {
            self.seen = epoch;
            self.ats = self.device.ats();
        }
    }

    /// What a hit of a request with `pasid` needs of its route, if that was found in this epoch.
    #[inline(always)]
    pub(super) fn shortcut(&self, unit: &Vtd, pasid: Option<Pasid>) -> Option<Shortcut> {
        let shortcut = &self.shortcuts[index(pasid)];
        (shortcut.valid_in == unit.epoch() && shortcut.pasid == pasid).then_some(*shortcut)
    }

    /// The route behind a [`shortcut`](Self::shortcut) for `pasid`.
    #[inline(always)]
    pub(super) fn behind_shortcut(&self, pasid: Option<Pasid>) -> Option<&Memo> {
        self.memos[index(pasid)].as_ref()
    }

    /// The route of a request, as of now. If it has none, whoever watches is told.
    pub(super) fn find_for(&mut self, unit: &Vtd, request: &Request) -> Result<&Memo, Refusal> {
        let requester = Requester { source: self.device.source(), pasid: request.pasid };
        self.find(unit, request.pasid).map_err(|RefusedRoute { refusal, read }| {
            let (reason, mode) = (refusal.reason, unit.root().mode);
            let refused = NoRoute { requester, request, reason, mode, read: &read };
            let _no_page = unit.tell_used(Used::NoRoute(&refused));
            refusal
        })
    }

    /// The route of requests with `pasid`, as of now.
    pub(super) fn find(&mut self, unit: &Vtd, pasid: Option<Pasid>) -> Result<&Memo, RefusedRoute> {
        let epoch = unit.epoch();
        self.follow(epoch);
        let place = &mut self.memos[index(pasid)];
        if place.as_ref().is_some_and(|memo| !memo.serves(pasid, epoch)) {
            *place = None;
        }
        let memo = match place {
            Some(memo) => memo,
            None => place.insert(Memo::look_up(unit, &self.device, pasid, epoch)?),
        };
        self.shortcuts[index(pasid)] = memo.shortcut(self.ats);
        Ok(memo)
    }
}

#[inline(always)]
fn index(pasid: Option<Pasid>) -> usize {
    pasid.map_or(0, |pasid| pasid.number() as usize % MEMOS)
}

/// Four together, because comparing them costs less so; the last one fills up.
fn fours(words: &[Word]) -> Box<[[Word; 4]]> {
    let at = |place: usize| words[place.min(words.len() - 1)];
    (0..words.len()).step_by(4).map(|first| std::array::from_fn(|place| at(first + place))).collect()
}

impl Memo {
    /// Whether every word of the route still says what it said.
    #[inline(always)]
    pub(super) fn stands(&self, words: &[AtomicU64]) -> bool {
        for [first, second, third, fourth] in &self.words {
            let stands =
                first.stands(words) && second.stands(words) && third.stands(words) && fourth.stands(words);
            if !stands {
                return false;
            }
        }
        true
    }

    /// The same where memory is lent.
    pub(super) fn stands_in_lent(&self, memory: &PhysicalMemory) -> bool {
        self.words.iter().flatten().all(|word| word.stands_in(memory))
    }

    fn look_up(unit: &Vtd, device: &Device, pasid: Option<Pasid>, epoch: u64) -> Result<Self, RefusedRoute> {
        let caches = unit.options.caches;
        let keeps = caches.context != 0 && (caches.pasid != 0 || !unit.options.scalable_mode);
        let requester = Requester { source: device.source(), pasid };
        let route = unit.find_route(requester, Reach::Caches, unit.recorder())?;
        Ok(Self {
            requester,
            valid_in: if keeps { epoch } else { 0 },
            found_in: epoch,
            space: unit.space(&route),
            key: route.key,
            device_tag: device.tags().of(pasid),
            has_device_tlb: route.has_device_tlb,
            has_page_requests: route.has_page_requests,
            hides_faults: route.hides_faults,
            words: fours(&route.trail.words()),
            trail: route.trail,
        })
    }

    fn shortcut(&self, ats: Ats) -> Shortcut {
        // A device that translates ahead keeps these too, and uses what it keeps.
        let is_identity = ats == Ats::Disabled && self.space.stages == Stages::Identity;
        self.tag(ats).map_or(Shortcut::NONE, |tag| Shortcut {
            valid_in: self.valid_in,
            pasid: self.requester.pasid,
            tag,
            is_identity,
        })
    }

    #[inline(always)]
    fn serves(&self, pasid: Option<Pasid>, epoch: u64) -> bool {
        self.valid_in == epoch && self.requester.pasid == pasid
    }

    /// The tag of its translations in the cache that is asked first; none if they are not there, or if the route does
    /// not let the device use what is there.
    pub(super) fn tag(&self, ats: Ats) -> Option<Tag> {
        match ats {
            Ats::Disabled => self.space.tag,
            Ats::Enabled => self.device_tag.filter(|_| self.has_device_tlb),
        }
    }

    /// Where the unit holds what it says of the route's requests; none if it does not.
    pub(super) fn held_in(&self) -> Option<HeldIn> {
        match self.space.stages {
            Stages::Identity => Some(HeldIn::Route(self.requester, self.valid_in)),
            Stages::First(_) | Stages::Second(_) | Stages::Nested(..) => self.space.tag.map(HeldIn::Iotlb),
        }
    }

    /// What is found by that way rests on this, if it may be cached.
    pub(super) fn origin(&self, path: Path) -> Option<Origin> {
        Some(Origin { requester: self.requester, space: self.key?, route: self.trail.clone(), path })
    }

    /// Whether the route admits requests of that type to that address.
    #[inline]
    pub(super) fn check(&self, address: VirtAddr, address_type: AddressType) -> Result<(), Refusal> {
        let refuse = |reason| Err(Refusal { reason, hides_faults: self.hides_faults });
        let is_for_devices =
            matches!(address_type, AddressType::TranslationRequest | AddressType::Translated);
        if is_for_devices && !self.has_device_tlb {
            return refuse(match self.space.dialect {
                Dialect::Legacy => FaultReason::DeviceTlbBlocked,
                Dialect::Scalable => FaultReason::DeviceTlbDisabled,
            });
        }
        if Msi::is_address(address.0) { self.check_interrupt_range().or_else(refuse) } else { Ok(()) }
    }

    /// Whether a request to 0xfeexxxxx that is no interrupt has a meaning: with a PASID the address is one of a process
    /// like any other, without one the range is never translated.
    #[cold]
    fn check_interrupt_range(&self) -> Result<(), FaultReason> {
        let is_off = self.key.is_none();
        match (self.requester.pasid, self.space.stages) {
            _ if is_off => Ok(()),
            (None, _) => Err(FaultReason::NoInterrupt),
            (Some(_), Stages::Identity) => Err(FaultReason::ScalableInterruptRange),
            (Some(_), _) => Ok(()),
        }
    }
}
