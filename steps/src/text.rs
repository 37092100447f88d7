//! Steps as text: how one is read along its form, and how one is shown.
//!
//! Invariant: what is shown is read again as the same step, and both keep to the form of the step's row.

mod show;

use crate::entry::Change;
use crate::names::Names;
use crate::step::{
    Count, Depth, Directory, Emptied, EntryAt, EntryOf, Half, Invalidation, LockMode, Pages, Range, Scope,
    Section, Step, Switched, Unanswered, Waited,
};
use crate::table::Verb;

/// Whoever has the words behind the first one.
pub trait Reader<N: Names> {
    /// Why a word cannot be taken.
    type Error;

    /// PAGE.
    ///
    /// # Errors
    /// If the next words are none.
    fn page(&mut self) -> Result<N::Page, Self::Error>;
    /// FRAME, or a handle of one.
    ///
    /// # Errors
    /// If the next words are none.
    fn frame(&mut self) -> Result<N::Frame, Self::Error>;
    /// PMD.
    ///
    /// # Errors
    /// If the next words are none.
    fn pmd(&mut self) -> Result<N::Pmd, Self::Error>;
    /// MM.
    ///
    /// # Errors
    /// If the next words are none.
    fn mm(&mut self) -> Result<N::Mm, Self::Error>;
    /// MM, or none.
    ///
    /// # Errors
    /// If the next words are none.
    fn mm_or_none(&mut self) -> Result<N::MmOrNone, Self::Error>;
    /// PASID, or CONTEXT.
    ///
    /// # Errors
    /// If the next words are none.
    fn pasid(&mut self) -> Result<N::Pasid, Self::Error>;
    /// TAG.
    ///
    /// # Errors
    /// If the next words are none.
    fn tag(&mut self) -> Result<N::Tag, Self::Error>;
    /// CPU, VCPU or DEVICE.
    ///
    /// # Errors
    /// If the next words are none.
    fn user(&mut self) -> Result<N::User, Self::Error>;
    /// LOCK.
    ///
    /// # Errors
    /// If the next words are none.
    fn lock(&mut self) -> Result<N::Lock, Self::Error>;
    /// HANDLE.
    ///
    /// # Errors
    /// If the next words are none.
    fn handle(&mut self) -> Result<N::Handle, Self::Error>;
    /// LABEL.
    ///
    /// # Errors
    /// If the next words are none.
    fn label(&mut self) -> Result<N::Label, Self::Error>;
    /// ENTRY.
    ///
    /// # Errors
    /// If the next words are none.
    fn entry(&mut self) -> Result<N::Entry, Self::Error>;
    /// VALUE.
    ///
    /// # Errors
    /// If the next words are none.
    fn value(&mut self) -> Result<N::Value, Self::Error>;
    /// BITS.
    ///
    /// # Errors
    /// If the next words are none.
    fn bits(&mut self) -> Result<Change, Self::Error>;
    /// A sign or a word of the form.
    ///
    /// # Errors
    /// If the next word is another.
    fn sign(&mut self, sign: &'static str) -> Result<(), Self::Error>;
    /// Whether a word that may be left out comes next; it is taken.
    fn flag(&mut self, word: &'static str) -> bool;
}

/// The step that begins with `verb`, with the places that `reader` finds.
///
/// # Errors
/// Those of `reader`.
#[expect(clippy::too_many_lines, reason = "a line for each word")]
pub fn read<N: Names, R: Reader<N>>(verb: Verb, reader: &mut R) -> Result<Step<N>, R::Error> {
    Ok(match verb {
        Verb::Lock => Step::Lock(reader.lock()?, mode(reader)),
        Verb::Trylock => Step::Trylock(reader.lock()?, mode(reader), otherwise(reader)?),
        Verb::Unlock => Step::Unlock(reader.lock()?),
        Verb::Fence => Step::Fence,
        Verb::IrqOff => Step::Enter(Section::Interrupts),
        Verb::IrqOn => Step::Leave(Section::Interrupts),
        Verb::IpiSync => Step::IpiSync,
        Verb::RcuReadLock => Step::Enter(Section::Rcu),
        Verb::RcuReadUnlock => Step::Leave(Section::Rcu),
        Verb::SynchronizeRcu => Step::SynchronizeRcu,
        Verb::PteRead => Step::Entry(EntryAt::Pte(reader.page()?), EntryOf::Read),
        Verb::PteClear => Step::Entry(EntryAt::Pte(reader.page()?), EntryOf::Clear),
        Verb::SetPte => Step::Entry(EntryAt::Pte(reader.page()?), EntryOf::Set(becomes(reader)?)),
        Verb::PteModify => Step::Entry(EntryAt::Pte(reader.page()?), EntryOf::Modify(reader.bits()?)),
        Verb::PmdRead => Step::Entry(EntryAt::Pmd(reader.pmd()?), EntryOf::Read),
        Verb::PmdClear => Step::Entry(EntryAt::Pmd(reader.pmd()?), EntryOf::Clear),
        Verb::SetPmd => Step::Entry(EntryAt::Pmd(reader.pmd()?), EntryOf::Set(becomes(reader)?)),
        Verb::PmdModify => Step::Entry(EntryAt::Pmd(reader.pmd()?), EntryOf::Modify(reader.bits()?)),
        Verb::FlushTlb => flush_tlb(reader)?,
        Verb::Notify => invalidate(Emptied::Devices(page(reader)?), reader)?,
        Verb::IotlbInv => invalidate(Emptied::Iotlbs(reader.page()?, depth(reader)), reader)?,
        Verb::DevtlbInv => invalidate(Emptied::DeviceTlbs(reader.page()?), reader)?,
        Verb::FlushTlbMm => flush(Emptied::Cpus(Range::Mm(reader.mm()?)), reader)?,
        Verb::NotifyMm => invalidate(Emptied::Devices(Range::Mm(reader.mm()?)), reader)?,
        Verb::FlushPmd => flush(Emptied::Cpus(under(reader)?), reader)?,
        Verb::NotifyPmd => invalidate(Emptied::Devices(under(reader)?), reader)?,
        Verb::Switch => switch(reader)?,
        Verb::FlushTag => flush(Emptied::CpusOf(reader.tag()?), reader)?,
        Verb::SetPasid => Step::SetPasid(Directory::Pasids, reader.pasid()?, named(reader)?),
        Verb::SetPasidLow => set_half(Directory::Pasids, Half::Low, reader)?,
        Verb::SetPasidHigh => set_half(Directory::Pasids, Half::High, reader)?,
        Verb::PasidInv => invalidate(Emptied::PasidCaches(Directory::Pasids, reader.pasid()?), reader)?,
        Verb::SetContext => Step::SetPasid(Directory::Contexts, reader.pasid()?, named(reader)?),
        Verb::SetContextLow => set_half(Directory::Contexts, Half::Low, reader)?,
        Verb::SetContextHigh => set_half(Directory::Contexts, Half::High, reader)?,
        Verb::ContextInv => invalidate(Emptied::PasidCaches(Directory::Contexts, reader.pasid()?), reader)?,
        Verb::IotlbInvPasid => invalidate(Emptied::IotlbsOf(reader.pasid()?), reader)?,
        Verb::DevtlbInvPasid => invalidate(Emptied::DeviceTlbsOf(reader.pasid()?), reader)?,
        Verb::InvWait => Step::InvWait(waited(reader), unanswered(reader)?),
        Verb::Unplug => Step::Unplug(reader.user()?),
        Verb::PageRequest => Step::PageRequest(reader.page()?),
        Verb::PageResponse => Step::PageResponse(reader.page()?),
        Verb::DrainRequests => Step::DrainRequests,
        Verb::NotifyStart => Step::NotifyStart(pages(reader)?),
        Verb::NotifyEnd => Step::NotifyEnd(pages(reader)?),
        Verb::ChangePte => Step::ChangePte(reader.page()?),
        Verb::ZapSpte => Step::ZapSpte(reader.page()?),
        Verb::SetSpte => Step::SetSpte(reader.page()?, becomes(reader)?),
        Verb::ZapSpmd => Step::ZapSpmd(reader.pmd()?),
        Verb::SetSpmd => Step::SetSpmd(reader.pmd()?, becomes(reader)?),
        Verb::FlushVcpus => invalidate(Emptied::Vcpus(pages(reader)?), reader)?,
        Verb::Walk => Step::Walk(reader.page()?),
        Verb::Load => Step::Load(reader.page()?),
        Verb::Store => Step::Store(reader.page()?, stored(reader)?),
        Verb::DmaRead => Step::DmaRead(reader.page()?),
        Verb::DmaWrite => Step::DmaWrite(reader.page()?, stored(reader)?),
        Verb::GupFast => gup_fast(reader)?,
        Verb::TryGet => try_get(reader)?,
        Verb::Peek => peek(reader)?,
        Verb::Forget => Step::Forget(reader.handle()?),
        Verb::Write => Step::Write(reader.frame()?, stored(reader)?),
        Verb::Read => Step::Read(reader.frame()?),
        Verb::Copy => Step::Copy(reader.frame()?, target(reader)?),
        Verb::Alloc => Step::Count(Count::Alloc, reader.frame()?),
        Verb::Get => Step::Count(Count::Get, reader.frame()?),
        Verb::Put => Step::Count(Count::Put, reader.frame()?),
        Verb::Pin => Step::Count(Count::Pin, reader.frame()?),
        Verb::Unpin => Step::Count(Count::Unpin, reader.frame()?),
        Verb::Map => Step::Count(Count::Map, reader.frame()?),
        Verb::Unmap => Step::Count(Count::Unmap, reader.frame()?),
        Verb::Free => Step::Count(Count::Free, reader.frame()?),
        Verb::MarkStable => Step::Count(Count::MarkStable, reader.frame()?),
    })
}

fn mode<N: Names, R: Reader<N>>(reader: &mut R) -> LockMode {
    if reader.flag("shared") { LockMode::Shared } else { LockMode::Exclusive }
}

fn depth<N: Names, R: Reader<N>>(reader: &mut R) -> Depth {
    if reader.flag("leaf") { Depth::Leaf } else { Depth::All }
}

fn otherwise<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Label, R::Error> {
    reader.sign("else")?;
    reader.label()
}

/// PAGE [to PAGE]
fn pages<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Pages<N>, R::Error> {
    let first = reader.page()?;
    Ok(if reader.flag("to") { Pages::To(first, reader.page()?) } else { Pages::One(first) })
}

fn waited<N: Names, R: Reader<N>>(reader: &mut R) -> Waited {
    if reader.flag("all") { Waited::All } else { Waited::Own }
}

fn unanswered<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Unanswered<N>, R::Error> {
    Ok(if reader.flag("else") { Unanswered::GoesTo(reader.label()?) } else { Unanswered::Waits })
}

fn becomes<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Entry, R::Error> {
    reader.sign("->")?;
    reader.entry()
}

fn stored<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Value, R::Error> {
    reader.sign("=")?;
    reader.value()
}

fn named<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::MmOrNone, R::Error> {
    reader.sign("->")?;
    reader.mm_or_none()
}

fn set_half<N: Names, R: Reader<N>>(
    directory: Directory,
    half: Half,
    reader: &mut R,
) -> Result<Step<N>, R::Error> {
    Ok(Step::SetPasidHalf(directory, half, reader.pasid()?, named(reader)?))
}

fn target<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Frame, R::Error> {
    reader.sign("->")?;
    reader.frame()
}

fn gup_fast<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Step<N>, R::Error> {
    let (page, write, pin) = grab(reader)?;
    Ok(Step::GupFast { page, write, pin, leaf: reader.flag("leaf"), handle: handle(reader)? })
}

fn try_get<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Step<N>, R::Error> {
    let (page, write, pin) = grab(reader)?;
    Ok(Step::TryGet { page, write, pin, handle: handle(reader)? })
}

fn peek<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Step<N>, R::Error> {
    Ok(Step::Peek { page: reader.page()?, write: reader.flag("write"), handle: handle(reader)? })
}

fn handle<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Handle, R::Error> {
    reader.sign("=>")?;
    reader.handle()
}

/// PAGE [write] [pin]
fn grab<N: Names, R: Reader<N>>(reader: &mut R) -> Result<(N::Page, bool, bool), R::Error> {
    Ok((reader.page()?, reader.flag("write"), reader.flag("pin")))
}

fn page<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Range<N>, R::Error> {
    Ok(match pages(reader)? {
        Pages::One(page) => Range::Page(page, depth(reader)),
        Pages::To(first, last) => Range::Pages(first, last, depth(reader)),
    })
}

fn under<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Range<N>, R::Error> {
    Ok(Range::Under(reader.pmd()?, depth(reader)))
}

/// PAGE [to PAGE] [leaf] [tag TAG]
fn flush_tlb<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Step<N>, R::Error> {
    let (pages, depth) = (pages(reader)?, depth(reader));
    let emptied = match pages {
        pages if reader.flag("tag") => Emptied::CpusUnder(pages, depth, reader.tag()?),
        Pages::One(page) => Emptied::Cpus(Range::Page(page, depth)),
        Pages::To(first, last) => Emptied::Cpus(Range::Pages(first, last, depth)),
    };
    flush(emptied, reader)
}

/// MM tag TAG [flush]
fn switch<N: Names, R: Reader<N>>(reader: &mut R) -> Result<Step<N>, R::Error> {
    let (mm, tag) = (reader.mm()?, tagged(reader)?);
    let switched = if reader.flag("flush") { Switched::Empties } else { Switched::Keeps };
    Ok(Step::Switch(mm, tag, switched))
}

/// tag TAG
fn tagged<N: Names, R: Reader<N>>(reader: &mut R) -> Result<N::Tag, R::Error> {
    reader.sign("tag")?;
    reader.tag()
}

/// Of devices or vCPUs, all of them or one.
fn invalidate<N: Names, R: Reader<N>>(emptied: Emptied<N>, reader: &mut R) -> Result<Step<N>, R::Error> {
    let scope = if reader.flag("on") { Scope::On(reader.user()?) } else { Scope::All };
    Ok(Step::Invalidate(Invalidation { emptied, scope, posted: reader.flag("post") }))
}

/// Of CPUs, among which is the one that takes the step.
fn flush<N: Names, R: Reader<N>>(emptied: Emptied<N>, reader: &mut R) -> Result<Step<N>, R::Error> {
    let scope = match () {
        () if reader.flag("own") => Scope::Own,
        () if reader.flag("others") => Scope::Others,
        () if reader.flag("on") => Scope::On(reader.user()?),
        () => Scope::All,
    };
    Ok(Step::Invalidate(Invalidation { emptied, scope, posted: reader.flag("post") }))
}

#[cfg(test)]
mod tests;
