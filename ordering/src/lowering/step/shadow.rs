//! KVM's fault path in its own steps: the shadow entry is zapped and set by a program.
//!
//! Invariant: in a scenario with any of these steps nobody else zaps or sets a shadow entry; vCPUs keep translations in
//! TLBs of their own. Source: virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start, mmu_invalidate_retry.

use crate::language::Diagnostic;
use crate::language::vocabulary::Verb;
use crate::model::Update;

use super::super::agent::Emitter;
use super::super::program::Way;
use super::super::state::{Key, NONE, entry};
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
        let name = at.filled(at.step.frame.as_ref())?;
        if name.node == "orig" {
            let from = self.state.var(&Key::Orig(self.agent, page));
            self.step(vec![at.way(Vec::new(), vec![Update::Copy { to: spte, from }])], at.line);
            return Ok(());
        }
        let permission = *at.filled(at.step.permission.as_ref())?;
        let mut ways = Vec::new();
        for target in self.targets(name)? {
            ways.push(match target.frame {
                Some(frame) => at.way(target.guard, vec![Update::Set(spte, entry(frame, permission))]),
                None => Way::new(target.guard, Vec::new(), format!("{}: no frame", at.step.text)),
            });
        }
        self.step(ways, at.line);
        Ok(())
    }
}
