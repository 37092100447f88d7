//! What translates: the caches of each CPU, vCPU and device, and the hops by which an entry comes into them.
//!
//! Invariant: an access uses the cache at the front only, and every hop is a step of its own. Source: PCIe ATS (a
//! device asks the IOMMU for a translation and keeps it), KVM's shadow page table.

use crate::language::Diagnostic;
use crate::language::span::Name;
use crate::language::syntax::{Scenario, User, UserKind};
use crate::model::{Guard, Update, Var};

use super::agent::Emitter;
use super::names::{Names, PageId, UserId};
use super::spaces::{Pasid, Spaces};
use super::state::{Key, NONE};
use super::survey::Survey;

/// The caches of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caches {
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
}

/// The caches of a scenario, by user.
#[derive(Clone, Debug)]
pub(super) struct Hardware {
    pub(super) spaces: Spaces,
    users: Vec<Caches>,
    /// Whether device TLBs are apart from IOTLBs.
    device_tlbs: bool,
    /// Whether programs zap and set shadow entries themselves.
    pub(super) explicit_shadow: bool,
}

/// One way of an entry towards the access: from the table or from a cache into the next cache.
pub(super) struct Hop {
    pub(super) from: Var,
    pub(super) to: Var,
    /// What was read at `from` and is not installed yet, if that is a step of its own.
    pub(super) in_flight: Option<Var>,
    /// The PASID entry that the walk goes through.
    pub(super) pasid: Option<Pasid>,
    /// What must hold to install it.
    pub(super) blocked: Vec<Guard>,
    /// How the step is shown.
    pub(super) text: String,
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
        Self {
            spaces: Spaces::new(scenario, names, diagnostics),
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
            ("tlb" | "iotlb", caches) if caches != Caches::Shadow => Some(Key::Tlb(user, page)),
            _ => None,
        }
    }
}

/// What is said where `look` names a cache that `user` does not have.
pub(super) fn no_cache(look: &str, user: &Name) -> Diagnostic {
    let name = &user.node;
    let (what, help) = match look {
        "devtlb" => ("device TLB", format!("declare `device {name} ats`")),
        "vtlb" => ("vCPU TLB", "declare a `vcpu`, and let programs use `set_spte` and `zap_spte`".to_owned()),
        _ => ("TLB of its own", "use spte(A), or let programs use `set_spte` and `zap_spte`".to_owned()),
    };
    Diagnostic::new(user.span, format!("`{name}` has no {what}"), help)
}

impl Emitter<'_> {
    /// The hops of `user` to an entry of `page`, the one into the cache that accesses use last.
    pub(super) fn path(&mut self, user: UserId, page: PageId, walk: &str) -> Vec<Hop> {
        if self.hardware.of(user) != Caches::Shadow {
            self.state.walked.insert((user, page));
        }
        let fill_from = |from, to| (from, to, Key::InFlight(user, page), walk.to_owned());
        let fill = |to| fill_from(Key::Pte(page), to);
        let hops = match self.hardware.of(user) {
            Caches::Shadow => vec![fill(Key::Spte(page))],
            Caches::VcpuTlb => vec![fill_from(Key::Spte(page), Key::Tlb(user, page))],
            Caches::Tlb | Caches::Iotlb => vec![fill(Key::Tlb(user, page))],
            Caches::DeviceTlb => {
                let request = format!("ats {}", self.state.domains.pages[page.0]);
                let answer = Key::Completion(user, page);
                vec![
                    fill(Key::Tlb(user, page)),
                    (Key::Tlb(user, page), Key::DeviceTlb(user, page), answer, request),
                ]
            }
        };
        let mut path = Vec::new();
        for (from, to, in_flight, text) in hops {
            let mut blocked = Vec::new();
            if matches!(to, Key::Spte(_)) {
                blocked.push(Guard::Is(self.state.var(&Key::InProgress(page)), 0));
            }
            let walks = matches!(from, Key::Pte(_));
            let pasid = self.hardware.spaces.pasid(user, page, self.state);
            path.push(Hop {
                pasid: pasid.filter(|_| walks),
                from: self.state.var(&from),
                to: self.state.var(&to),
                in_flight: self.options.split_walk.then(|| self.state.var(&in_flight)),
                blocked,
                text,
            });
        }
        path
    }

    /// What `level` of `user` forgets of `page`: the entry, and what is on its way into the cache.
    pub(super) fn forgets(&mut self, user: UserId, page: PageId, level: Level) -> Vec<Update> {
        let (tlb, walk) = (Key::Tlb(user, page), Key::InFlight(user, page));
        let (cache, in_flight, drains) = match (level, self.hardware.of(user)) {
            (Level::Tlb, Caches::Tlb) | (Level::VcpuTlb, Caches::VcpuTlb) => (Some(tlb), walk, true),
            (Level::Shadow, Caches::Shadow) => (None, walk, true),
            (Level::Iotlb, Caches::Iotlb | Caches::DeviceTlb) => (Some(tlb), walk, self.options.inv_drains),
            (Level::DeviceTlb, Caches::DeviceTlb) => {
                let answer = Key::Completion(user, page);
                (Some(Key::DeviceTlb(user, page)), answer, self.options.ats_drains)
            }
            _ => return Vec::new(),
        };
        let discarded = (self.options.split_walk && drains).then_some(in_flight);
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
        updates
    }
}
