//! What translates: the caches of each CPU, vCPU and device, and the hops by which an entry comes into them.
//!
//! Invariant: an access uses the cache at the front only, and every hop is a step of its own. Source: PCIe ATS (a
//! device asks the IOMMU for a translation and keeps it), KVM's shadow page table.

use std::collections::HashSet;

use crate::language::span::Name;
use crate::language::syntax::{Scenario, User, UserKind};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::deed::Target;
use super::emitter::Emitter;
use super::names::{Names, PageId, TagId, UserId};
use super::spaces::{Pasid, Spaces};
use super::state::{Key, NONE};
use super::survey::Survey;
use super::tags::Tags;
use super::upper::{Case, Uppers};

/// The caches of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caches {
    /// A CPU's TLB.
    Tlb,
    /// The shadow entry, which all vCPUs share.
    Shadow,
    /// A vCPU's TLB, filled from the shadow entry that programs set.
    VcpuTlb,
    /// An IOTLB; it stands for the device TLB too if no step tells them apart.
    Iotlb,
    /// A device TLB, filled from an IOTLB.
    DeviceTlb,
}

/// What an invalidation empties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// The CPUs' TLBs.
    Tlb,
    /// The vCPUs' TLBs.
    VcpuTlb,
    /// What vCPUs' faults have read and not installed.
    Shadow,
    /// The devices' IOTLBs.
    Iotlb,
    /// The devices' own TLBs.
    DeviceTlb,
    /// The CPUs' paging-structure caches.
    CpuUpper,
    /// What the vCPUs keep of upper shadow entries.
    VcpuUpper,
    /// The paging-structure caches in front of devices.
    DeviceUpper,
}

impl Caches {
    /// Whether its hardware keeps upper entries of its walks.
    pub(super) fn keeps_upper(self) -> bool {
        matches!(self, Self::Tlb | Self::VcpuTlb | Self::Iotlb | Self::DeviceTlb)
    }
}

/// The caches of a scenario, by user.
#[derive(Clone, Debug)]
pub(super) struct Hardware {
    pub(super) spaces: Spaces,
    pub(super) uppers: Uppers,
    pub(super) tags: Tags,
    users: Vec<Caches>,
    /// Whether device TLBs are apart from IOTLBs.
    pub(super) device_tlbs: bool,
    /// Whether programs zap and set shadow entries themselves.
    pub(super) explicit_shadow: bool,
}

/// One way of an entry towards the access: from the table or from a cache into the next cache.
pub(super) struct Hop {
    /// Whose walk it is.
    pub(super) user: UserId,
    /// To which page.
    pub(super) page: PageId,
    /// Into which of his caches.
    pub(super) into: Target,
    /// Where the entry is.
    pub(super) cases: Vec<Case>,
    pub(super) to: Var,
    /// The places of the same cache for other pages at the address, of which it holds one at most.
    pub(super) others: Vec<Var>,
    /// What was read there and is not installed yet, if that is a step of its own.
    pub(super) in_flight: Option<Var>,
    /// Whether that stays when the cache is emptied.
    pub(super) outlives: bool,
    /// The upper entry as a walk in flight has read it, if an invalidation leaves that to the walk.
    pub(super) upper: Option<InFlightUpper>,
    /// The PASID entry that the walk goes through.
    pub(super) pasid: Option<Pasid>,
    /// What must hold to install it.
    pub(super) blocked: Vec<Guard>,
    /// How the step is shown.
    pub(super) text: String,
}

/// A walk that has read the upper entry, and what it then needs.
#[derive(Clone, Copy)]
pub(super) struct InFlightUpper {
    /// The upper entry.
    pub(super) pmd: Var,
    /// Its value that names the page-table page.
    pub(super) table: u32,
}

impl Hardware {
    /// What the users of `scenario` have.
    pub(super) fn new(
        scenario: &Scenario,
        names: &Names,
        survey: &Survey,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let of = |user: &User| match user.kind {
            UserKind::Cpu => Caches::Tlb,
            UserKind::Vcpu if survey.explicit_shadow => Caches::VcpuTlb,
            UserKind::Vcpu => Caches::Shadow,
            UserKind::Device if user.ats && survey.device_tlbs => Caches::DeviceTlb,
            UserKind::Device => Caches::Iotlb,
        };
        let spaces = Spaces::new(scenario, names, survey.pasid_halves, diagnostics);
        Self {
            tags: Tags::new(scenario, names, spaces.homes(), diagnostics),
            spaces,
            uppers: Uppers::new(scenario, names, diagnostics),
            users: scenario.users.iter().map(of).collect(),
            device_tlbs: survey.device_tlbs,
            explicit_shadow: survey.explicit_shadow,
        }
    }

    /// The caches of `user`.
    pub(super) fn of(&self, user: UserId) -> Caches {
        self.users[user.0]
    }

    /// The cache of `user` that `look` names, such as `devtlb`.
    pub(super) fn cache(&self, look: &str, user: UserId, page: PageId) -> Option<Key> {
        match (look, self.of(user)) {
            ("devtlb", Caches::DeviceTlb) => Some(Key::DeviceTlb(user, page)),
            ("devtlb", Caches::Iotlb) if !self.device_tlbs => Some(Key::Tlb(user, page)),
            ("vtlb", Caches::VcpuTlb) => Some(Key::Tlb(user, page)),
            ("tlb", Caches::Tlb) if self.tags.context(user).is_some() => None,
            ("tlb" | "iotlb", caches) if caches != Caches::Shadow => Some(Key::Tlb(user, page)),
            (_, Caches::Tlb | Caches::Shadow | Caches::VcpuTlb | Caches::Iotlb | Caches::DeviceTlb) => None,
        }
    }
}

/// What is said where `look` names a cache that `user` does not have.
pub(super) fn no_cache(look: &str, user: &Name) -> Diagnostic {
    let name = &user.node;
    let (what, help) = match look {
        "devtlb" => ("device TLB", format!("declare `device {name} ats`")),
        "loaded_mm" => ("tags", format!("declare it with one: `cpu {name} in P tag X`")),
        "pwc" => ("paging-structure cache", "ask a `cpu` or a `device`".to_owned()),
        "vtlb" => ("vCPU TLB", "declare a `vcpu`, and let programs use `set_spte` and `zap_spte`".to_owned()),
        _ => ("TLB of its own", "use spte(A), or let programs use `set_spte` and `zap_spte`".to_owned()),
    };
    Diagnostic::new(Code::NoCache, user.span, format!("`{name}` has no {what}"), help)
}

impl Emitter<'_> {
    /// The hops of `user` to an entry of `page`, the one into the cache that accesses use last.
    pub(super) fn path(&mut self, user: UserId, page: PageId, tag: Option<TagId>, walk: &str) -> Vec<Hop> {
        if self.scope.hardware.of(user) != Caches::Shadow {
            self.state.walked.insert((user, page));
        }
        let shadow = self.scope.hardware.of(user) == Caches::Shadow;
        let first = if shadow { Key::Spte(page) } else { Tags::key(user, page, tag) };
        let blocked = shadow.then(|| Guard::Is(self.state.var(&Key::InProgress(page)), 0));
        let split = self.scope.options.split_walk;
        let upper = self.upper_in_flight(user, page);
        let mut path = vec![Hop {
            user,
            page,
            into: Target::First,
            cases: self.cases_of_walk(user, page, upper),
            to: self.state.var(&first),
            others: self.others_at(user, page, tag),
            in_flight: split.then(|| self.state.var(&Key::InFlight(user, page))),
            outlives: split && self.is_device(user) && !self.scope.options.inv_drains,
            upper,
            pasid: self.scope.hardware.spaces.pasid(user, page, self.state),
            blocked: blocked.into_iter().collect(),
            text: walk.to_owned(),
        }];
        if self.scope.hardware.of(user) == Caches::DeviceTlb {
            path.push(Hop {
                user,
                page,
                into: Target::Device,
                cases: vec![Case::only(path[0].to)],
                to: self.state.var(&Key::DeviceTlb(user, page)),
                others: Vec::new(),
                in_flight: split.then(|| self.state.var(&Key::Completion(user, page))),
                outlives: split && !self.scope.options.ats_drains,
                upper: None,
                pasid: None,
                blocked: Vec::new(),
                text: format!("ats {}", self.state.domains.pages[page.0]),
            });
        }
        path
    }

    /// Whether it is a device.
    pub(super) fn is_device(&self, user: UserId) -> bool {
        match self.scope.hardware.of(user) {
            Caches::Iotlb | Caches::DeviceTlb => true,
            Caches::Tlb | Caches::Shadow | Caches::VcpuTlb => false,
        }
    }

    /// The cases of a walk, of which one reads the upper entry anew: where that then outlives an invalidation, a walk may
    /// have lost just before what it kept of it, though it was the same.
    fn cases_of_walk(&mut self, user: UserId, page: PageId, upper: Option<InFlightUpper>) -> Vec<Case> {
        let mut cases = self.cases(user, page);
        let kept = self.scope.hardware.uppers.above(page).filter(|_| upper.is_some());
        if let Some(above) = kept.filter(|_| self.scope.options.evict) {
            let empty = Guard::Is(self.state.var(&Key::Pwc(user, above)), NONE);
            for case in cases.iter_mut().filter(|case| case.reads_upper) {
                case.guard.retain(|guard| *guard != empty);
            }
        }
        cases
    }

    fn upper_in_flight(&mut self, user: UserId, page: PageId) -> Option<InFlightUpper> {
        if !self.is_device(user) || !self.scope.options.split_walk || self.scope.options.inv_drains {
            return None;
        }
        let uppers = &self.scope.hardware.uppers;
        let (pmd, table) = (uppers.above(page)?, uppers.table(page)?);
        Some(InFlightUpper {
            pmd: self.state.var(&Key::Pmd(pmd)),
            table: self.state.domains.entries.table(table),
        })
    }

    /// What `level` of `user` forgets of `page`: the entry, and what is on its way into the cache.
    pub(super) fn forgets(&mut self, user: UserId, page: PageId, level: Level) -> Vec<Update> {
        let (tlb, walk) = (Key::Tlb(user, page), Key::InFlight(user, page));
        let (cache, in_flight, drains) = match (level, self.scope.hardware.of(user)) {
            (Level::Tlb, Caches::Tlb) | (Level::VcpuTlb, Caches::VcpuTlb) => (Some(tlb), walk, true),
            (Level::Shadow, Caches::Shadow) => (None, walk, true),
            (Level::Iotlb, Caches::Iotlb | Caches::DeviceTlb) => {
                (Some(tlb), walk, self.scope.options.inv_drains)
            }
            (Level::DeviceTlb, Caches::DeviceTlb) => {
                let answer = Key::Completion(user, page);
                (Some(Key::DeviceTlb(user, page)), answer, self.scope.options.ats_drains)
            }
            (Level::CpuUpper, Caches::Tlb) | (Level::DeviceUpper, Caches::Iotlb | Caches::DeviceTlb) => {
                let above = self.scope.hardware.uppers.above(page);
                (above.map(|above| Key::Pwc(user, above)), walk, false)
            }
            (Level::VcpuUpper, Caches::VcpuTlb) => {
                let above = self.scope.hardware.uppers.shadow_above(page);
                (above.map(|above| Key::Pwc(user, above)), walk, false)
            }
            (
                Level::Tlb
                | Level::VcpuUpper
                | Level::VcpuTlb
                | Level::Shadow
                | Level::Iotlb
                | Level::DeviceTlb
                | Level::CpuUpper
                | Level::DeviceUpper,
                _,
            ) => return Vec::new(),
        };
        let discarded = (self.scope.options.split_walk && drains).then_some(in_flight);
        let keys = cache.into_iter().chain(discarded);
        keys.map(|key| Update::Set(self.state.var(&key), NONE)).collect()
    }

    /// What `users` forget of `pages` at `levels`.
    pub(super) fn forget(&mut self, pages: &[PageId], levels: &[Level], users: &[UserId]) -> Vec<Update> {
        let mut updates = Vec::new();
        for user in users {
            for (page, level) in pages.iter().flat_map(|page| levels.iter().map(move |level| (page, level))) {
                updates.extend(self.forgets(*user, *page, *level));
            }
        }
        // Pages under one upper entry share what is kept of it.
        let mut seen = HashSet::new();
        updates.retain(|update| seen.insert(*update));
        updates
    }
}
