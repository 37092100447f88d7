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
use super::habits::Section;
use super::names::{PageId, UserId};
use super::program::Way;
use frame::Count;

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
            Verb::Lock => self.lock(&at),
            Verb::Trylock => self.trylock(&at),
            Verb::Unlock => self.unlock(&at),
            Verb::Fence => self.fence(&at),
            Verb::IrqOff => self.enter(Section::Interrupts, &at),
            Verb::IrqOn => self.leave(Section::Interrupts, &at),
            Verb::RcuReadLock => self.enter(Section::Rcu, &at),
            Verb::RcuReadUnlock => self.leave(Section::Rcu, &at),
            Verb::IpiSync => self.ipi_sync(&at),
            Verb::SynchronizeRcu => self.synchronize_rcu(&at),
            Verb::PteRead
            | Verb::PteClear
            | Verb::PteModify
            | Verb::SetPte
            | Verb::ChangePte
            | Verb::PmdRead
            | Verb::PmdClear
            | Verb::PmdModify
            | Verb::SetPmd => self.table_step(&at),
            Verb::FlushTlb | Verb::FlushTlbMm | Verb::FlushPmd => self.flush(&at),
            Verb::Notify
            | Verb::IotlbInv
            | Verb::DevtlbInv
            | Verb::FlushVcpus
            | Verb::NotifyMm
            | Verb::NotifyPmd
            | Verb::PasidInv
            | Verb::IotlbInvPasid
            | Verb::DevtlbInvPasid => self.invalidation(&at),
            Verb::NotifyStart => self.notify_start(&at),
            Verb::NotifyEnd => self.notify_end(&at),
            Verb::Walk => self.walking(&at),
            Verb::Load | Verb::DmaRead => self.translated(Access::Read, &at),
            Verb::Store | Verb::DmaWrite => {
                self.translated(Access::Write(at.filled(at.step.value.as_ref())?.node), &at)
            }
            Verb::ZapSpte | Verb::SetSpte => self.shadow(&at),
            Verb::SetPasid => self.set_pasid(&at),
            Verb::PageRequest => self.page_request(&at),
            Verb::PageResponse => self.page_response(&at),
            Verb::DrainRequests => self.drain_requests(&at),
            Verb::InvWait => self.wait(&at),
            Verb::GupFast => self.gup_fast(&at),
            Verb::TryGet => self.try_get(&at),
            Verb::Write | Verb::Read => self.direct(&at),
            Verb::Copy => self.copy(&at),
            Verb::Alloc => self.count(Count::Alloc, &at),
            Verb::Get => self.count(Count::Get, &at),
            Verb::Put => self.count(Count::Put, &at),
            Verb::Pin => self.count(Count::Pin, &at),
            Verb::Unpin => self.count(Count::Unpin, &at),
            Verb::Map => self.count(Count::Map, &at),
            Verb::Unmap => self.count(Count::Unmap, &at),
            Verb::Free => self.count(Count::Free, &at),
            Verb::MarkStable => self.count(Count::MarkStable, &at),
        }
    }

    fn fence(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        self.step(vec![at.way(Vec::new(), Vec::new())], at.line);
        Ok(())
    }

    /// Whose cache a step goes through, and for which page.
    fn translation(&self, at: &At<'_>) -> Result<(UserId, PageId), Diagnostic> {
        let user = self.own_user(at.step.verb, at.span)?;
        let page = self.page(at)?;
        self.hardware.spaces.check(user, page, at.filled(at.step.page.as_ref())?)?;
        Ok((user, page))
    }

    fn walking(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let (user, page) = self.translation(at)?;
        self.walk(user, page, &at.step.text, at.line);
        Ok(())
    }

    /// Steps through the agent's own cache.
    fn translated(&mut self, access: Access, at: &At<'_>) -> Result<(), Diagnostic> {
        let (user, page) = self.translation(at)?;
        self.access(user, page, access, (at.step.verb, &at.step.text), at.line);
        Ok(())
    }

    fn page(&self, at: &At<'_>) -> Result<PageId, Diagnostic> {
        self.names.page(at.filled(at.step.page.as_ref())?)
    }

    /// Both ways, if leaving the range is a violation; else the second waits.
    fn or_out_of_range(&self, way: Way, outside: Way) -> Vec<Way> {
        std::iter::once(way).chain(self.out_of_range(outside)).collect()
    }

    fn out_of_range(&self, outside: Way) -> Option<Way> {
        let range = self.properties.range;
        range.map(|_| outside.violating(range))
    }
}
