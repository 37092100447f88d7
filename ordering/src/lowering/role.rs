//! What the variables of a lowered scenario are to somebody who reads a run: tables, caches of tables, what is counted.
//!
//! Invariant: a role says nothing that a step does not; how a cache is filled and emptied is read from the model.

use crate::language::entry::Bit;
use crate::model::Var;

use super::entry::{Entry, Need};
use super::hardware::{Caches, Hardware};
use super::names::PageId;
use super::state::{Key, State};

/// What a variable is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// What caches must agree with: a page-table entry, the entry of a PASID.
    Table,
    /// A copy of a table, which accesses go through.
    Cache {
        /// What is copied.
        of: Copied,
        /// The table, if the scenario has a variable for it.
        table: Option<Var>,
        /// The step that is made to empty it.
        emptied_by: String,
    },
    /// A slot of the store buffer of the agent with that index.
    Buffer(usize),
    /// What a walk has read and not installed yet.
    OnTheWay,
    /// Whether the event behind a property's `after` has happened.
    Event,
    /// References to a frame with this name: it is free if there are none.
    References(String),
    /// Whether the agent with that index is where others wait for him: interrupts off, or an RCU read side.
    Section(usize),
    /// A place of the invalidation queue.
    Queue,
    /// Anything else.
    Other,
}

/// What a cache holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// An entry of a page, which accesses use: it is compared by what it allows.
    Leaf,
    /// The entry of a PASID or of a table above, which walks go through: it is compared whole.
    Above,
}

/// The roles of all variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roles {
    /// By variable.
    roles: Vec<Role>,
    /// By value of an entry, the frame that can be loaded from through it, stored to, and stored to without a look at
    /// the table.
    grants: Vec<[Option<usize>; 3]>,
}

impl Roles {
    pub(super) fn of(state: &State, hardware: &Hardware) -> Self {
        let mut roles = vec![Role::Other; state.variables.len()];
        for (key, var) in state.keys() {
            roles[usize::from(var.0)] = role(key, state, hardware);
        }
        let entries = &state.domains.entries;
        Self { roles, grants: entries.all().map(|(_, entry)| grants(entry)).collect() }
    }

    /// What the variable is.
    #[must_use]
    pub fn role(&self, var: Var) -> &Role {
        &self.roles[usize::from(var.0)]
    }

    /// Whether what a cache holds may be used while its table says `says`: it reaches the same frame, and allows no more.
    #[must_use]
    pub fn agree(&self, cache: Var, holds: u32, says: u32) -> bool {
        let grants = |value: u32| self.grants.get(value as usize);
        match self.role(cache) {
            Role::Cache { of: Copied::Above, .. } => holds == says,
            Role::Cache { of: Copied::Leaf, .. }
            | Role::Table
            | Role::OnTheWay
            | Role::Buffer(_)
            | Role::Event
            | Role::References(_)
            | Role::Section(_)
            | Role::Queue
            | Role::Other => {
                // What is no entry of a page, such as that of a PASID, is compared as it is.
                let (Some(own), Some(now)) = (grants(holds), grants(says)) else { return holds == says };
                own.iter().zip(now).all(|(own, now)| own.is_none() || own == now)
            }
        }
    }
}

fn grants(entry: Entry) -> [Option<usize>; 3] {
    let [load, store] = [Need::Load, Need::Store].map(|need| entry.usable(need).map(|frame| frame.0));
    [load, store, store.filter(|_| entry.bits.has(Bit::Dirty))]
}

fn role(key: &Key, state: &State, hardware: &Hardware) -> Role {
    let domains = &state.domains;
    let copy = |of, table: Key, step: &str, name: &str| {
        let emptied_by = format!("{step} {name}");
        Role::Cache { of, table: state.known(&table), emptied_by }
    };
    let cache = |page: &PageId, step| copy(Copied::Leaf, Key::Pte(*page), step, &domains.pages[page.0]);
    match key {
        Key::Pte(_) | Key::Pmd(_) | Key::Pasid(_) => Role::Table,
        Key::Tlb(user, page) => match hardware.of(*user) {
            Caches::Tlb => cache(page, "flush_tlb"),
            // A vCPU's hardware walks the shadow page table.
            Caches::VcpuTlb => copy(Copied::Leaf, Key::Spte(*page), "flush_vcpus", &domains.pages[page.0]),
            Caches::DeviceTlb => cache(page, "iotlb_inv"),
            Caches::Iotlb | Caches::Shadow => cache(page, "notify"),
        },
        Key::DeviceTlb(_, page) => cache(page, "devtlb_inv"),
        Key::Spte(page) if hardware.explicit_shadow => cache(page, "zap_spte"),
        Key::Spte(page) => cache(page, "notify_start"),
        Key::Pwc(user, pmd) => {
            let step = if hardware.of(*user) == Caches::Tlb { "flush_pmd" } else { "notify_pmd" };
            copy(Copied::Above, Key::Pmd(*pmd), step, &domains.pmds[pmd.0])
        }
        Key::PasidCache(user) => match hardware.spaces.bound(*user) {
            Some(id) => copy(Copied::Above, Key::Pasid(id), "pasid_inv", &domains.pasids[id.0]),
            None => Role::Other,
        },
        Key::InFlight(..) | Key::Completion(..) => Role::OnTheWay,
        Key::Store(agent, _) => Role::Buffer(*agent),
        Key::Ghost(_) => Role::Event,
        Key::Refs(frame) => Role::References(domains.frames[frame.0].clone()),
        Key::Section(_, agent) => Role::Section(*agent),
        Key::Slot(_) => Role::Queue,
        Key::InProgress(..)
        | Key::Content(..)
        | Key::Mapcount(..)
        | Key::Pins(..)
        | Key::Stable(..)
        | Key::Requested(..)
        | Key::Lock(..)
        | Key::Shares(..)
        | Key::Awaits(..)
        | Key::User(..)
        | Key::Handle(..)
        | Key::Orig(..)
        | Key::PmdOrig(..) => Role::Other,
    }
}
