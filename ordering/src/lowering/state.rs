//! The variables of a model, made as they are asked for.
//!
//! Invariant: a [`Key`] has one variable. All variables that hold an entry have one domain, so that an entry is copied
//! between page table, TLBs and registers as it is; so have all contents.

use std::collections::{BTreeSet, HashMap};

use steps::Section;

use crate::model::{Var, Variable};

use super::buffer::Buffer;
use super::entry::Entries;

use super::deed::Party;
use super::names::{FrameId, PageId, PasidId, PmdId, TagId, UserId};

/// Index of an agent.
pub type AgentId = usize;

/// What a variable stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// The primary page-table entry.
    Pte(PageId),
    /// The upper entry.
    Pmd(PmdId),
    /// What a CPU's or a device's paging-structure cache holds of an upper entry: a page-table page, or nothing.
    Pwc(UserId, PmdId),
    /// What a CPU's TLB or a device's IOTLB holds.
    Tlb(UserId, PageId),
    /// What a CPU's TLB holds under a tag that was walked to there.
    Tagged(UserId, PageId, TagId),
    /// The address space that a CPU with tags runs in,
    LoadedMm(UserId),
    /// and the tag that it uses.
    LoadedTag(UserId),
    /// What a split walk has read and not installed yet.
    InFlight(UserId, PageId),
    /// What a device TLB holds.
    DeviceTlb(UserId, PageId),
    /// A translation that the device has asked for and not installed yet.
    Completion(UserId, PageId),
    /// The translation of an agent's DMA that has not landed.
    Dma(AgentId, PageId),
    /// Whether a device has been taken away.
    Gone(UserId),
    /// Whether the agent's wait will not be answered.
    Aborted(AgentId),
    /// The entry of a PASID.
    Pasid(PasidId),
    /// The words of it without the present bit, if they are written apart.
    PasidHigh(PasidId),
    /// The half of its PASID's entry that a device has read, if it reads it by halves.
    PasidRead(UserId),
    /// Whether the halves that a device has read did not belong together.
    Torn(UserId),
    /// What a device has cached of its PASID's entry.
    PasidCache(UserId),
    /// The shadow entry.
    Spte(PageId),
    /// The shadow entry above those of the pages under an upper entry.
    Spmd(PmdId),
    /// Ranges that are open over the page.
    InProgress(PageId),
    /// What a frame holds.
    Content(FrameId),
    /// References to a frame; none: it is free.
    Refs(FrameId),
    /// Entries counted as mapping it.
    Mapcount(FrameId),
    /// References that pin it.
    Pins(FrameId),
    /// Whether it is a KSM page.
    Stable(FrameId),
    /// Which agent waits for a response to its request for a page.
    Requested(PageId),
    /// An entry of the invalidation queue.
    Slot(u32),
    /// Who holds a lock alone.
    Lock(String),
    /// Whether an agent holds a lock together with others.
    Shares(AgentId, String),
    /// A slot of an agent's store buffer.
    Store(AgentId, u32),
    /// Whether an agent is in such a section.
    Section(Section, AgentId),
    /// Whether an agent waits for the answer of another.
    Awaits(AgentId, Party),
    /// A user variable.
    User(usize),
    /// The frame that GUP-fast returned.
    Handle(AgentId, String),
    /// The entry that the agent last saw or wrote.
    Orig(AgentId, PageId),
    /// The upper entry that the agent last saw or wrote.
    PmdOrig(AgentId, PmdId),
    /// Whether the event behind `after` has happened.
    Ghost(usize),
    /// What the statement of an agent that begins at this byte of the source, with this text, has returned last.
    Returned(AgentId, usize, u32, String),
}

/// What the domains are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    pub(super) pages: Vec<String>,
    pub(super) pmds: Vec<String>,
    /// By page: the page whose entry it is, too.
    pub(super) leaves: Vec<PageId>,
    pub(super) frames: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) agents: Vec<String>,
    /// Every entry that can occur.
    pub(super) entries: Entries,
    /// Contents, ascending.
    pub(super) contents: Vec<u32>,
    /// The largest count of references and mappings.
    pub(super) most_refs: u32,
    /// The largest count of open ranges.
    pub(super) most_ranges: u32,
    /// Name, least and greatest value of user variables.
    pub(super) variables: Vec<(String, u32, u32)>,
    /// Address spaces.
    pub(super) mms: Vec<String>,
    pub(super) pasids: Vec<String>,
    /// By PASID: whether it is a context entry.
    pub(super) contexts: Vec<bool>,
    /// By user: whether its requests go by one.
    pub(super) by_context: Vec<bool>,
    pub(super) tags: Vec<String>,
    /// What can be posted, each with its agent.
    pub(super) posted: Vec<String>,
    /// Entries of the queue.
    pub(super) slots: u32,
    /// The store buffers, by agent.
    pub(super) buffers: Vec<Buffer>,
    /// How many events properties remember.
    pub(super) ghosts: usize,
}

/// The variables made so far.
#[derive(Debug)]
pub(super) struct State {
    pub(super) domains: Domains,
    pub(super) variables: Vec<Variable>,
    /// Which pages each user translates.
    pub(super) walked: BTreeSet<(UserId, PageId)>,
    index: HashMap<Key, Var>,
    /// Values at the start that are not 0.
    initial: HashMap<Key, u32>,
}

/// The value of an entry that maps nothing, and what every variable holds at the start if nothing is said.
pub(super) const NONE: u32 = 0;
/// The number of all variables beyond those that can be numbered: a scenario with so many is refused when all of it is
/// lowered.
const BEYOND: u16 = u16::MAX;

/// An index as a value of a domain; domains are far smaller than the limit.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a domain has far fewer values than there are numbers")
}

impl Domains {
    /// What a statement can have returned, perhaps nothing.
    fn returned(&self) -> Vec<String> {
        std::iter::once("-".to_owned()).chain(self.contents.iter().map(u32::to_string)).collect()
    }

    /// What can have been read of a PASID entry: nothing, a low half that names a space, or any high half.
    fn halves(&self) -> Vec<String> {
        let low = self.mms.iter().map(|mm| format!("low {mm}"));
        let high = self.mms.iter().map(|mm| format!("high {mm}"));
        let none = ["-".to_owned()].into_iter();
        none.chain(low).chain(["high none".to_owned()]).chain(high).collect()
    }

    /// What an entry is.
    fn entry_of(&self, id: PasidId) -> &'static str {
        if self.contexts[id.0] { "context" } else { "pasid" }
    }

    /// What a device's requests go by.
    fn cached_of(&self, id: UserId) -> &'static str {
        if self.by_context[id.0] { "context" } else { "pasid" }
    }

    fn party(&self, party: Party) -> String {
        match party {
            Party::Cpu(cpu) => self.users[cpu.0].clone(),
            Party::CpuOf(agent) => self.agents[agent].clone(),
            Party::Reader(agent) => format!("{}.rcu", self.agents[agent]),
        }
    }
}

impl Key {
    /// Whether it is there for all, and stays when everybody has ended.
    const fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Pte(_)
                | Self::Pmd(_)
                | Self::InProgress(_)
                | Self::Content(_)
                | Self::Refs(_)
                | Self::Mapcount(_)
                | Self::Pins(_)
                | Self::Pasid(_)
                | Self::LoadedMm(_)
                | Self::LoadedTag(_)
                | Self::Gone(_)
                | Self::Stable(_)
                | Self::Lock(_)
                | Self::Shares(..)
                | Self::Section(..)
                | Self::User(_)
        )
    }
}

impl State {
    /// The variables that last.
    pub(super) fn lasting(&self) -> Vec<Var> {
        let mut found: Vec<Var> =
            self.index.iter().filter(|(key, _)| key.lasts()).map(|(_, var)| *var).collect();
        found.sort_unstable();
        found
    }

    pub(super) fn new(domains: Domains, initial: HashMap<Key, u32>) -> Self {
        Self { domains, variables: Vec::new(), walked: BTreeSet::new(), index: HashMap::new(), initial }
    }

    /// The variable that stands for `key`.
    pub(super) fn var(&mut self, key: &Key) -> Var {
        let leaf = if let Key::Pte(page) = key { Some(Key::Pte(self.domains.leaves[page.0])) } else { None };
        let key = leaf.as_ref().unwrap_or(key);
        if let Some(found) = self.index.get(key) {
            return *found;
        }
        let (name, values) = self.describe(key);
        let var = Var(u16::try_from(self.variables.len()).unwrap_or(BEYOND));
        let initial = self.initial.get(key).map_or(NONE, |value| *value);
        self.variables.push(Variable { name, values, initial });
        self.index.insert(key.clone(), var);
        var
    }

    /// What is there at the start, where that is not 0, whether there is a variable for it or not.
    pub(super) fn start(&self) -> Vec<(Key, u32)> {
        self.initial.iter().map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// The variable that stands for `key`, if there is one.
    pub(super) fn known(&self, key: &Key) -> Option<Var> {
        self.index.get(key).copied()
    }

    /// All variables, and what they stand for.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Key, Var)> {
        self.index.iter().map(|(key, var)| (key, *var))
    }

    /// The values of a variable, as many as its domain has.
    pub(super) fn size(&self, var: Var) -> u32 {
        number(self.variables.get(usize::from(var.0)).map_or(0, |variable| variable.values.len()))
    }

    /// That the variable has the value, in words that a trace can be read with.
    pub(super) fn shown(&self, var: Var, value: u32) -> String {
        let variable = &self.variables[usize::from(var.0)];
        let name = variable.name.replace('[', "(").replace(']', ")");
        format!("{name} = {}", variable.values[value as usize])
    }

    /// The value of a content, if it is one that can occur.
    pub(super) fn content(&self, content: u32) -> Option<u32> {
        self.domains.contents.binary_search(&content).ok().map(number)
    }

    /// All frames.
    pub(super) fn frames(&self) -> impl Iterator<Item = FrameId> + use<> {
        (0..self.domains.frames.len()).map(FrameId)
    }

    fn entries(&self) -> Vec<String> {
        self.domains.entries.shown(&self.domains.frames)
    }

    fn counts(most: u32) -> Vec<String> {
        (0..=most).map(|count| count.to_string()).collect()
    }

    /// What a slot of a store buffer can hold.
    fn stores(&self, buffer: &Buffer) -> Vec<String> {
        let stored = |place| {
            let (name, values) = self.describe(place);
            values.into_iter().map(move |value| format!("{name} = {value}"))
        };
        std::iter::once("empty".to_owned()).chain(buffer.places.iter().flat_map(stored)).collect()
    }

    fn under_tag(&self, user: &str, page: &str, tag: TagId) -> (String, Vec<String>) {
        (format!("tlb[{user}][{page}][{}]", self.domains.tags[tag.0]), self.entries())
    }

    fn describe(&self, key: &Key) -> (String, Vec<String>) {
        let d = &self.domains;
        let page = |id: &PageId| &d.pages[id.0];
        let frame = |id: &FrameId| &d.frames[id.0];
        let user = |id: &UserId| &d.users[id.0];
        let pmd = |id: &PmdId| &d.pmds[id.0];
        let yes = || vec!["no".to_owned(), "yes".to_owned()];
        let or = |first: &str, rest: &[String]| [&[first.to_owned()], rest].concat();
        match key {
            Key::Pte(id) => (format!("pte[{}]", page(id)), self.entries()),
            Key::Pmd(id) => (format!("pmd[{}]", pmd(id)), self.entries()),
            Key::Pwc(id, of) => (format!("pwc[{}][{}]", user(id), pmd(of)), self.entries()),
            Key::Tlb(user, id) => (format!("tlb[{}][{}]", d.users[user.0], page(id)), self.entries()),
            Key::Tagged(id, of, tag) => self.under_tag(user(id), page(of), *tag),
            Key::LoadedMm(id) => (format!("loaded_mm[{}]", user(id)), d.mms.clone()),
            Key::LoadedTag(id) => (format!("tag[{}]", user(id)), d.tags.clone()),
            Key::InFlight(user, id) => (format!("walk[{}][{}]", d.users[user.0], page(id)), self.entries()),
            Key::DeviceTlb(id, of) => (format!("devtlb[{}][{}]", user(id), page(of)), self.entries()),
            Key::Completion(user, id) => (format!("ats[{}][{}]", d.users[user.0], page(id)), self.entries()),
            Key::Dma(agent, id) => (format!("dma[{}][{}]", d.agents[*agent], page(id)), self.entries()),
            Key::Gone(id) => (format!("gone[{}]", user(id)), yes()),
            Key::Aborted(agent) => (format!("aborted[{}]", d.agents[*agent]), yes()),
            Key::Pasid(id) => (format!("{}[{}]", d.entry_of(*id), d.pasids[id.0]), or("none", &d.mms)),
            Key::PasidHigh(id) => {
                (format!("{}_high[{}]", d.entry_of(*id), d.pasids[id.0]), or("none", &d.mms))
            }
            Key::PasidRead(id) => (format!("{}_read[{}]", d.cached_of(*id), user(id)), d.halves()),
            Key::Torn(id) => (format!("torn[{}]", user(id)), yes()),
            Key::PasidCache(user) => {
                (format!("{}c[{}]", d.cached_of(*user), d.users[user.0]), or("none", &d.mms))
            }
            Key::Spte(id) => (format!("spte[{}]", page(id)), self.entries()),
            Key::Spmd(id) => (format!("spmd[{}]", pmd(id)), self.entries()),
            Key::InProgress(id) => (format!("in_progress[{}]", page(id)), Self::counts(d.most_ranges)),
            Key::Content(id) => (frame(id).clone(), d.contents.iter().map(u32::to_string).collect()),
            Key::Refs(id) => (format!("refs[{}]", frame(id)), Self::counts(d.most_refs)),
            Key::Mapcount(id) => (format!("mapcount[{}]", frame(id)), Self::counts(d.most_refs)),
            Key::Pins(id) => (format!("pins[{}]", frame(id)), Self::counts(d.most_refs)),
            Key::Stable(id) => (format!("stable[{}]", frame(id)), yes()),
            Key::Requested(id) => (format!("requested[{}]", page(id)), or("-", &d.agents)),
            Key::Slot(index) => (format!("queue[{index}]"), or("-", &d.posted)),
            Key::Lock(name) => (name.clone(), or("free", &d.agents)),
            Key::Shares(agent, name) => (format!("{}.{name}", d.agents[*agent]), yes()),
            Key::Store(agent, slot) => {
                (format!("{}.buffer[{slot}]", d.agents[*agent]), self.stores(&d.buffers[*agent]))
            }
            Key::Section(Section::Interrupts, agent) => (format!("{}.irq_off", d.agents[*agent]), yes()),
            Key::Section(Section::Rcu, agent) => (format!("{}.rcu", d.agents[*agent]), yes()),
            Key::Awaits(agent, party) => (format!("{}.awaits[{}]", d.agents[*agent], d.party(*party)), yes()),
            Key::User(index) => {
                let (name, least, most) = &d.variables[*index];
                (name.clone(), (*least..=*most).map(|value| value.to_string()).collect())
            }
            Key::Handle(agent, name) => (format!("{}.{name}", d.agents[*agent]), or("none", &d.frames)),
            Key::Orig(agent, id) => (format!("{}.orig[{}]", d.agents[*agent], page(id)), self.entries()),
            Key::PmdOrig(agent, id) => (format!("{}.orig[{}]", d.agents[*agent], pmd(id)), self.entries()),
            Key::Ghost(_) if d.ghosts == 1 => ("after".to_owned(), yes()),
            Key::Ghost(index) => (format!("after[{index}]"), yes()),
            Key::Returned(agent, _, _, text) => (format!("{}: {text}", d.agents[*agent]), d.returned()),
        }
    }
}
