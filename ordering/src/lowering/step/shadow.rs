//! KVM's fault path in its own steps: the shadow entry is zapped and set by a program.
//!
//! Invariant: in a scenario with any of these steps nobody else zaps or sets a shadow entry; vCPUs keep translations in
//! TLBs of their own. Source: virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start, mmu_invalidate_retry.

use crate::language::Diagnostic;
use crate::language::vocabulary::Verb;
use crate::model::Update;

use super::super::agent::Emitter;
use super::super::state::{Key, NONE};
use super::super::upper::Height;
use super::At;

impl Emitter<'_> {
    /// `zap_spte` and `set_spte`.
    pub(super) fn shadow(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.page(at)?;
        let spte = self.state.var(&Key::Spte(page));
        if at.step.verb == Verb::ZapSpte {
            self.step(vec![at.way(Vec::new(), vec![Update::Set(spte, NONE)])], at.line);
            return Ok(());
        }
        let orig = self.state.var(&Key::Orig(self.agent, page));
        let ways = self.entry_ways(at, Height::Leaf, orig, &[spte])?;
        self.step(ways, at.line);
        Ok(())
    }
}
