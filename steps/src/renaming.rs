//! A step under other names.
//!
//! Invariant: the step stays what it is; only what stands at its places is named otherwise.

use crate::names::Names;
use crate::step::{Emptied, EntryAt, EntryOf, Invalidation, Pages, Range, Scope, Step, Unanswered};

/// Gives each place another name.
pub trait Renaming<From: Names, To: Names> {
    /// The name of a page.
    fn page(&self, page: &From::Page) -> To::Page;
    /// The name of a frame.
    fn frame(&self, frame: &From::Frame) -> To::Frame;
    /// The name of an upper entry.
    fn pmd(&self, pmd: &From::Pmd) -> To::Pmd;
    /// The name of an address space.
    fn mm(&self, mm: &From::Mm) -> To::Mm;
    /// The name of an address space, or none.
    fn mm_or_none(&self, mm_or_none: &From::MmOrNone) -> To::MmOrNone;
    /// The name of a PASID.
    fn pasid(&self, pasid: &From::Pasid) -> To::Pasid;
    /// The name of a tag.
    fn tag(&self, tag: &From::Tag) -> To::Tag;
    /// The name of a CPU, a vCPU or a device.
    fn user(&self, user: &From::User) -> To::User;
    /// The name of a lock.
    fn lock(&self, lock: &From::Lock) -> To::Lock;
    /// The name of a handle.
    fn handle(&self, handle: &From::Handle) -> To::Handle;
    /// The name of a label.
    fn label(&self, label: &From::Label) -> To::Label;
    /// The name of an entry.
    fn entry(&self, entry: &From::Entry) -> To::Entry;
    /// The name of a value.
    fn value(&self, value: &From::Value) -> To::Value;
}

impl<N: Names> Step<N> {
    /// The step under the names that `by` gives.
    #[must_use]
    pub fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Step<M> {
        match self {
            Self::Lock(lock, mode) => Step::Lock(by.lock(lock), *mode),
            Self::Trylock(lock, mode, label) => Step::Trylock(by.lock(lock), *mode, by.label(label)),
            Self::Unlock(lock) => Step::Unlock(by.lock(lock)),
            Self::Fence => Step::Fence,
            Self::Enter(section) => Step::Enter(*section),
            Self::Leave(section) => Step::Leave(*section),
            Self::IpiSync => Step::IpiSync,
            Self::SynchronizeRcu => Step::SynchronizeRcu,
            Self::Entry(at, what) => Step::Entry(at.renamed(by), what.renamed(by)),
            Self::Invalidate(invalidation) => Step::Invalidate(invalidation.renamed(by)),
            Self::Switch(mm, tag, switched) => Step::Switch(by.mm(mm), by.tag(tag), *switched),
            Self::SetPasid(directory, pasid, mm) => {
                Step::SetPasid(*directory, by.pasid(pasid), by.mm_or_none(mm))
            }
            Self::SetPasidHalf(directory, half, pasid, mm) => {
                Step::SetPasidHalf(*directory, *half, by.pasid(pasid), by.mm_or_none(mm))
            }
            Self::InvWait(waited, unanswered) => Step::InvWait(*waited, unanswered.renamed(by)),
            Self::Unplug(device) => Step::Unplug(by.user(device)),
            Self::PageRequest(page) => Step::PageRequest(by.page(page)),
            Self::PageResponse(page) => Step::PageResponse(by.page(page)),
            Self::DrainRequests => Step::DrainRequests,
            Self::NotifyStart(pages) => Step::NotifyStart(pages.renamed(by)),
            Self::NotifyEnd(pages) => Step::NotifyEnd(pages.renamed(by)),
            Self::ChangePte(page) => Step::ChangePte(by.page(page)),
            Self::ZapSpte(page) => Step::ZapSpte(by.page(page)),
            Self::SetSpte(page, entry) => Step::SetSpte(by.page(page), by.entry(entry)),
            Self::ZapSpmd(pmd) => Step::ZapSpmd(by.pmd(pmd)),
            Self::SetSpmd(pmd, entry) => Step::SetSpmd(by.pmd(pmd), by.entry(entry)),
            Self::Walk(page) => Step::Walk(by.page(page)),
            Self::Load(page) => Step::Load(by.page(page)),
            Self::Store(page, value) => Step::Store(by.page(page), by.value(value)),
            Self::DmaRead(page) => Step::DmaRead(by.page(page)),
            Self::DmaWrite(page, value) => Step::DmaWrite(by.page(page), by.value(value)),
            Self::GupFast { page, write, pin, leaf, handle } => {
                let (page, handle) = (by.page(page), by.handle(handle));
                Step::GupFast { page, write: *write, pin: *pin, leaf: *leaf, handle }
            }
            Self::TryGet { page, write, pin, handle } => {
                Step::TryGet { page: by.page(page), write: *write, pin: *pin, handle: by.handle(handle) }
            }
            Self::Peek { page, write, handle } => {
                Step::Peek { page: by.page(page), write: *write, handle: by.handle(handle) }
            }
            Self::Forget(handle) => Step::Forget(by.handle(handle)),
            Self::Write(frame, value) => Step::Write(by.frame(frame), by.value(value)),
            Self::Read(frame) => Step::Read(by.frame(frame)),
            Self::Copy(from, to) => Step::Copy(by.frame(from), by.frame(to)),
            Self::Count(count, frame) => Step::Count(*count, by.frame(frame)),
        }
    }
}

impl<N: Names> Invalidation<N> {
    /// The invalidation under the names that `by` gives.
    #[must_use]
    pub fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Invalidation<M> {
        let Self { emptied, scope, posted } = self;
        Invalidation { emptied: emptied.renamed(by), scope: scope.renamed(by), posted: *posted }
    }
}

impl<N: Names> EntryAt<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> EntryAt<M> {
        match self {
            Self::Pte(page) => EntryAt::Pte(by.page(page)),
            Self::Pmd(pmd) => EntryAt::Pmd(by.pmd(pmd)),
        }
    }
}

impl<N: Names> EntryOf<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> EntryOf<M> {
        match self {
            Self::Read => EntryOf::Read,
            Self::Clear => EntryOf::Clear,
            Self::Set(entry) => EntryOf::Set(by.entry(entry)),
            Self::Modify(change) => EntryOf::Modify(*change),
        }
    }
}

impl<N: Names> Emptied<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Emptied<M> {
        match self {
            Self::Cpus(range) => Emptied::Cpus(range.renamed(by)),
            Self::CpusUnder(pages, depth, tag) => Emptied::CpusUnder(pages.renamed(by), *depth, by.tag(tag)),
            Self::CpusOf(tag) => Emptied::CpusOf(by.tag(tag)),
            Self::Vcpus(pages) => Emptied::Vcpus(pages.renamed(by)),
            Self::Devices(range) => Emptied::Devices(range.renamed(by)),
            Self::Iotlbs(page, depth) => Emptied::Iotlbs(by.page(page), *depth),
            Self::IotlbsOf(pasid) => Emptied::IotlbsOf(by.pasid(pasid)),
            Self::DeviceTlbs(page) => Emptied::DeviceTlbs(by.page(page)),
            Self::DeviceTlbsOf(pasid) => Emptied::DeviceTlbsOf(by.pasid(pasid)),
            Self::PasidCaches(directory, pasid) => Emptied::PasidCaches(*directory, by.pasid(pasid)),
        }
    }
}

impl<N: Names> Pages<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Pages<M> {
        match self {
            Self::One(page) => Pages::One(by.page(page)),
            Self::To(first, last) => Pages::To(by.page(first), by.page(last)),
        }
    }
}

impl<N: Names> Unanswered<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Unanswered<M> {
        match self {
            Self::Waits => Unanswered::Waits,
            Self::GoesTo(label) => Unanswered::GoesTo(by.label(label)),
        }
    }
}

impl<N: Names> Scope<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Scope<M> {
        match self {
            Self::All => Scope::All,
            Self::Own => Scope::Own,
            Self::Others => Scope::Others,
            Self::On(user) => Scope::On(by.user(user)),
        }
    }
}

impl<N: Names> Range<N> {
    fn renamed<M: Names>(&self, by: &impl Renaming<N, M>) -> Range<M> {
        match self {
            Self::Page(page, depth) => Range::Page(by.page(page), *depth),
            Self::Pages(first, last, depth) => Range::Pages(by.page(first), by.page(last), *depth),
            Self::Under(pmd, depth) => Range::Under(by.pmd(pmd), *depth),
            Self::Mm(mm) => Range::Mm(by.mm(mm)),
        }
    }
}
