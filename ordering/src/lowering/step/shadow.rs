//! KVM's fault path in its own steps: the shadow entry is zapped and set by a program.
//!
//! Invariant: in a scenario with any of these steps nobody else zaps or sets a shadow entry; vCPUs keep translations in
//! TLBs of their own. Source: virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start, mmu_invalidate_retry.

use crate::language::entry::{Base, Written};
use crate::language::span::Name;
use crate::language::{Code, Diagnostic};
use crate::model::{Update, Var};

use super::super::emitter::Emitter;
use super::super::state::{Key, NONE};
use super::super::upper::Height;
use super::At;

impl Emitter<'_> {
    pub(super) fn zap_spte(&mut self, page: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.scope.names.page(page)?;
        let spte = self.state.var(&Key::Spte(page));
        let zapped = vec![at.way(Vec::new(), vec![Update::Set(spte, NONE)])];
        let ways = self.in_shadow_table(page, zapped, at);
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn set_spte(&mut self, page: &Name, entry: &Written, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.scope.names.page(page)?;
        let spte = self.state.var(&Key::Spte(page));
        let orig = self.state.var(&Key::Orig(self.own.agent, page));
        let ways = self.entry_ways(entry, Height::Leaf, orig, &[spte], at)?;
        let ways = self.in_shadow_table(page, ways, at);
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn zap_spmd(&mut self, pmd: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let spmd = self.spmd(pmd)?;
        self.step(vec![at.way(Vec::new(), vec![Update::Set(spmd, NONE)])], at.line);
        Ok(())
    }

    pub(super) fn set_spmd(&mut self, pmd: &Name, entry: &Written, at: &At<'_>) -> Result<(), Diagnostic> {
        let (spmd, id) = (self.spmd(pmd)?, self.scope.names.pmd(pmd)?);
        // The same page-table page in both would let a vCPU's hardware walk what the kernel wrote for CPUs.
        if let (Base::Orig, Some(table)) = (&entry.base, self.scope.hardware.uppers.named(id)) {
            let table = &self.state.domains.frames[table.0];
            let message = format!("`orig` can name `{table}`, which is no page of the shadow page table");
            let help = "name the shadow page-table page, or the frame with `huge`";
            return Err(Diagnostic::new(Code::OrigInShadow, entry.span, message, help));
        }
        let orig = self.state.var(&Key::PmdOrig(self.own.agent, id));
        let ways = self.entry_ways(entry, Height::Upper, orig, &[spmd], at)?;
        self.step(ways, at.line);
        Ok(())
    }

    /// The shadow entry above the pages under `pmd`.
    fn spmd(&mut self, pmd: &Name) -> Result<Var, Diagnostic> {
        let id = self.scope.names.pmd(pmd)?;
        if self.scope.hardware.uppers.is_shadowed(id) {
            return Ok(self.state.var(&Key::Spmd(id)));
        }
        let message = format!("no shadow entry stands above the pages under `{pmd}`");
        Err(Diagnostic::new(Code::NoShadow, pmd.span, message, format!("declare it: `shadow {pmd} -> none`")))
    }
}
