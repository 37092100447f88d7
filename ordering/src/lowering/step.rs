//! What each step reads and writes: the meaning behind [`steps::Step`].
//!
//! Invariant: a step has one meaning here; what hardware or the kernel does in two is two nodes.

mod frame;
mod gup;
pub(super) mod invalidation;
mod lock;
mod page_request;
mod peek;
mod section;
mod shadow;
mod table;

use crate::language::Diagnostic;
use crate::language::span::{Name, Span};
use crate::language::syntax::{Spoken, Step};
use crate::model::{Guard, Update};

use super::access::Access;
use super::emitter::Emitter;
use super::event::Happening;
use super::names::{PageId, UserId};
use super::program::Way;
use gup::Asked;
use steps::CacheKind;
use steps::table::Verb;

/// How a step is shown, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    pub(super) verb: Verb,
    pub(super) text: &'s str,
    pub(super) span: Span,
    pub(super) line: u32,
}

impl<'s> At<'s> {
    /// Of a step in a program.
    pub(super) fn of(spoken: &'s Spoken, span: Span, line: u32) -> Self {
        Self { verb: spoken.step.verb(), text: &spoken.text, span, line }
    }
}

impl At<'_> {
    /// The step as properties look for it.
    pub(super) fn happening(&self) -> Happening {
        Happening::Step(self.verb, self.text.to_owned())
    }

    pub(super) fn way(&self, guard: Vec<Guard>, updates: Vec<Update>) -> Way {
        Way::new(guard, updates, self.text).happening(self.happening())
    }
}

impl Emitter<'_> {
    /// One step that this agent may take.
    pub(super) fn one(&mut self, step: &Step, at: &At<'_>) -> Result<(), Diagnostic> {
        match step {
            Step::Lock(lock, mode) => self.lock(lock, *mode, at),
            Step::Trylock(lock, mode, label) => self.trylock(lock, *mode, label, at),
            Step::Unlock(lock) => self.unlock(lock, at),
            Step::Fence => self.fence(at),
            Step::Enter(section) => self.enter(*section, at),
            Step::Leave(section) => self.leave(*section, at),
            Step::IpiSync => self.ipi_sync(at),
            Step::SynchronizeRcu => self.synchronize_rcu(at),
            Step::Entry(place, what) => self.table_step(place, what, at),
            Step::ChangePte(page) => self.change_pte(page, at),
            Step::Invalidate(invalidation) if invalidation.posted => self.posted(invalidation, at),
            Step::Invalidate(invalidation) => match invalidation.caches() {
                CacheKind::Cpus => self.flush(invalidation, at),
                CacheKind::Vcpus
                | CacheKind::Devices
                | CacheKind::Iotlbs
                | CacheKind::DeviceTlbs
                | CacheKind::PasidCaches => self.invalidation(invalidation, at),
            },
            Step::InvWait(waited, unanswered) => self.wait(*waited, unanswered, at),
            Step::Unplug(device) => self.unplug(device, at),
            Step::NotifyStart(page) => self.notify_start(page, at),
            Step::NotifyEnd(page) => self.notify_end(page, at),
            Step::Walk(page) => self.walking(page, at),
            Step::Load(page) | Step::DmaRead(page) => self.translated(Access::Read, page, at),
            Step::Store(page, value) | Step::DmaWrite(page, value) => {
                self.translated(Access::Write(value.node), page, at)
            }
            Step::ZapSpte(page) => self.zap_spte(page, at),
            Step::SetSpte(page, entry) => self.set_spte(page, entry, at),
            Step::ZapSpmd(pmd) => self.zap_spmd(pmd, at),
            Step::SetSpmd(pmd, entry) => self.set_spmd(pmd, entry, at),
            Step::Switch(mm, tag, switched) => self.switch(mm, tag, *switched, at),
            Step::SetPasid(directory, pasid, mm) => self.set_pasid(*directory, pasid, mm, at),
            Step::SetPasidHalf(directory, half, pasid, mm) => {
                self.set_pasid_half((*directory, *half), pasid, mm, at)
            }
            Step::PageRequest(page) => self.page_request(page, at),
            Step::PageResponse(page) => self.page_response(page, at),
            Step::DrainRequests => self.drain_requests(at),
            Step::GupFast { page, write, pin, leaf, handle } => {
                self.gup_fast(&Asked { page, handle, write: *write, pin: *pin, leaf: *leaf }, at)
            }
            Step::TryGet { page, write, pin, handle } => {
                self.try_get(&Asked { page, handle, write: *write, pin: *pin, leaf: false }, at)
            }
            Step::Peek { page, write, handle } => self.peek(page, *write, handle, at),
            Step::Forget(handle) => self.forget_handle(handle, at),
            Step::Write(frame, value) => self.direct(frame, Access::Write(value.node), at),
            Step::Read(frame) => self.direct(frame, Access::Read, at),
            Step::Copy(from, to) => self.copy(from, to, at),
            Step::Count(count, frame) => self.count(*count, frame, at),
        }
    }

    fn fence(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        self.step(vec![at.way(Vec::new(), Vec::new())], at.line);
        Ok(())
    }

    /// Whose cache a step goes through, and for which page.
    fn translation(&self, name: &Name, at: &At<'_>) -> Result<(UserId, PageId), Diagnostic> {
        let user = self.own_user(at.verb, at.span)?;
        let page = self.scope.names.page(name)?;
        self.scope.hardware.spaces.check(user, page, name)?;
        self.scope.hardware.tags.check(user, self.scope.names.kinds[user.0], page, name)?;
        Ok((user, page))
    }

    fn walking(&mut self, page: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let (user, page) = self.translation(page, at)?;
        self.walk(user, page, at.text, at.line);
        Ok(())
    }

    /// Steps through the agent's own cache.
    fn translated(&mut self, access: Access, page: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let (user, page) = self.translation(page, at)?;
        self.access(user, page, access, (at.verb, at.text), at.line);
        Ok(())
    }

    /// Both ways, if leaving the range is a violation; else the second waits.
    fn or_out_of_range(&self, way: Way, outside: Way) -> Vec<Way> {
        std::iter::once(way).chain(self.out_of_range(outside)).collect()
    }

    fn out_of_range(&self, outside: Way) -> Option<Way> {
        let range = self.scope.properties.range;
        range.map(|_| outside.violating(range))
    }
}
