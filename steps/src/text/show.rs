//! How a step is shown.
//!
//! Invariant: the words and signs are those of its form, with one blank between two of them.

use std::fmt::{self, Display, Formatter};

use crate::names::Names;
use crate::step::{
    Depth, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Pages, Range, Scope, Step, Switched,
    Unanswered, Waited,
};

impl<N: Names> Display for Step<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb().name())?;
        match self {
            Self::Fence
            | Self::Enter(_)
            | Self::Leave(_)
            | Self::IpiSync
            | Self::SynchronizeRcu
            | Self::DrainRequests => Ok(()),
            Self::InvWait(waited, unanswered) => {
                flags(f, [("all", *waited == Waited::All)])?;
                match unanswered {
                    Unanswered::Waits => Ok(()),
                    Unanswered::GoesTo(label) => write!(f, " else {label}"),
                }
            }
            Self::NotifyStart(pages) | Self::NotifyEnd(pages) => write!(f, " {pages}"),
            Self::Unplug(device) => write!(f, " {device}"),
            Self::Lock(lock, mode) => write!(f, " {lock}{mode}"),
            Self::Trylock(lock, mode, label) => write!(f, " {lock}{mode} else {label}"),
            Self::Unlock(lock) => write!(f, " {lock}"),
            Self::Entry(place, what) => write!(f, " {place}{what}"),
            Self::Invalidate(invalidation) => write!(f, " {invalidation}"),
            Self::Switch(mm, tag, switched) => {
                write!(f, " {mm} tag {tag}")?;
                flags(f, [("flush", *switched == Switched::Empties)])
            }
            Self::SetPasid(_, pasid, mm) | Self::SetPasidHalf(_, _, pasid, mm) => {
                write!(f, " {pasid} -> {mm}")
            }
            Self::PageRequest(page)
            | Self::PageResponse(page)
            | Self::ChangePte(page)
            | Self::ZapSpte(page)
            | Self::Walk(page)
            | Self::Load(page)
            | Self::DmaRead(page) => write!(f, " {page}"),
            Self::ZapSpmd(pmd) => write!(f, " {pmd}"),
            Self::SetSpmd(pmd, entry) => write!(f, " {pmd} -> {entry}"),
            Self::SetSpte(page, entry) => write!(f, " {page} -> {entry}"),
            Self::Store(page, value) | Self::DmaWrite(page, value) => write!(f, " {page} = {value}"),
            Self::GupFast { page, write, pin, leaf, handle } => {
                write!(f, " {page}")?;
                flags(f, [("write", *write), ("pin", *pin), ("leaf", *leaf)])?;
                write!(f, " => {handle}")
            }
            Self::TryGet { page, write, pin, handle } => {
                write!(f, " {page}")?;
                flags(f, [("write", *write), ("pin", *pin)])?;
                write!(f, " => {handle}")
            }
            Self::Peek { page, write, handle } => {
                write!(f, " {page}")?;
                flags(f, [("write", *write)])?;
                write!(f, " => {handle}")
            }
            Self::Forget(handle) => write!(f, " {handle}"),
            Self::Write(frame, value) => write!(f, " {frame} = {value}"),
            Self::Copy(from, to) => write!(f, " {from} -> {to}"),
            Self::Read(frame) | Self::Count(_, frame) => write!(f, " {frame}"),
        }
    }
}

fn flags<const COUNT: usize>(f: &mut Formatter<'_>, flags: [(&str, bool); COUNT]) -> fmt::Result {
    flags.iter().filter(|(_, is_said)| *is_said).try_for_each(|(word, _)| write!(f, " {word}"))
}

impl Display for LockMode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "",
            Self::Shared => " shared",
        })
    }
}

impl Display for Depth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "",
            Self::Leaf => " leaf",
        })
    }
}

impl<N: Names> Display for EntryAt<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pte(page) => page.fmt(f),
            Self::Pmd(pmd) => pmd.fmt(f),
        }
    }
}

impl<N: Names> Display for EntryOf<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read | Self::Clear => Ok(()),
            Self::Set(entry) => write!(f, " -> {entry}"),
            Self::Modify(change) => write!(f, " {change}"),
        }
    }
}

impl<N: Names> Display for Pages<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(page) => page.fmt(f),
            Self::To(first, last) => write!(f, "{first} to {last}"),
        }
    }
}

impl<N: Names> Display for Range<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(page, depth) => write!(f, "{page}{depth}"),
            Self::Pages(first, last, depth) => write!(f, "{first} to {last}{depth}"),
            Self::Under(pmd, depth) => write!(f, "{pmd}{depth}"),
            Self::Mm(mm) => mm.fmt(f),
        }
    }
}

impl<N: Names> Display for Scope<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Own => f.write_str(" own"),
            Self::Others => f.write_str(" others"),
            Self::On(user) => write!(f, " on {user}"),
        }
    }
}

/// Without its verb.
impl<N: Names> Display for Invalidation<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.emptied {
            Emptied::Cpus(range) | Emptied::Devices(range) => range.fmt(f)?,
            Emptied::CpusUnder(pages, depth, tag) => write!(f, "{pages}{depth} tag {tag}")?,
            Emptied::CpusOf(tag) => tag.fmt(f)?,
            Emptied::Iotlbs(page, depth) => write!(f, "{page}{depth}")?,
            Emptied::Vcpus(pages) => pages.fmt(f)?,
            Emptied::DeviceTlbs(page) => page.fmt(f)?,
            Emptied::IotlbsOf(pasid) | Emptied::DeviceTlbsOf(pasid) | Emptied::PasidCaches(_, pasid) => {
                pasid.fmt(f)?;
            }
        }
        write!(f, "{}", self.scope)?;
        f.write_str(if self.posted { " post" } else { "" })
    }
}
