//! What the variables of a lowered scenario are to somebody who reads a run: tables, caches of tables, what is counted.
//!
//! Invariant: a role says nothing that a step does not; how a cache is filled and emptied is read from the model.

use steps::Section;
use steps::entry::Bit;

use crate::model::Var;

use super::entry::{Entry, Need};

use super::habits::Habits;
use super::hardware::{Caches, Hardware};
use super::names::{PageId, PmdId, TagId, UserId};
use super::state::{AgentId, Key, NONE, State};

/// What a variable is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// What caches must agree with: a page-table entry, an upper entry, the entry of a PASID.
    Table,
    /// A copy of a table, which accesses go through.
    Cache(Cached),
    /// A slot of the store buffer of the agent with that index.
    Buffer(usize),
    /// What a walk has read and not installed yet.
    OnTheWay(Option<Gate>),
    /// Whether the event behind a property's `after` has happened.
    Event,
    /// References to a frame with this name: it is free if there are none.
    References(String),
    /// Mappings or pins of a frame with this name.
    Counted(String),
    /// The reference that the agent with that index has got from an entry.
    Handle(usize),
    /// The entry that an agent last saw or wrote.
    Remembered {
        /// Index of the agent.
        agent: usize,
        /// Where the entry is, if the scenario has a variable for it.
        of: Option<Var>,
    },
    /// Whether the agent with that index is where others wait for him.
    Section {
        /// Index of the agent.
        agent: usize,
        /// The step that waits for him.
        awaited_by: &'static str,
    },
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
    /// An entry of a page that an access has taken out of a cache: it lands there, whatever is emptied.
    InFlight,
    /// The entry of a PASID or of a table above, which walks go through: it is compared whole.
    Above,
}

/// A cache, and what stands behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cached {
    /// What is copied.
    pub of: Copied,
    /// Where the entry is, if it has a place of its own.
    pub entry: Option<Source>,
    /// The upper entry on the way to it; one that names no table stands for the entry itself.
    pub upper: Option<Gate>,
    /// The PASID entry on the way to it.
    pub space: Option<Gate>,
}

/// A table behind a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The table.
    pub var: Var,
    /// The step that is made to empty the cache when the table changes.
    pub emptied_by: String,
}

/// A table above others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gate {
    /// The table.
    pub source: Source,
    /// The value that leads to the entry; none if nothing does.
    pub opens: Option<u32>,
}

impl Cached {
    /// The tables behind it, from above.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let above = [&self.space, &self.upper].into_iter().flatten().map(|gate| &gate.source);
        above.chain(&self.entry)
    }

    /// The step that is made to empty it when `table` changes.
    #[must_use]
    pub(crate) fn emptied_by(&self, table: Var) -> Option<&str> {
        let own = self.sources().find(|source| source.var == table);
        own.or_else(|| self.sources().last()).map(|source| source.emptied_by.as_str())
    }

    /// What the tables say, by the values of all variables; none if they have no variables.
    #[must_use]
    pub fn says(&self, values: &[u32]) -> Option<u32> {
        let value = |source: &Source| values[usize::from(source.var.0)];
        let shut = |gate: &Gate| Some(value(&gate.source)) != gate.opens;
        if self.space.as_ref().is_some_and(shut) {
            return Some(NONE);
        }
        match self.upper.as_ref().filter(|upper| shut(upper)) {
            Some(upper) => Some(value(&upper.source)),
            None => self.entry.as_ref().map(value),
        }
    }
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
    pub(super) fn of(state: &State, hardware: &Hardware, habits: &[Habits]) -> Self {
        let behind = Behind { state, hardware, habits };
        let mut roles = vec![Role::Other; state.variables.len()];
        for (key, var) in state.keys() {
            roles[usize::from(var.0)] = role(key, &behind);
        }
        Self { roles, grants: state.domains.entries.all().map(|(_, entry)| grants(entry)).collect() }
    }

    /// What the variable is.
    #[must_use]
    pub fn role(&self, var: Var) -> &Role {
        &self.roles[usize::from(var.0)]
    }

    /// Whether what a cache holds may be used while its tables say `says`: it reaches the same frame, and allows no more.
    #[must_use]
    pub fn agree(&self, of: Copied, holds: u32, says: u32) -> bool {
        match of {
            Copied::Above => holds == says,
            Copied::Leaf | Copied::InFlight => {
                let (own, now) = (self.grants[holds as usize], self.grants[says as usize]);
                own.iter().zip(now).all(|(own, now)| own.is_none() || *own == now)
            }
        }
    }

    /// Whether an entry can be loaded from, and stored to.
    #[must_use]
    pub fn allows(&self, entry: u32) -> [bool; 2] {
        let [load, store, _] = self.grants[entry as usize];
        [load.is_some(), store.is_some()]
    }
}

fn grants(entry: Entry) -> [Option<usize>; 3] {
    let [load, store] = [Need::Load, Need::Store].map(|need| entry.usable(need).map(|frame| frame.0));
    [load, store, store.filter(|_| entry.bits.has(Bit::Dirty))]
}

fn role(key: &Key, behind: &Behind<'_>) -> Role {
    let state = behind.state;
    match key {
        Key::Pte(_) | Key::Pmd(_) | Key::Spmd(_) | Key::Pasid(_) => Role::Table,
        Key::Tagged(_, page, tag) => Role::Cache(behind.tagged(*page, *tag)),
        Key::Tlb(user, page) => Role::Cache(behind.tlb(*user, *page)),
        Key::DeviceTlb(user, page) => Role::Cache(behind.device_tlb(*user, *page)),
        Key::Dma(agent, page) => behind.dma(*agent, *page),
        Key::Spte(page) => Role::Cache(behind.shadow(*page)),
        Key::Pwc(user, pmd) => Role::Cache(behind.upper_cache(*user, *pmd)),
        Key::PasidCache(user) => Role::Cache(behind.pasid_cache(*user)),
        Key::InFlight(user, page) => Role::OnTheWay(behind.upper(*page, behind.pmd_step(*user, *page))),
        Key::Completion(..) | Key::PasidRead(_) => Role::OnTheWay(None),
        Key::Store(agent, _) => Role::Buffer(*agent),
        Key::Ghost(_) => Role::Event,
        Key::Refs(frame) => Role::References(state.domains.frames[frame.0].clone()),
        Key::Mapcount(frame) | Key::Pins(frame) => Role::Counted(state.domains.frames[frame.0].clone()),
        Key::Handle(agent, _) => Role::Handle(*agent),
        Key::Orig(agent, page) => {
            let of = state.known(&Key::Pte(state.domains.leaves[page.0]));
            Role::Remembered { agent: *agent, of }
        }
        Key::PmdOrig(agent, pmd) => Role::Remembered { agent: *agent, of: state.known(&Key::Pmd(*pmd)) },
        Key::Section(Section::Interrupts, agent) => Role::Section { agent: *agent, awaited_by: "ipi_sync" },
        Key::Section(Section::Rcu, agent) => Role::Section { agent: *agent, awaited_by: "synchronize_rcu" },
        Key::Slot(_) => Role::Queue,
        Key::InProgress(_)
        | Key::Content(_)
        | Key::Gone(_)
        | Key::PasidHigh(_)
        | Key::Torn(_)
        | Key::LoadedMm(_)
        | Key::LoadedTag(_)
        | Key::Aborted(_)
        | Key::Stable(_)
        | Key::Requested(_)
        | Key::Lock(_)
        | Key::Shares(..)
        | Key::Awaits(..)
        | Key::User(_)
        | Key::Returned(..) => Role::Other,
    }
}

/// The tables behind caches.
struct Behind<'a> {
    state: &'a State,
    hardware: &'a Hardware,
    habits: &'a [Habits],
}

impl Behind<'_> {
    fn tlb(&self, user: UserId, page: PageId) -> Cached {
        let name = &self.state.domains.pages[page.0];
        let step = match self.hardware.of(user) {
            // A vCPU's hardware walks the shadow page table.
            Caches::VcpuTlb => {
                let entry = self.source(&Key::Spte(page), format!("flush_vcpus {name}"));
                return Cached { of: Copied::Leaf, entry, upper: self.shadow_upper(page), space: None };
            }
            Caches::Tlb => "flush_tlb",
            Caches::DeviceTlb => "iotlb_inv",
            Caches::Iotlb if self.hardware.device_tlbs => "iotlb_inv",
            Caches::Iotlb | Caches::Shadow => "notify",
        };
        let space = self.space(user, page, "iotlb_inv_pasid");
        self.leaf(page, &format!("{step} {name}"), self.pmd_step(user, page), space)
    }

    /// What nobody uses now may be emptied by its tag alone.
    fn tagged(&self, page: PageId, tag: TagId) -> Cached {
        let step = format!("flush_tag {}", self.state.domains.tags[tag.0]);
        self.leaf(page, &step, None, None)
    }

    fn device_tlb(&self, user: UserId, page: PageId) -> Cached {
        let step = format!("devtlb_inv {}", self.state.domains.pages[page.0]);
        self.leaf(page, &step, Some(step.clone()), self.space(user, page, "devtlb_inv_pasid"))
    }

    /// Behind a translation that has not landed stands what stands behind the cache that it came from.
    fn dma(&self, agent: AgentId, page: PageId) -> Role {
        let accesses = |user: &UserId| self.habits[agent].accesses(*user, &self.state.domains.pages[page.0]);
        let Some(user) = (0..self.state.domains.users.len()).map(UserId).find(accesses) else {
            return Role::Other;
        };
        let cached = match self.hardware.of(user) {
            Caches::DeviceTlb => self.device_tlb(user, page),
            Caches::Tlb | Caches::Shadow | Caches::VcpuTlb | Caches::Iotlb => self.tlb(user, page),
        };
        Role::Cache(Cached { of: Copied::InFlight, ..cached })
    }

    fn shadow(&self, page: PageId) -> Cached {
        let verb = if self.hardware.explicit_shadow { "zap_spte" } else { "notify_start" };
        let step = format!("{verb} {}", self.state.domains.pages[page.0]);
        self.leaf(page, &step, Some(step.clone()), None)
    }

    fn leaf(&self, page: PageId, step: &str, pmd_step: Option<String>, space: Option<Gate>) -> Cached {
        let entry = self.source(&Key::Pte(self.state.domains.leaves[page.0]), step.to_owned());
        Cached { of: Copied::Leaf, entry, upper: self.upper(page, pmd_step), space }
    }

    fn upper_cache(&self, user: UserId, pmd: PmdId) -> Cached {
        let first = self.hardware.uppers.pages(pmd).first().copied();
        let step = first.and_then(|page| self.pmd_step(user, page));
        let entry = if self.hardware.of(user) == Caches::VcpuTlb {
            first.and_then(|page| self.shadow_upper(page)).map(|gate| gate.source)
        } else {
            step.and_then(|step| self.source(&Key::Pmd(pmd), step))
        };
        Cached { of: Copied::Above, entry, upper: None, space: None }
    }

    fn pasid_cache(&self, user: UserId) -> Cached {
        let id = self.hardware.spaces.bound(user);
        let entry = id.and_then(|id| {
            let verb = if self.state.domains.contexts[id.0] { "context_inv" } else { "pasid_inv" };
            let step = format!("{verb} {}", self.state.domains.pasids[id.0]);
            self.source(&Key::Pasid(id), step)
        });
        Cached { of: Copied::Above, entry, upper: None, space: None }
    }

    /// The step that empties what `user` keeps of the upper entry of `page`, if there is one.
    fn pmd_step(&self, user: UserId, page: PageId) -> Option<String> {
        let d = &self.state.domains;
        let pmd = &d.pmds[self.hardware.uppers.above(page)?.0];
        Some(match self.hardware.of(user) {
            Caches::Tlb => format!("flush_pmd {pmd}"),
            Caches::Iotlb | Caches::DeviceTlb if self.hardware.device_tlbs => {
                format!("iotlb_inv {}", d.pages[page.0])
            }
            Caches::Iotlb | Caches::DeviceTlb | Caches::Shadow | Caches::VcpuTlb => {
                format!("notify_pmd {pmd}")
            }
        })
    }

    fn upper(&self, page: PageId, step: Option<String>) -> Option<Gate> {
        let uppers = &self.hardware.uppers;
        let source = self.source(&Key::Pmd(uppers.above(page)?), step?)?;
        let opens = uppers.table(page).map(|table| self.state.domains.entries.table(table));
        Some(Gate { source, opens })
    }

    /// The shadow entry above that of `page`.
    fn shadow_upper(&self, page: PageId) -> Option<Gate> {
        let uppers = &self.hardware.uppers;
        let step = format!("flush_vcpus {}", self.state.domains.pages[page.0]);
        let source = self.source(&Key::Spmd(uppers.shadow_above(page)?), step)?;
        let opens = uppers.shadow_table(page).map(|table| self.state.domains.entries.table(table));
        Some(Gate { source, opens })
    }

    fn space(&self, user: UserId, page: PageId, verb: &str) -> Option<Gate> {
        let (id, names) = self.hardware.spaces.names(user, page)?;
        let d = &self.state.domains;
        // What a device without PASID has cached goes page by page.
        let step = match verb.strip_suffix("_pasid").filter(|_| d.contexts[id.0]) {
            Some(verb) => format!("{verb} {}", d.pages[page.0]),
            None => format!("{verb} {}", d.pasids[id.0]),
        };
        Some(Gate { source: self.source(&Key::Pasid(id), step)?, opens: Some(names) })
    }

    fn source(&self, key: &Key, emptied_by: String) -> Option<Source> {
        self.state.known(key).map(|var| Source { var, emptied_by })
    }
}
