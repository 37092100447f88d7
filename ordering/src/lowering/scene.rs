//! What there is in a scenario, for a machine that is to be set up like it.
//!
//! Invariant: the numbers are those of the [deeds](super::deed) and of the [keys](super::Key) of the model's variables;
//! what is there at the start the model's variables say.

use steps::{Directory, Invalidation};

use super::Lowering;
use super::deed::{Numbering, Numbers};
use super::entry::Entry;
use super::habits::Habits;
use super::hardware::Caches;
use super::names::{FrameId, MmId, PageId, PasidId, PmdId, TagId, UserId};
use super::options::Options;
use super::queue::Work;
use super::state::{AgentId, Key, State};
use crate::language::span::Name;
use crate::language::syntax::{Agent, BuiltIn, Frame, FrameKind, Scenario, User, UserKind, Variable};
use crate::model::Var;

/// Everything that steps can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// By [`PageId`].
    pub pages: Vec<ScenePage>,
    /// Names of upper entries, by [`PmdId`].
    pub pmds: Vec<String>,
    /// By [`FrameId`].
    pub frames: Vec<SceneFrame>,
    /// By [`UserId`].
    pub users: Vec<SceneUser>,
    /// Names of address spaces, by [`MmId`].
    pub mms: Vec<String>,
    /// Names of tags, by [`TagId`].
    pub tags: Vec<String>,
    /// Names of PASIDs and of context entries, by [`PasidId`].
    pub pasids: Vec<String>,
    /// By [`PasidId`]: in which table its entry stands.
    pub directories: Vec<Directory>,
    /// By index of the agent, those that the scenario has: behind them come the hardware's.
    pub agents: Vec<SceneAgent>,
    /// User variables, by index.
    pub variables: Vec<SceneVariable>,
    /// Every entry that can occur, by value.
    pub entries: Vec<Entry>,
    /// Every content that can occur, by value.
    pub contents: Vec<u32>,
    /// What can be posted, by number: by whom, and what; none for a wait for all that stands before it.
    pub posted: Vec<(AgentId, Option<Invalidation<Numbers>>)>,
    /// Entries that the queue has room for.
    pub slots: usize,
    /// The greatest count of a frame: of references, of mappings, of pins.
    pub most_refs: u32,
    /// The greatest number of ranges that are open over a page.
    pub most_ranges: u32,
    /// What is there at the start and not the first value of its kind, whether the model has a variable for it or not.
    pub start: Vec<(Key, u32)>,
    /// What is assumed.
    pub options: Options,
    /// Whether programs zap and set shadow entries themselves.
    pub explicit_shadow: bool,
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenePage {
    /// Its name.
    pub name: String,
    /// The first page that has the same entry.
    pub leaf: PageId,
    /// The upper entry above it.
    pub above: Option<PmdId>,
    /// The page-table page with its entry, if that has a name.
    pub table: Option<FrameId>,
    /// The upper entry with a shadow entry that stands above the page's.
    pub shadow_above: Option<PmdId>,
    /// The page-table page with its shadow entry, if that has a name.
    pub shadow_table: Option<FrameId>,
    /// Its address space.
    pub home: Option<MmId>,
    /// The first page at its address, in whichever address space.
    pub address: PageId,
}

/// A frame, a swap slot or a page-table page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SceneFrame {
    /// Its name.
    pub name: String,
    /// Which of them.
    pub kind: FrameKind,
    /// What it holds at the start.
    pub content: u32,
}

/// A CPU, a vCPU or a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SceneUser {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: UserKind,
    /// What it has.
    pub caches: Caches,
    /// Whether it is a device that may have a TLB of its own, and answers when that is invalidated.
    pub ats: bool,
    /// The PASID of its accesses.
    pub pasid: Option<PasidId>,
    /// Whether that is a PASID or a context entry.
    pub directory: Directory,
    /// What it runs in at the start, and under which tag, if it is a CPU with tags.
    pub context: Option<(MmId, TagId)>,
}

/// An agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SceneAgent {
    /// Its name.
    pub name: String,
    /// What it runs on.
    pub user: Option<UserId>,
    /// What its plain stores can store to.
    pub stores: Vec<Key>,
    /// How many of them wait in its store buffer at most; 0 if it has none.
    pub buffer: usize,
    /// Whether its `gup_fast` switches interrupts off: if somebody waits for that, and the program does not itself.
    pub gup_masks: bool,
}

/// A user variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SceneVariable {
    /// Its name.
    pub name: String,
    /// Its least value.
    pub least: u32,
    /// Its greatest value.
    pub most: u32,
}

impl Scene {
    /// Whether the built-in property is on.
    #[must_use]
    pub fn asks(&self, property: BuiltIn) -> bool {
        self.options.is_on(property)
    }
}

impl Lowering<'_> {
    /// What there is; to be asked once all programs are lowered.
    pub(super) fn scene(&self, users: &[Option<UserId>]) -> Scene {
        let Self { scenario, names, hardware, state, survey, .. } = self;
        let page = |(id, name): (usize, &Name)| ScenePage {
            name: name.node.clone(),
            leaf: hardware.uppers.leaves[id],
            above: hardware.uppers.above(PageId(id)),
            table: hardware.uppers.table(PageId(id)),
            shadow_above: hardware.uppers.shadow_above(PageId(id)),
            shadow_table: hardware.uppers.shadow_table(PageId(id)),
            home: hardware.spaces.home(PageId(id)),
            address: hardware.tags.address(PageId(id)),
        };
        let user = |(id, user): (usize, &User)| SceneUser {
            name: user.name.node.clone(),
            kind: user.kind,
            caches: hardware.of(UserId(id)),
            ats: user.ats,
            pasid: hardware.spaces.bound(UserId(id)),
            directory: user.directory,
            context: hardware.tags.context(UserId(id)),
        };
        let posted = survey.posted.iter().map(|one| match &one.work {
            Work::Invalidation(invalidation) => (one.agent, Some(invalidation.renamed(&Numbering(names)))),
            Work::Wait => (one.agent, None),
        });
        Scene {
            pages: scenario.pages.iter().enumerate().map(page).collect(),
            pmds: state.domains.pmds.clone(),
            frames: frames(scenario),
            users: scenario.users.iter().enumerate().map(user).collect(),
            mms: state.domains.mms.clone(),
            tags: state.domains.tags.clone(),
            pasids: state.domains.pasids.clone(),
            directories: (0..scenario.pasids.len()).map(|id| names.directory(PasidId(id))).collect(),
            agents: agents(scenario, users, &survey.habits, &hardware.uppers.leaves),
            variables: scenario.variables.iter().map(variable).collect(),
            entries: state.domains.entries.all().map(|(_, entry)| entry).collect(),
            contents: state.domains.contents.clone(),
            posted: posted.collect(),
            slots: state.domains.slots as usize,
            most_refs: state.domains.most_refs,
            most_ranges: state.domains.most_ranges,
            start: state.start(),
            options: self.options,
            explicit_shadow: survey.explicit_shadow,
        }
    }
}

fn frames(scenario: &Scenario) -> Vec<SceneFrame> {
    let frame = |frame: &Frame| SceneFrame {
        name: frame.name.node.clone(),
        kind: frame.kind,
        content: frame.content,
    };
    scenario.frames.iter().map(frame).collect()
}

fn agents(
    scenario: &Scenario,
    users: &[Option<UserId>],
    habits: &[Habits],
    leaves: &[PageId],
) -> Vec<SceneAgent> {
    // Two pages may have one entry: a store to either is a store to the first one's.
    let place = |key: &Key| if let Key::Pte(page) = key { Key::Pte(leaves[page.0]) } else { key.clone() };
    let named = scenario.agents.iter().zip(users).zip(habits);
    let agent = |((agent, user), habits): ((&Agent, &Option<UserId>), &Habits)| SceneAgent {
        name: agent.name.node.clone(),
        user: *user,
        stores: habits.buffer.places.iter().map(place).collect(),
        buffer: habits.buffer.slots as usize,
        gup_masks: habits.gup_masks,
    };
    named.map(agent).collect()
}

fn variable(variable: &Variable) -> SceneVariable {
    SceneVariable { name: variable.name.node.clone(), least: variable.least, most: variable.most }
}

/// What each variable stands for, by variable.
pub(super) fn keys(state: &State) -> Vec<Key> {
    let mut found: Vec<(Var, Key)> = state.keys().map(|(key, var)| (var, key.clone())).collect();
    found.sort_by_key(|(var, _)| *var);
    found.into_iter().map(|(_, key)| key).collect()
}
