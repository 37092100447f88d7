//! Tags: which address space a CPU runs in, and under which tag its TLB keeps what it walks to there.
//!
//! Invariant: a CPU with tags walks and uses pages of the address space that it runs in, and nothing but what its TLB holds
//! under the tag that it uses. The TLB knows an address and a tag, and no address space: what was filled for one page is
//! used for every other page at its address. Source: Intel SDM volume 3, 4.10.1 (PCIDs); AMD APM volume 2, 15.16 (ASIDs);
//! Arm ARM D8.16 (ASIDs and VMIDs).

use steps::{Invalidation, Step as Any, Switched};

use crate::language::span::{Name, Span};
use crate::language::syntax::{Scenario, User, UserKind, Words};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::emitter::Emitter;
use super::hardware::{Caches, Level};
use super::names::{Meaning, MmId, Names, PageId, TagId, UserId};
use super::program::MOST_CASES;
use super::state::{Key, NONE, number};
use super::step::At;
use super::visit::visit_steps;

/// What a step waits for, and what it changes then.
pub(super) type Case = (Vec<Guard>, Vec<Update>);

/// Who has tags, and which pages have one address.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    /// By user: the address space in which it begins, and the tag.
    contexts: Vec<Option<(MmId, TagId)>>,
    /// By user: the tags that it can come to use.
    used: Vec<Vec<TagId>>,
    /// By page: the first page at its address.
    addresses: Vec<PageId>,
    /// By page: its address space.
    homes: Vec<Option<MmId>>,
    /// By page: whether it lies under an upper entry.
    under: Vec<bool>,
}

/// What a CPU runs in when an access is taken.
pub(super) struct View {
    /// That it does.
    pub(super) guard: Vec<Guard>,
    /// Under which tag it then looks into its TLB; none if it has no tags.
    pub(super) tag: Option<TagId>,
}

impl Tags {
    /// Those of `scenario`; what does not fit together is reported.
    pub(super) fn new(
        scenario: &Scenario,
        names: &Names,
        homes: &[Option<MmId>],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut tags = Self {
            contexts: Vec::new(),
            used: vec![Vec::new(); scenario.users.len()],
            addresses: (0..scenario.pages.len()).map(PageId).collect(),
            homes: homes.to_vec(),
            under: vec![false; scenario.pages.len()],
        };
        for (page, _) in &scenario.above {
            // A page that is not declared is reported with its upper entry.
            names.page(page).into_iter().for_each(|page| tags.under[page.0] = true);
        }
        for (page, other) in &scenario.places {
            diagnostics.extend(tags.place(page, other, names).err());
        }
        for (id, user) in scenario.users.iter().enumerate() {
            let context = context(user, names).unwrap_or_else(|wrong| {
                diagnostics.push(wrong);
                None
            });
            tags.used[id].extend(context.map(|(_, tag)| tag));
            tags.contexts.push(context);
        }
        for agent in &scenario.agents {
            let Some(Meaning::User(user)) = names.meaning(&agent.place().node) else { continue };
            visit_steps(&agent.body, &mut |spoken, _, _| {
                // A tag that is not declared is reported where the step is lowered.
                if let Any::Switch(_, tag, _) = &spoken.step
                    && let Ok(tag) = names.tag(tag)
                    && !tags.used[user.0].contains(&tag)
                {
                    tags.used[user.0].push(tag);
                }
            });
        }
        tags
    }

    /// `page B in C at A`.
    fn place(&mut self, page: &Name, other: &Name, names: &Names) -> Result<(), Diagnostic> {
        let (id, at) = (names.page(page)?, names.page(other)?);
        let wrong =
            |message: String, help: &str| Err(Diagnostic::new(Code::WrongPlace, other.span, message, help));
        if at >= id {
            let message = format!("`{other}` is not declared before `{page}`");
            return wrong(message, "declare the page first whose address the other one has");
        }
        if self.under[id.0] || self.under[at.0] {
            let message =
                format!("`{page}` and `{other}` have one address, and one lies under an upper entry");
            return wrong(message, "leave `under` or `at` out");
        }
        let first = self.addresses[at.0];
        let known = self.at(first).any(|known| self.homes[known.0] == self.homes[id.0]);
        if known || self.homes[id.0].is_none() || self.homes[at.0].is_none() {
            let message =
                format!("`{page}` and `{other}` have one address, and lie in no two address spaces");
            return wrong(message, "write `page A in P, B in C at A`");
        }
        self.addresses[id.0] = first;
        Ok(())
    }

    /// The pages whose first page is that one.
    fn at(&self, first: PageId) -> impl Iterator<Item = PageId> + use<'_> {
        (0..self.addresses.len()).filter(move |page| self.addresses[*page] == first).map(PageId)
    }

    /// The pages at the address of `page`, itself among them.
    pub(super) fn same_address(&self, page: PageId) -> Vec<PageId> {
        self.at(self.address(page)).collect()
    }

    /// The first page at the address of `page`.
    pub(super) fn address(&self, page: PageId) -> PageId {
        self.addresses[page.0]
    }

    /// What `user` runs in at the start, if it has tags.
    pub(super) fn context(&self, user: UserId) -> Option<(MmId, TagId)> {
        self.contexts.get(user.0).copied().flatten()
    }

    /// The tags that `user` can use.
    pub(super) fn of(&self, user: UserId) -> &[TagId] {
        &self.used[user.0]
    }

    /// What CPUs run in at the start.
    pub(super) fn starts(&self) -> impl Iterator<Item = (Key, u32)> {
        let contexts = self.contexts.iter().enumerate();
        contexts.filter_map(|(user, context)| Some((UserId(user), (*context)?))).flat_map(
            |(user, (mm, tag))| [(Key::LoadedMm(user), number(mm.0)), (Key::LoadedTag(user), number(tag.0))],
        )
    }

    /// The pages that lie in an address space: something of them may be under a tag.
    pub(super) fn pages(&self) -> Vec<PageId> {
        (0..self.homes.len()).map(PageId).filter(|page| self.homes[page.0].is_some()).collect()
    }

    /// The cache of `user` for what was walked to `page` under `tag`.
    pub(super) fn key(user: UserId, page: PageId, tag: Option<TagId>) -> Key {
        tag.map_or(Key::Tlb(user, page), |tag| Key::Tagged(user, page, tag))
    }

    /// A CPU with tags reaches pages of address spaces; pages at one address are told apart by such a CPU only.
    pub(super) fn check(
        &self,
        user: UserId,
        kind: UserKind,
        page: PageId,
        name: &Name,
    ) -> Result<(), Diagnostic> {
        let wrong =
            |code, message: String, help: String| Err(Diagnostic::new(code, name.span, message, help));
        if self.context(user).is_some() {
            return match self.homes[page.0] {
                None => wrong(
                    Code::NoSpace,
                    format!("`{name}` is in no address space, and the CPU has tags"),
                    format!("declare `page {name} in P`"),
                ),
                Some(_) if self.under[page.0] => wrong(
                    Code::NoTags,
                    format!("`{name}` lies under an upper entry, and the CPU has tags"),
                    "leave `under` out: what is kept of upper entries has no tags here".to_owned(),
                ),
                Some(_) => Ok(()),
            };
        }
        if self.same_address(page).len() == 1 {
            return Ok(());
        }
        let help = match kind {
            UserKind::Cpu => "declare the CPU with one: `cpu CPU0 in P tag X`",
            UserKind::Vcpu | UserKind::Device => "leave `at` out, or let a CPU go there",
        };
        wrong(
            Code::NoTags,
            format!("`{name}` has the address of another page, and its user has no tags"),
            help.to_owned(),
        )
    }
}

fn context(user: &User, names: &Names) -> Result<Option<(MmId, TagId)>, Diagnostic> {
    user.context.as_ref().map(|(mm, tag)| Ok((names.mm(mm)?, names.tag(tag)?))).transpose()
}

impl Emitter<'_> {
    /// What `user` can run in when it goes to `page`.
    pub(super) fn views(&mut self, user: UserId, page: PageId) -> Vec<View> {
        let tags = &self.scope.hardware.tags;
        let (Some(_), Some(mm)) = (tags.context(user), tags.homes[page.0]) else {
            return vec![View { guard: Vec::new(), tag: None }];
        };
        let view = |tag: &TagId| {
            let (loaded, used) = (Key::LoadedMm(user), Key::LoadedTag(user));
            let (loaded, used) = (self.state.var(&loaded), self.state.var(&used));
            let guard = vec![Guard::Is(loaded, number(mm.0)), Guard::Is(used, number(tag.0))];
            View { guard, tag: Some(*tag) }
        };
        tags.of(user).iter().map(view).collect()
    }

    /// The caches of `user` for the other pages at the address of `page`.
    pub(super) fn others_at(&mut self, user: UserId, page: PageId, tag: Option<TagId>) -> Vec<Var> {
        if tag.is_none() {
            return Vec::new();
        }
        let others = self.scope.hardware.tags.same_address(page).into_iter().filter(|other| *other != page);
        others.map(|other| self.state.var(&Tags::key(user, other, tag))).collect()
    }

    /// `switch P tag X`.
    pub(super) fn switch(
        &mut self,
        mm: &Name,
        tag: &Name,
        switched: Switched,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let user = self.own_user(at.verb, at.span)?;
        let (mm, tag) = (self.scope.names.mm(mm)?, self.scope.names.tag(tag)?);
        if self.scope.hardware.tags.context(user).is_none() {
            let name = &self.scope.scenario.users[user.0].name;
            let message = format!("`{name}` has no tags, and runs in no address space");
            let help = format!("declare the CPU with one: `cpu {name} in P tag X`");
            return Err(Diagnostic::new(Code::NoTags, at.span, message, help));
        }
        let mut updates = vec![
            Update::Set(self.state.var(&Key::LoadedMm(user)), number(mm.0)),
            Update::Set(self.state.var(&Key::LoadedTag(user)), number(tag.0)),
        ];
        let pages = self.scope.hardware.tags.pages();
        if self.scope.options.split_walk {
            let walks =
                pages.iter().map(|page| Update::Set(self.state.var(&Key::InFlight(user, *page)), NONE));
            updates.extend(walks);
        }
        if switched == Switched::Empties {
            updates.extend(self.forgets_under(user, &pages, tag));
        }
        self.step(vec![at.way(Vec::new(), updates)], at.line);
        Ok(())
    }

    /// What `user` forgets under `tag` of the addresses of `pages`.
    fn forgets_under(&mut self, user: UserId, pages: &[PageId], tag: TagId) -> Vec<Update> {
        let mut found = Vec::new();
        for page in pages.iter().flat_map(|page| self.scope.hardware.tags.same_address(*page)) {
            let update = Update::Set(self.state.var(&Key::Tagged(user, page, tag)), NONE);
            found.extend((!found.contains(&update)).then_some(update));
        }
        found
    }

    /// What a CPU with tags forgets of `pages`: under `tag`, or under the one that it uses, whichever that is.
    fn forgets_tagged(&mut self, user: UserId, pages: &[PageId], tag: Option<TagId>) -> Vec<Case> {
        let used = self.scope.hardware.tags.of(user).to_vec();
        let walks = self.scope.options.split_walk;
        if let Some(tag) = tag
            && (!walks || !used.contains(&tag))
        {
            let updates = if used.contains(&tag) { self.forgets_under(user, pages, tag) } else { Vec::new() };
            return vec![(Vec::new(), updates)];
        }
        let mut cases = Vec::new();
        for current in used {
            let guard = vec![Guard::Is(self.state.var(&Key::LoadedTag(user)), number(current.0))];
            let named = match tag {
                Some(tag) => tag,
                None => current,
            };
            let mut updates = self.forgets_under(user, pages, named);
            // What walks have in flight is under the tag that is used.
            if walks && tag.is_none_or(|tag| tag == current) {
                for page in pages.iter().flat_map(|page| self.scope.hardware.tags.same_address(*page)) {
                    let update = Update::Set(self.state.var(&Key::InFlight(user, page)), NONE);
                    updates.extend((!updates.contains(&update)).then_some(update));
                }
            }
            cases.push((guard, updates));
        }
        cases
    }

    /// What `users` forget of `pages` at `levels`: a case for each way in which those of them who have tags use them.
    ///
    /// # Errors
    /// If there are too many, as each CPU multiplies them by the tags that it can use.
    pub(super) fn forget_cases(
        &mut self,
        (pages, levels): (&[PageId], &[Level]),
        users: &[UserId],
        tag: Option<TagId>,
        span: Span,
    ) -> Result<Vec<Case>, Diagnostic> {
        let has_tags = |user: &UserId| self.scope.hardware.tags.context(*user).is_some();
        let (tagged, others): (Vec<UserId>, Vec<UserId>) = users.iter().partition(|user| has_tags(user));
        let mut cases = vec![(Vec::new(), self.forget(pages, levels, &others))];
        if !levels.contains(&Level::Tlb) {
            return Ok(cases);
        }
        for user in tagged {
            let own = self.forgets_tagged(user, pages, tag);
            if cases.len() * own.len() > MOST_CASES {
                let message =
                    format!("this flush has more than {MOST_CASES} cases: one for each way to use tags");
                let help =
                    "flush fewer CPUs at once, with `on CPU`, name the tag, or write `option flush = split`";
                return Err(Diagnostic::new(Code::TooManyCases, span, message, help));
            }
            let with = |(guard, updates): &Case| {
                let join = |(more, forgotten): &Case| {
                    ([guard.as_slice(), more].concat(), [updates.as_slice(), forgotten].concat())
                };
                own.iter().map(join).collect::<Vec<_>>()
            };
            cases = cases.iter().flat_map(with).collect();
        }
        Ok(cases)
    }

    /// The tag that an invalidation names.
    pub(super) fn named_tag(&self, invalidation: &Invalidation<Words>) -> Result<Option<TagId>, Diagnostic> {
        invalidation.tag().map(|tag| self.scope.names.tag(tag)).transpose()
    }

    /// Those of `users` that an invalidation reaches which names a tag: whoever has tags.
    pub(super) fn with_tags(
        &self,
        invalidation: &Invalidation<Words>,
        users: Vec<UserId>,
    ) -> Result<Vec<UserId>, Diagnostic> {
        let Some(tag) = invalidation.tag() else { return Ok(users) };
        let tags = &self.scope.hardware.tags;
        let is_cpu = |user: &UserId| self.scope.hardware.of(*user) == Caches::Tlb;
        let tagged: Vec<UserId> =
            users.into_iter().filter(|user| is_cpu(user) && tags.context(*user).is_some()).collect();
        if tagged.is_empty() {
            let message = format!("no CPU that it reaches has tags, so nothing is under `{tag}`");
            let help = "declare a CPU with one: `cpu CPU0 in P tag X`";
            return Err(Diagnostic::new(Code::NoTags, tag.span, message, help));
        }
        Ok(tagged)
    }
}
