//! What happens in a unit, for whoever lists it: each with the number and the time that reports cite.
//!
//! Invariant: whoever listens changes nothing: not what is cached, and not what is reported. He is told on misses and on cold
//! paths alone, where the watch is told anyway.

use std::fmt;

use mmu::address::{Access, VirtAddr};
use mmu::cache::Translation;
use pcie::{Request, Requester, SourceId};

use crate::spec::descriptor::Descriptor;
use crate::spec::descriptor::words::InWords;
use crate::spec::fault::{FaultReason, FaultRecord};
use crate::stale::text;
use crate::vtd::{Moment, Reading, SpaceKey, Table};

/// Whoever is told.
pub trait Listener: fmt::Debug + Send + Sync {
    /// It happened then. Software may be at the unit's registers, and be waiting: nobody is to be waited for, and the unit not to
    /// be asked anything but the time.
    fn hear(&self, at: Moment, told: &Told<'_>);
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// An entry of a table was read on the way to a requester's tables, and its cache has it.
    Entry(Requester, &'a Reading),
    /// An entry of the table of interrupts was read, and is cached.
    InterruptEntry(SourceId, u16),
    /// A walk begins, of which more is told when it ends, if it is looked at.
    WalkBegins,
    /// A walk has ended, which began with the event of that number.
    Walked {
        /// For whom.
        requester: Requester,
        /// For what.
        request: &'a Request,
        /// The number of its event.
        began: u64,
        /// What it found.
        outcome: Result<Translation, FaultReason>,
    },
    /// The IOTLB has a translation, or that there is none.
    Iotlb(Fill),
    /// A device's TLB has a translation.
    DeviceTlb(Fill),
    /// A requester's addresses pass as they are: its route is cached, and says so.
    Passing(Requester),
    /// An invalidation was received.
    Invalidated {
        /// Which.
        invalidation: &'a Descriptor,
        /// Whether it is carried out now.
        carried_out: bool,
    },
    /// A wait is complete, and so is all that was received before.
    Waited,
    /// A device has emptied its own TLB.
    Emptied(SourceId),
    /// A device is given up: it does not answer.
    GivenUp(SourceId),
    /// A request or an interrupt was blocked.
    Fault(&'a FaultRecord),
}

/// What a cache has from now on.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// For whom.
    pub requester: Requester,
    /// Whose it is, as invalidations name it.
    pub space: SpaceKey,
    /// The page, or an address in it.
    pub address: VirtAddr,
    /// What it leads to; none if it leads nowhere.
    pub translation: Option<Translation>,
}

/// Which part of the unit something happened in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// The queue of invalidations, and the registers that do the same.
    Invalidations,
    /// The IOTLB.
    Iotlb,
    /// The cache of root and context entries.
    ContextCache,
    /// The cache of PASID entries.
    PasidCache,
    /// The cache of interrupt entries.
    InterruptCache,
    /// The walker, for that function.
    Walker(SourceId),
    /// The fault log.
    Faults,
    /// A device's TLB.
    DeviceTlb(SourceId),
}

impl Told<'_> {
    /// Where it happened; none for what is drawn with something else.
    #[must_use]
    pub const fn part(&self) -> Option<Part> {
        Some(match self {
            Self::WalkBegins => return None,
            Self::Entry(requester, reading) => match reading.table {
                Table::Root | Table::Context => Part::ContextCache,
                Table::PasidDirectory | Table::Pasid => Part::PasidCache,
                Table::FirstStage { .. } | Table::SecondStage { .. } => Part::Walker(requester.source),
            },
            Self::InterruptEntry(..) => Part::InterruptCache,
            Self::Walked { requester, .. } => Part::Walker(requester.source),
            Self::Iotlb(_) => Part::Iotlb,
            Self::Passing(_) => Part::ContextCache,
            Self::DeviceTlb(Fill { requester, .. }) => Part::DeviceTlb(requester.source),
            Self::Emptied(source) | Self::GivenUp(source) => Part::DeviceTlb(*source),
            Self::Invalidated { .. } | Self::Waited => Part::Invalidations,
            Self::Fault(_) => Part::Faults,
        })
    }

    /// The number of its event, if it has one: a report that cites the number means it.
    #[must_use]
    pub const fn event(&self, at: Moment) -> Option<u64> {
        match self {
            Self::Walked { began, .. } => Some(*began),
            Self::WalkBegins
            | Self::InterruptEntry(..)
            | Self::Iotlb(_)
            | Self::DeviceTlb(_)
            | Self::Passing(_)
            | Self::Invalidated { .. }
            | Self::Waited => Some(at.event),
            Self::Entry(..) | Self::Emptied(_) | Self::GivenUp(_) | Self::Fault(_) => None,
        }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(requester, Reading { table, place, value, .. }) => {
                write!(f, "filled: {table} at {place}, {value:#x}, for {}", Named(*requester))
            }
            Self::WalkBegins => f.write_str("a walk begins"),
            Self::InterruptEntry(source, index) => write!(f, "filled: interrupt entry {index}, for {source}"),
            Self::Walked { requester, request, outcome, .. } => {
                write!(f, "walk for {}: {}, ", Named(*requester), request.address)?;
                match outcome {
                    Ok(found) => write!(f, "{}", text::page(found)),
                    Err(reason) => write!(f, "{reason}"),
                }
            }
            Self::Iotlb(fill) | Self::DeviceTlb(fill) => write!(f, "filled: {fill}"),
            Self::Passing(requester) => write!(f, "filled: addresses of {} pass", Named(*requester)),
            Self::Invalidated { invalidation, carried_out: true } => write!(f, "{}", InWords(invalidation)),
            Self::Invalidated { invalidation, carried_out: false } => {
                write!(f, "{}, not carried out", InWords(invalidation))
            }
            Self::Waited => f.write_str("wait complete"),
            Self::Emptied(source) => write!(f, "{source} has emptied its TLB"),
            Self::GivenUp(source) => write!(f, "{source} does not answer and is given up"),
            Self::Fault(FaultRecord { reason, source, pasid, address, access, .. }) => {
                let whose = Named(Requester { source: *source, pasid: *pasid });
                let what = match access {
                    Access::Read => "read",
                    Access::Write => "write",
                };
                write!(f, "{whose}, {what} of {address}: {reason}")
            }
        }
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpaceKey { domain, pasid, .. } = self.space;
        write!(f, "{} -> ", self.address)?;
        match &self.translation {
            Some(translation) => write!(f, "{}", text::page(translation))?,
            None => f.write_str("nothing")?,
        }
        write!(f, ", {domain}")?;
        pasid.map_or(Ok(()), |pasid| write!(f, ", {pasid}"))
    }
}

/// A requester in words.
struct Named(Requester);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requester { source, pasid } = self.0;
        write!(f, "{source}")?;
        pasid.map_or(Ok(()), |pasid| write!(f, " with {pasid}"))
    }
}

#[cfg(test)]
mod tests;
