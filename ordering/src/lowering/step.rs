//! What each step reads and writes: the meaning behind the vocabulary.
//!
//! Invariant: one row of the vocabulary has one meaning here; what hardware or the kernel does in two is two nodes.

mod frame;
mod gup;
mod invalidation;
mod lock;
mod page_request;
mod section;
mod shadow;
mod table;

use crate::language::Diagnostic;
use crate::language::span::Span;
use crate::language::syntax::Step;
use crate::language::vocabulary::Verb;
use crate::model::{Guard, Update};

use super::access::Access;
use super::agent::Emitter;
use super::event::Happening;
use super::names::PageId;
use super::program::Way;

/// A step, and where it stands.
pub(super) struct At<'s> {
    pub(super) step: &'s Step,
    pub(super) span: Span,
    pub(super) line: u32,
}

impl At<'_> {
    /// What stands at a place of the step's form; the parser has refused a step without it.
    pub(super) fn filled<'p, T>(&self, place: Option<&'p T>) -> Result<&'p T, Diagnostic> {
        let help = "docs/language.md has its form";
        place.ok_or_else(|| Diagnostic::new(self.span, "this step is incomplete", help))
    }

    /// The step as properties look for it.
    pub(super) fn happening(&self) -> Happening {
        Happening::Step(self.step.verb, self.step.text.clone())
    }

    pub(super) fn way(&self, guard: Vec<Guard>, updates: Vec<Update>) -> Way {
        Way::new(guard, updates, self.step.text.as_str()).happening(self.happening())
    }
}

impl Emitter<'_> {
    /// One step that this agent may take.
    pub(super) fn one(&mut self, step: &Step, span: Span, line: u32) -> Result<(), Diagnostic> {
        let at = At { step, span, line };
        match step.verb {
            Verb::Lock | Verb::Trylock | Verb::Unlock => self.locking(&at),
            Verb::Fence => {
                self.step(vec![at.way(Vec::new(), Vec::new())], at.line);
                Ok(())
            }
            Verb::IrqOff
            | Verb::IrqOn
            | Verb::RcuReadLock
            | Verb::RcuReadUnlock
            | Verb::IpiSync
            | Verb::SynchronizeRcu => {
                self.section_step(&at);
                Ok(())
            }
            Verb::PteRead
            | Verb::PteClear
            | Verb::PteModify
            | Verb::SetPte
            | Verb::ChangePte
            | Verb::PmdRead
            | Verb::PmdClear
            | Verb::PmdModify
            | Verb::SetPmd => self.table_step(&at),
            Verb::FlushTlb
            | Verb::Notify
            | Verb::IotlbInv
            | Verb::DevtlbInv
            | Verb::FlushVcpus
            | Verb::FlushTlbMm
            | Verb::NotifyMm
            | Verb::FlushPmd
            | Verb::NotifyPmd
            | Verb::PasidInv
            | Verb::IotlbInvPasid
            | Verb::DevtlbInvPasid
            | Verb::NotifyStart
            | Verb::NotifyEnd => self.invalidation(&at),
            Verb::Walk | Verb::Load | Verb::Store | Verb::DmaRead | Verb::DmaWrite => self.translated(&at),
            Verb::ZapSpte | Verb::SetSpte => self.shadow(&at),
            Verb::SetPasid => self.set_pasid(&at),
            Verb::PageRequest | Verb::PageResponse | Verb::DrainRequests => self.page_request(&at),
            Verb::InvWait => self.wait(&at),
            Verb::GupFast => self.gup_fast(&at),
            Verb::TryGet => self.try_get(&at),
            Verb::Write | Verb::Read => self.direct(&at),
            Verb::Copy => self.copy(&at),
            Verb::Alloc
            | Verb::Get
            | Verb::Put
            | Verb::Pin
            | Verb::Unpin
            | Verb::Map
            | Verb::Unmap
            | Verb::Free
            | Verb::MarkStable => self.count(&at),
        }
    }

    /// Steps through the agent's own cache.
    fn translated(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let user = self.own_user(at.step.verb, at.span)?;
        let page = self.page(at)?;
        self.hardware.spaces.check(user, page, at.filled(at.step.page.as_ref())?)?;
        let access = match at.step.verb {
            Verb::Walk => {
                self.walk(user, page, &at.step.text, at.line);
                return Ok(());
            }
            Verb::Store | Verb::DmaWrite => Access::Write(at.filled(at.step.value.as_ref())?.node),
            _ => Access::Read,
        };
        self.access(user, page, access, (at.step.verb, &at.step.text), at.line);
        Ok(())
    }

    fn page(&self, at: &At<'_>) -> Result<PageId, Diagnostic> {
        self.names.page(at.filled(at.step.page.as_ref())?)
    }

    /// Both ways, if leaving the range is a violation; else the second waits.
    fn or_out_of_range(&self, way: Way, outside: Way) -> Vec<Way> {
        let range = self.properties.range;
        std::iter::once(way).chain(range.map(|_| outside.violating(range))).collect()
    }
}
