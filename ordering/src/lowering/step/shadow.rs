//! KVM's fault path in its own steps: the shadow entry is zapped and set by a program.
//!
//! Invariant: in a scenario with any of these steps nobody else zaps or sets a shadow entry; vCPUs keep translations in
//! TLBs of their own. Source: virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start, mmu_invalidate_retry.

use crate::language::Diagnostic;
use crate::language::entry::Written;
use crate::language::span::Name;
use crate::model::Update;

use super::super::agent::Emitter;
use super::super::state::{Key, NONE};
use super::super::upper::Height;
use super::At;

impl Emitter<'_> {
    pub(super) fn zap_spte(&mut self, page: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let spte = self.state.var(&Key::Spte(self.names.page(page)?));
        self.step(vec![at.way(Vec::new(), vec![Update::Set(spte, NONE)])], at.line);
        Ok(())
    }

    pub(super) fn set_spte(&mut self, page: &Name, entry: &Written, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.names.page(page)?;
        let spte = self.state.var(&Key::Spte(page));
        let orig = self.state.var(&Key::Orig(self.agent, page));
        let ways = self.entry_ways(entry, Height::Leaf, orig, &[spte], at)?;
        self.step(ways, at.line);
        Ok(())
    }
}
