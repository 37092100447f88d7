//! Handles without a reference: the frame that an entry maps is remembered, and nobody counts that.
//!
//! Invariant: one step looks and takes, as if under the page-table lock; nothing keeps the frame from going afterwards, so
//! that whoever uses the handle then uses a freed frame. Source: mm/memory.c follow_pte (follow_pfnmap_start since 6.12),
//! virt/kvm/pfncache.c, whose caches hold no reference since 5.17.

use crate::language::span::Name;
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::super::deed::Part;
use super::super::emitter::Emitter;
use super::super::entry::Need;
use super::super::names::PageId;
use super::super::program::Way;
use super::super::state::{Key, number};
use super::At;

/// An entry that may map the frame.
struct Place {
    entry: Var,
    /// What the agent remembers of it.
    orig: Var,
    /// What must hold for it to be the one.
    guard: Vec<Guard>,
    /// The upper entry names this table: what maps no frame is looked at further down.
    table: Option<u32>,
}

impl Emitter<'_> {
    /// `peek A write => h`.
    pub(super) fn peek(
        &mut self,
        page: &Name,
        write: bool,
        handle: &Name,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let page = self.scope.names.page(page)?;
        let need = if write { Need::Store } else { Need::Load };
        let handle = self.state.var(&Key::Handle(self.own.agent, handle.node.clone()));
        let (above, table) = (self.scope.hardware.uppers.above(page), self.scope.hardware.uppers.table(page));
        let Some(above) = above else {
            let ways = self.peeks_leaf(page, &[], need, handle, at);
            self.step(ways, at.line);
            return Ok(());
        };
        let keys = [Key::Pmd(above), Key::PmdOrig(self.own.agent, above)];
        let [entry, orig] = keys.map(|key| self.state.var(&key));
        let table = table.map(|table| self.state.domains.entries.table(table));
        let mut ways = self.peeks(&Place { entry, orig, guard: Vec::new(), table }, need, handle, at);
        // An upper entry that never names a table is all there is.
        if let Some(table) = table {
            ways.extend(self.peeks_leaf(page, &[Guard::Is(entry, table)], need, handle, at));
        }
        self.step(ways, at.line);
        Ok(())
    }

    /// The ways of looking at the page's own entry.
    fn peeks_leaf(
        &mut self,
        page: PageId,
        below: &[Guard],
        need: Need,
        handle: Var,
        at: &At<'_>,
    ) -> Vec<Way> {
        let keys = [Key::Pte(page), Key::Orig(self.own.agent, page)];
        let [entry, orig] = keys.map(|key| self.state.var(&key));
        let (mut guard, mut ways) = (below.to_vec(), Vec::new());
        if let Some(refs) = self.table_refs(page) {
            let freed = [below, &[Guard::Is(refs, 0)]].concat();
            ways.push(self.in_freed_table(freed, page, at.text));
            guard.push(Guard::IsNot(refs, 0));
        }
        ways.extend(self.peeks(&Place { entry, orig, guard, table: None }, need, handle, at));
        ways
    }

    /// The ways of looking at one entry: with the frame that it maps, or with none.
    fn peeks(&self, place: &Place, need: Need, handle: Var, at: &At<'_>) -> Vec<Way> {
        let seen = Update::Copy { to: place.orig, from: place.entry };
        let entries = &self.state.domains.entries;
        let guard = |more: &[Guard]| [place.guard.as_slice(), more].concat();
        let mut none = guard(&[entries.lacks(place.entry, need)]);
        none.extend(place.table.map(|table| Guard::IsNot(place.entry, table)));
        let none = Way::new(none, vec![seen, Update::Set(handle, 0)], format!("{}: no frame", at.text));
        let none = none.part(Part::Nothing);
        let taken = entries.usable(need).into_iter().map(|(value, frame)| {
            let updates = vec![seen, Update::Set(handle, number(frame.0) + 1)];
            Way::new(guard(&[Guard::Is(place.entry, value)]), updates, at.text)
        });
        std::iter::once(none).chain(taken).map(|way| way.happening(at.happening())).collect()
    }

    /// `forget h`.
    pub(super) fn forget_handle(&mut self, handle: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        if !self.own.handles.iter().any(|(known, _)| *known == handle.node) {
            let message =
                format!("`{}` never has a frame: no step of `{}` takes one", handle.node, self.own.name);
            let help = format!("take it before: `peek A => {}`", handle.node);
            return Err(Diagnostic::new(Code::NeverTaken, handle.span, message, help));
        }
        let handle = self.state.var(&Key::Handle(self.own.agent, handle.node.clone()));
        self.step(vec![at.way(Vec::new(), vec![Update::Set(handle, 0)])], at.line);
        Ok(())
    }
}
