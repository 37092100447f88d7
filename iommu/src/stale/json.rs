//! A report for tools: one JSON object on one line.
//!
//! Invariant: numbers that are addresses or entries are strings in hexadecimal, because JSON's numbers lose bits beyond
//! 2^53; words are those of the text.

use mmu::address::Access;
use mmu::cache::Translation;
use serde_json::{Value, json};

use crate::spec::descriptor::words::InWords;
use crate::spec::fault::FaultReason;
use crate::stale::in_place::ChangedInPlace;
use crate::stale::{Change, Ground, Holder, Kind, Missed, Moment, StaleUse};

impl StaleUse {
    /// The report as one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "event": "stale-use",
            "kind": match self.kind {
                Kind::Translation => "translation",
                Kind::Refusal => "refusal",
                Kind::NoRoute => "no-route",
                Kind::Table(_) => "table",
            },
            "table": match self.kind {
                Kind::Table(table) => Some(hex(table.0)),
                Kind::Translation | Kind::Refusal | Kind::NoRoute => None,
            },
            "source": self.requester.source.to_string(),
            "pasid": self.requester.pasid.map(|pasid| pasid.number()),
            "domain": self.space.domain.0,
            "address": hex(self.request.address.0),
            "access": match self.request.access { Access::Read => "read", Access::Write => "write" },
            "held_by": holder(self.holder),
            "cached": self.cached.as_ref().map_or(Value::Null, translation),
            "refused": self.cached.err().map(fault),
            "now": self.now.as_ref().map_or(Value::Null, translation),
            "fault": self.now.err().map(fault),
            "filled": moment(self.filled),
            "used": moment(self.used),
            "uses": self.uses,
            "judged": self.ground.name(),
            "change": change(&self.change),
            "in_place": self.in_place.as_ref().map(ChangedInPlace::value),
            "received": self.received.iter().map(missed).collect::<Vec<_>>(),
            "forgotten": self.forgotten,
            "queued": self.queued.iter().map(|queued| InWords(queued).to_string()).collect::<Vec<_>>(),
            "mistake": self.mistake().name(),
            "remedy": self.remedy.iter().map(|remedy| InWords(remedy).to_string()).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

pub(crate) fn hex(word: u64) -> String {
    format!("{word:#x}")
}

pub(super) const fn holder(holder: Holder) -> &'static str {
    match holder {
        Holder::Iotlb => "iotlb",
        Holder::TableCaches => "table-caches",
        Holder::DeviceTlb => "device-tlb",
    }
}

impl Ground {
    /// In one word, for tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "at-once",
            Self::FrameReused => "frame-reused",
            Self::TableReused => "table-reused",
            Self::ChangedAgain => "changed-again",
            Self::TimeOver => "time-over",
            Self::TheEnd => "the-end",
        }
    }
}

pub(super) fn change(change: &Change) -> Value {
    json!({
        "entry": change.table.to_string(),
        "at": hex(change.place.0),
        "was": hex(change.was),
        "is": change.is.map(hex),
    })
}

pub(crate) fn translation(translation: &Translation) -> Value {
    json!({
        "page": hex(translation.pfn.address().0),
        "bytes": translation.size.bytes(),
        "write": translation.permission.write,
    })
}

pub(crate) fn fault(reason: FaultReason) -> Value {
    json!({ "code": reason.code(), "reason": reason.to_string() })
}

pub(super) fn moment(moment: Moment) -> Value {
    json!({ "event": moment.event, "ms": moment.elapsed.as_secs_f64() * 1e3 })
}

pub(super) fn missed(missed: &Missed) -> Value {
    json!({
        "at": moment(missed.at),
        "invalidation": InWords(&missed.invalidation).to_string(),
        "why": missed.why.to_string(),
    })
}
