//! A report for people.
//!
//! Invariant: the first line says who used what and what it should have been; the rest says why, oldest first, and of
//! many invalidations those that were meant for the page, and the last ones.

use std::fmt;

use mmu::address::{Access, PageSize};
use mmu::cache::Translation;

use crate::spec::descriptor::Descriptor;
use crate::spec::descriptor::words::InWords;
use crate::stale::{Change, Ground, Holder, Kind, Missed, Moment, StaleUse, Why};

/// Invalidations that are shown at most; JSON has them all.
const MOST_SHOWN: usize = 16;

impl fmt::Display for StaleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f)?;
        write!(f, "\n  filled {}, used {}", self.filled, Uses(self.used, self.uses))?;
        write!(f, "\n  counts because {}", self.ground)?;
        write!(f, "\n  changed: {}", self.change)?;
        write!(f, "\n  mistake: {}", self.mistake())?;
        write_received(f, &self.received, self.forgotten)?;
        write_queued(f, &self.queued)?;
        write!(f, "\n  would have helped:")?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "\n    {}", InWords(remedy)))
    }
}

/// What the unit has not come to yet.
pub(super) fn write_queued(f: &mut fmt::Formatter<'_>, queued: &[Descriptor]) -> fmt::Result {
    if !queued.is_empty() {
        write!(f, "\n  queued, not carried out yet:")?;
    }
    queued.iter().take(MOST_SHOWN).try_for_each(|queued| write!(f, "\n    {}", InWords(queued)))
}

/// The invalidations that did not help.
pub(super) fn write_received(f: &mut fmt::Formatter<'_>, received: &[Missed], forgotten: u64) -> fmt::Result {
    if forgotten > 0 {
        write!(f, "\n  received since, after {forgotten} that are not remembered:")?;
    } else if received.is_empty() {
        write!(f, "\n  no invalidation was received since")?;
    } else {
        write!(f, "\n  received since:")?;
    }
    let left_out = received.len().saturating_sub(MOST_SHOWN);
    let mut shown: Vec<&Missed> = received.iter().collect();
    if left_out > 0 {
        write!(f, "\n    {left_out} that are not shown, none of which helped")?;
        shown.sort_by_key(|missed| (missed.meant, missed.at));
        shown.drain(..left_out);
        shown.sort_by_key(|missed| missed.at);
    }
    for missed in shown {
        write!(f, "\n    {}: {missed}", missed.at)?;
    }
    Ok(())
}

/// When something was used first, and how often.
pub(super) struct Uses(pub(super) Moment, pub(super) u64);

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            1 => write!(f, "{}", self.0),
            2 => write!(f, "{} and once more", self.0),
            uses => write!(f, "{} and {} times more", self.0, uses - 1),
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "every use between a change and its invalidation is to count",
            Self::FrameReused => "the frame was somebody else's before an invalidation was complete",
            Self::TableReused => "the table was mapped as a page before an invalidation was complete",
            Self::ChangedAgain => "it was changed again before an invalidation of it came",
            Self::TimeOver => "no invalidation that helps was complete in time",
            Self::TheEnd => "no invalidation that helps was complete when the guest ended",
        })
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", InWords(&self.invalidation), self.why)
    }
}

impl StaleUse {
    /// Who used what, and what the tables say, in a sentence.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut text = String::new();
        let written = self.write_headline(&mut text);
        written.expect("a text takes whatever is written");
        text
    }

    /// The smallest invalidations that would have helped, in words.
    #[must_use]
    pub fn would_have_helped(&self) -> Vec<String> {
        self.remedy.iter().map(|remedy| InWords(remedy).to_string()).collect()
    }

    /// What is cached, in words.
    #[must_use]
    pub fn held(&self) -> String {
        match &self.cached {
            Ok(cached) => page(cached),
            Err(reason) => format!("none: {reason}"),
        }
    }

    fn write_headline(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, "stale use: {}", self.requester.source)?;
        if let Some(pasid) = self.requester.pasid {
            write!(f, " with {pasid}")?;
        }
        let (access, address, holder) = (self.request.access, self.request.address, self.holder);
        if let Kind::Table(table) = self.kind {
            return write!(
                f,
                " made the unit read the page table at {table}, which the tables do not lead to any more, to {} {address}",
                infinitive(access)
            );
        }
        match &self.cached {
            Ok(cached) => write!(f, " {} {address} through {holder}, reached {}", verb(access), page(cached)),
            Err(reason) if matches!(self.kind, Kind::Refusal | Kind::NoRoute) => {
                write!(f, " was refused {address} through {holder}, because {reason}")
            }
            Err(reason) => write!(f, " was refused {address} by {holder}, because {reason}"),
        }?;
        match &self.now {
            Ok(now) if self.cached.is_ok_and(|cached| now.pfn == cached.pfn && now.size == cached.size) => {
                f.write_str(", which the tables protect now")
            }
            Ok(now) => write!(f, ", where the tables have {}", page(now)),
            Err(reason) => write!(f, ", but now {reason}"),
        }
    }
}

const fn infinitive(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

const fn verb(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "wrote",
    }
}

pub(super) fn page(translation: &Translation) -> String {
    let size = match translation.size {
        PageSize::Size4K => "4K",
        PageSize::Size2M => "2M",
        PageSize::Size1G => "1G",
    };
    format!("{size} page {}", translation.pfn.address())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iotlb => "the IOTLB",
            Self::TableCaches => "cached table entries",
            Self::DeviceTlb => "its device TLB",
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} ({:.3} ms)", self.event, self.elapsed.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, {:#x}", self.table, self.place, self.was)?;
        match self.is {
            Some(is) => write!(f, " -> {is:#x}"),
            None => f.write_str(" -> outside memory"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherDomain => "another domain",
            Self::OtherPasid => "another PASID, or none",
            Self::OtherPages => "other pages",
            Self::OtherEntries => "other entries",
            Self::EntriesOfTheirOwn => "other entries, which may have changed themselves",
            Self::OtherDevice => "another device",
            Self::DeviceTlbOnly => "for a device TLB only, the IOTLB kept it",
            Self::IotlbOnly => "for the IOTLB only, the device TLB kept it",
            Self::BeforeIotlb => "before the IOTLB's, from which the device took it again",
            Self::HintSet => "IH was set, so a paging-structure cache kept the entry above",
            Self::TableEntryKept => "the cached PASID or context entry still led to the old table",
            Self::TableEntriesOnly => "for cached table entries only, the translation stayed",
            Self::NotCarriedOut => "not carried out, or not answered yet",
        })
    }
}
