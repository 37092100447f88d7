//! Upper entries: what stands above the entries of pages, and how a walk comes through it.
//!
//! Invariant: an upper entry names one page-table page in all of a scenario, so the entry of a page lies in one place;
//! the n-th pages under two upper entries with the same table share it. A walk goes through what its paging-structure
//! cache holds, however old that is, and looks at the upper entry only if it holds nothing. Who reads a page-table page
//! that is free breaks the built-in property. Source: Intel SDM volume 3, "caching translation information"; VT-d,
//! "paging-structure caches"; mm/mmu_gather.c.

use steps::entry::Bit;
use steps::{EntryAt, EntryOf};

use crate::language::entry::{Base, Written};
use crate::language::span::Name;
use crate::language::syntax::{FrameKind, Scenario, Step};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::emitter::Emitter;
use super::hardware::Caches;
use super::names::{FrameId, Meaning, Names, PageId, PmdId, UserId};
use super::program::Way;
use super::state::{Key, NONE};
use super::step::At;
use super::visit::visit_steps;

/// Where an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Height {
    /// In a page-table page: the entry of one page.
    Leaf,
    /// Above.
    Upper,
}

/// The upper entries of a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Uppers {
    /// By page.
    above: Vec<Option<PmdId>>,
    /// By upper entry, the page-table page that it can name.
    tables: Vec<Option<FrameId>>,
    /// By upper entry, whether a shadow entry stands above the same pages, and the page-table page that it can name.
    shadows: Vec<(bool, Option<FrameId>)>,
    /// By page, the first page with the same entry.
    pub(super) leaves: Vec<PageId>,
}

/// A case of a walk: in every state one of them holds.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) guard: Vec<Guard>,
    /// Where the entry of the page is, or the upper entry that maps a frame itself.
    pub(super) from: Var,
    /// Whether that is the upper entry.
    pub(super) is_upper: bool,
    /// What becomes of the paging-structure cache.
    pub(super) caches: Option<Update>,
    /// Whether the upper entry has to be read first, which is a step of its own.
    pub(super) reads_upper: bool,
    /// The page-table page that is read,
    pub(super) page_table: Option<FrameId>,
    /// and the references to it.
    pub(super) table: Option<Var>,
    /// What a fault lets the walk forget, if the upper entry in memory is another one by now.
    pub(super) forgets: Option<(Guard, Update)>,
}

impl Case {
    /// Nothing stands above.
    pub(super) fn only(from: Var) -> Self {
        Self {
            guard: Vec::new(),
            from,
            is_upper: false,
            caches: None,
            reads_upper: false,
            page_table: None,
            table: None,
            forgets: None,
        }
    }
}

impl Case {
    /// The upper entry is the entry.
    fn upper(pmd: Var) -> Self {
        Self { is_upper: true, ..Self::only(pmd) }
    }
}

impl Uppers {
    /// Those of `scenario`; what does not fit together is reported.
    pub(super) fn new(scenario: &Scenario, names: &Names, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut uppers = Self {
            above: vec![None; scenario.pages.len()],
            tables: vec![None; scenario.pmds.len()],
            shadows: vec![(false, None); scenario.pmds.len()],
            leaves: Vec::new(),
        };
        for (page, pmd) in &scenario.above {
            match (names.page(page), names.pmd(pmd)) {
                (Ok(page), Ok(pmd)) => uppers.above[page.0] = Some(pmd),
                (page, pmd) => diagnostics.extend([page.err(), pmd.err()].into_iter().flatten()),
            }
        }
        for (pmd, _) in &scenario.shadows {
            match names.pmd(pmd) {
                Ok(id) => uppers.shadows[id.0].0 = true,
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        let (tables, shadows) = (&mut uppers.tables, &mut uppers.shadows);
        let mut found = |pmd: &Name, entry: &Written| {
            diagnostics.extend(named_once(pmd, entry, names, |id| &mut tables[id.0]).err());
        };
        scenario.pmds.iter().for_each(|(pmd, entry)| found(pmd, entry));
        let mut shadow =
            |pmd: &Name, entry: &Written| named_once(pmd, entry, names, |id| &mut shadows[id.0].1).err();
        let mut wrong: Vec<Diagnostic> =
            scenario.shadows.iter().filter_map(|(pmd, entry)| shadow(pmd, entry)).collect();
        for agent in &scenario.agents {
            visit_steps(&agent.body, &mut |spoken, _, _| {
                if let Step::Entry(EntryAt::Pmd(pmd), EntryOf::Set(entry)) = &spoken.step {
                    found(pmd, entry);
                }
                if let Step::SetSpmd(pmd, entry) = &spoken.step {
                    wrong.extend(shadow(pmd, entry));
                }
            });
        }
        diagnostics.append(&mut wrong);
        diagnostics.extend(uppers.in_both(scenario));
        uppers.leaves = (0..scenario.pages.len()).map(|page| uppers.leaf(PageId(page))).collect();
        uppers
    }

    /// Page-table pages that a shadow entry names and an upper entry, too.
    fn in_both(&self, scenario: &Scenario) -> Vec<Diagnostic> {
        let both = |(_, table): &&(bool, Option<FrameId>)| table.is_some() && self.tables.contains(table);
        let named = self.shadows.iter().filter(both).filter_map(|(_, table)| *table);
        let wrong = |table: FrameId| {
            let name = &scenario.frames[table.0].name;
            let message = format!("`{name}` lies in the page table and in the shadow page table");
            Diagnostic::new(
                Code::TableInBoth,
                name.span,
                message,
                "declare another page-table page for the shadow entry",
            )
        };
        named.map(wrong).collect()
    }

    /// The first page that has the same entry as `page`.
    fn leaf(&self, page: PageId) -> PageId {
        let place = |page: PageId| {
            let above = self.above[page.0]?;
            let index = self.above[..page.0].iter().filter(|other| **other == Some(above)).count();
            Some((self.tables[above.0]?, index))
        };
        let wanted = place(page);
        (0..page.0).map(PageId).find(|other| wanted.is_some() && place(*other) == wanted).unwrap_or(page)
    }

    pub(super) fn above(&self, page: PageId) -> Option<PmdId> {
        self.above[page.0]
    }

    /// The page-table page that the upper entry can name.
    pub(super) fn named(&self, pmd: PmdId) -> Option<FrameId> {
        self.tables[pmd.0]
    }

    /// The page-table page with the entry of `page`.
    pub(super) fn table(&self, page: PageId) -> Option<FrameId> {
        self.named(self.above(page)?)
    }

    /// Whether a shadow entry stands above the pages under `pmd`.
    pub(super) fn is_shadowed(&self, pmd: PmdId) -> bool {
        self.shadows[pmd.0].0
    }

    /// The upper entry above `page` whose shadow stands above its shadow entry.
    pub(super) fn shadow_above(&self, page: PageId) -> Option<PmdId> {
        self.above(page).filter(|pmd| self.is_shadowed(*pmd))
    }

    /// The shadow page-table page with the shadow entry of `page`.
    pub(super) fn shadow_table(&self, page: PageId) -> Option<FrameId> {
        self.shadows[self.shadow_above(page)?.0].1
    }

    pub(super) fn pages(&self, pmd: PmdId) -> Vec<PageId> {
        (0..self.above.len()).map(PageId).filter(|page| self.above(*page) == Some(pmd)).collect()
    }

    /// A page has an entry only if the upper entry above it ever names a page-table page.
    pub(super) fn check(&self, page: PageId, name: &Name) -> Result<(), Diagnostic> {
        if self.above(page).is_none() || self.table(page).is_some() {
            return Ok(());
        }
        let message = format!("`{}` has no entry: nothing above it names a page-table page", name.node);
        Err(Diagnostic::new(
            Code::NoEntry,
            name.span,
            message,
            "use the upper entry: `pmd_read`, `set_pmd`, …",
        ))
    }
}

/// Takes note, at `of` the upper entry, of the page-table page that it names.
fn named_once<'t>(
    pmd: &Name,
    entry: &Written,
    names: &Names,
    of: impl FnOnce(PmdId) -> &'t mut Option<FrameId>,
) -> Result<(), Diagnostic> {
    // A name that is not declared is reported where it is lowered.
    let (Ok(id), Some(table)) = (names.pmd(pmd), table_of(entry, names)) else { return Ok(()) };
    let known = *of(id).get_or_insert(table);
    if known == table {
        return Ok(());
    }
    let message = format!("`{}` names another page-table page elsewhere", pmd.node);
    let help = "an upper entry can name one; give the other one an upper entry of its own";
    Err(Diagnostic::new(Code::TableTwice, entry.span, message, help))
}

/// The page-table page that an entry names.
fn table_of(entry: &Written, names: &Names) -> Option<FrameId> {
    named_frame(entry, names).filter(|frame| names.frames[frame.0] == FrameKind::Table)
}

/// The frame, the swap slot or the page-table page that an entry names.
fn named_frame(entry: &Written, names: &Names) -> Option<FrameId> {
    let Base::Name(name) = &entry.base else { return None };
    if let Some(Meaning::Frame(frame)) = names.meaning(&name.node) { Some(frame) } else { None }
}

/// Upper entries alone name page-table pages, and are huge if they map a frame.
pub(super) fn fits(written: &Written, height: Height, names: &Names) -> Result<(), Diagnostic> {
    let kind = named_frame(written, names).map(|frame| names.frames[frame.0]);
    let huge = written.change.said().has(Bit::Huge);
    let named = matches!(written.base, Base::Name(_));
    // Behind `like orig`, too: what is remembered may be a page-table page, and small.
    let small = named && !written.change.set.has(Bit::Huge);
    let (message, help) = match (height, kind) {
        (Height::Leaf, Some(FrameKind::Table)) => {
            ("the entry of a page names no page-table page", "write `set_pmd M -> T`".to_owned())
        }
        (Height::Leaf, _) if huge => {
            ("the entry of a page is not huge", "leave `huge` out, or write an upper entry".to_owned())
        }
        (Height::Upper, _) if written.change.clear.has(Bit::Huge) || (huge && !named) => {
            ("no step makes an entry huge, or small", "name the frame that it is to map".to_owned())
        }
        (Height::Upper, Some(FrameKind::Slot)) => {
            ("an upper entry names no swap slot", "name a frame or a page-table page".to_owned())
        }
        (Height::Upper, kind) if small && kind != Some(FrameKind::Table) => {
            let help = format!("write `{written} huge`, or name a page-table page");
            ("an upper entry that maps a frame is huge", help)
        }
        (Height::Leaf | Height::Upper, _) => return Ok(()),
    };
    Err(Diagnostic::new(Code::WrongHeight, written.span, message, help))
}

impl Emitter<'_> {
    /// The references to the page-table page with the entry of `page`, if anybody could free it.
    pub(super) fn table_refs(&mut self, page: PageId) -> Option<Var> {
        let table = self.scope.hardware.uppers.table(page)?;
        self.refs_of_table(table)
    }

    fn refs_of_table(&mut self, table: FrameId) -> Option<Var> {
        let watched = self.scope.survey.frees && self.scope.properties.walked.is_some();
        watched.then(|| self.state.var(&Key::Refs(table)))
    }

    /// The cases of a walk of `user` to what `page` is mapped to in memory.
    pub(super) fn cases(&mut self, user: UserId, page: PageId) -> Vec<Case> {
        let uppers = &self.scope.hardware.uppers;
        // A vCPU's hardware walks the shadow page table.
        let shadow = self.scope.hardware.of(user) == Caches::VcpuTlb;
        let (above, table, leaf) = match shadow {
            true => (uppers.shadow_above(page), uppers.shadow_table(page), Key::Spte(page)),
            false => (uppers.above(page), uppers.table(page), Key::Pte(page)),
        };
        let Some(above) = above else { return vec![Case::only(self.state.var(&leaf))] };
        let pmd = self.state.var(&if shadow { Key::Spmd(above) } else { Key::Pmd(above) });
        let Some(page_table) = table else { return vec![Case::upper(pmd)] };
        let table = self.state.domains.entries.table(page_table);
        let refs = self.refs_of_table(page_table);
        let leaf = Case { page_table: Some(page_table), table: refs, ..Case::only(self.state.var(&leaf)) };
        let (is, is_not) = (Guard::Is(pmd, table), Guard::IsNot(pmd, table));
        // What walks in software keeps nothing of the way.
        if !self.scope.hardware.of(user).keeps_upper() {
            return vec![Case { guard: vec![is], ..leaf }, Case { guard: vec![is_not], ..Case::upper(pmd) }];
        }
        let cache = self.state.var(&Key::Pwc(user, above));
        let empty = Guard::Is(cache, NONE);
        let lost = self.scope.options.evict.then_some(Update::Set(cache, NONE));
        let no_table: Vec<Guard> = [is_not].into_iter().chain(lost.is_none().then_some(empty)).collect();
        let filled = Some(Update::Set(cache, table));
        vec![
            Case {
                guard: vec![Guard::Is(cache, table)],
                forgets: Some((is_not, Update::Set(cache, NONE))),
                ..leaf.clone()
            },
            Case { guard: vec![empty, is], caches: filled, reads_upper: true, ..leaf },
            Case { guard: no_table, caches: lost, ..Case::upper(pmd) },
        ]
    }

    /// `ways` of a step that uses the entry of `page`: none of them if its page-table page is free.
    pub(super) fn in_table(&mut self, page: PageId, mut ways: Vec<Way>, at: &At<'_>) -> Vec<Way> {
        let Some(refs) = self.table_refs(page) else { return ways };
        ways.iter_mut().for_each(|way| way.guard.push(Guard::IsNot(refs, 0)));
        ways.push(self.in_freed_table(vec![Guard::Is(refs, 0)], page, at.text));
        ways
    }

    /// `ways` of a kernel's step on the entry of `page`: none of them while the upper entry does not name its table.
    pub(super) fn linked(&mut self, page: PageId, mut ways: Vec<Way>, at: &At<'_>) -> Vec<Way> {
        let uppers = &self.scope.hardware.uppers;
        let (Some(above), Some(table)) = (uppers.above(page), uppers.table(page)) else { return ways };
        if self.scope.properties.unlinked.is_none() {
            return ways;
        }
        let pmd = self.state.var(&Key::Pmd(above));
        let value = self.state.domains.entries.table(table);
        ways.iter_mut().for_each(|way| way.guard.push(Guard::Is(pmd, value)));
        let text = format!("{} in unlinked {}", at.text, self.state.domains.frames[table.0]);
        let unlinked = Way::new(vec![Guard::IsNot(pmd, value)], Vec::new(), text);
        ways.push(unlinked.violating(self.scope.properties.unlinked));
        ways
    }

    /// `ways` of a kernel's step on the shadow entry of `page`: none of them if its page-table page is free.
    pub(super) fn in_shadow_table(&mut self, page: PageId, mut ways: Vec<Way>, at: &At<'_>) -> Vec<Way> {
        let Some(table) = self.scope.hardware.uppers.shadow_table(page) else { return ways };
        let Some(refs) = self.refs_of_table(table) else { return ways };
        ways.iter_mut().for_each(|way| way.guard.push(Guard::IsNot(refs, 0)));
        ways.push(self.in_freed(vec![Guard::Is(refs, 0)], Some(table), at.text));
        ways
    }

    /// The step that reads the entry of `page` in a page-table page that is free.
    pub(super) fn in_freed_table(&self, guard: Vec<Guard>, page: PageId, text: &str) -> Way {
        self.in_freed(guard, self.scope.hardware.uppers.table(page), text)
    }

    /// The step that reads an entry in `table`, which is free.
    pub(super) fn in_freed(&self, guard: Vec<Guard>, table: Option<FrameId>, text: &str) -> Way {
        let name = table.map_or("", |table| self.state.domains.frames[table.0].as_str());
        Way::new(guard, Vec::new(), format!("{text} in freed {name}")).violating(self.scope.properties.walked)
    }
}
