//! Whoever writes down what happens in a machine, for Perfetto: what processors and devices do, what the unit caches and
//! forgets, and what was stale.
//!
//! Invariant: he listens and changes nothing. His lock is held for one event, and is the last that anybody takes. All times
//! are those of the unit's watch, as reports cite them; without a watch, those since he began.

mod book;
mod places;
mod remembered;
mod stale;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use devices::upstream::DmaFault;
use iommu::stale::StaleUse;
use iommu::stale::in_place::ChangedInPlace;
use iommu::stale::interrupt::StaleInterrupt;
use iommu::stale::told::{Listener, Told};
use iommu::vtd::{Moment, Vtd};
use mmu::address::VirtAddr;
use parking_lot::Mutex;
use pcie::{Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};
use tracks::json;
use tracks::trace::{About, LeftOut, Span, Track, Weight};

use self::book::{Book, ns};
use self::places::Place;
pub use self::places::Text;
use crate::kvm::{Access, VcpuId};

/// The largest cache whose entries are counted again and again.
const MOST_COUNTED: usize = 4096;

/// One who writes down what happens in one machine.
pub struct Tracer {
    book: Mutex<Book>,
    begun: Instant,
    unit: OnceLock<Weak<Vtd>>,
    in_flight: AtomicU64,
}

/// A request of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) verb: &'static str,
    pub(super) pasid: Option<Pasid>,
    pub(super) address: VirtAddr,
    /// 0 for one that is held in flight.
    pub(super) len_bytes: usize,
}

impl Tracer {
    /// One who hands `text` no more bytes than the limit.
    #[must_use]
    pub fn new(text: Text, limit_bytes: u64) -> Arc<Self> {
        let (unit, in_flight) = (OnceLock::new(), AtomicU64::new(0));
        Arc::new(Self {
            book: Mutex::new(Book::new(text, limit_bytes)),
            begun: Instant::now(),
            unit,
            in_flight,
        })
    }

    /// From now on times are those of `unit`. The first one counts.
    pub(super) fn follow(&self, unit: &Arc<Vtd>) {
        self.unit.get_or_init(|| Arc::downgrade(unit));
    }

    /// A track for one port of a device.
    pub(super) fn port(&self, source: SourceId) -> Track {
        let Book { trace, places, .. } = &mut *self.book.lock();
        places.port(trace, source)
    }

    /// A request begins; when.
    pub(super) fn begin(&self) -> u64 {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.now_ns()
    }

    /// A request has ended.
    pub(super) fn end(&self, track: Track, begin_ns: u64, request: &Request, fault: Option<&DmaFault>) {
        let Request { verb, pasid, address, len_bytes } = *request;
        let end_ns = self.now_ns();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let bytes = if len_bytes == 0 { String::new() } else { format!(", {len_bytes} bytes") };
        let blocked = if fault.is_some() { ", blocked" } else { "" };
        let args = json!({
            "iova": format!("{address}"), "bytes": len_bytes, "pasid": pasid.map(|pasid| pasid.to_string()),
            "fault": fault.map(DmaFault::to_string),
        });
        let name = format!("{verb} {address}{bytes}{blocked}");
        let about = About { category: "dma", name: &name, args: &args, weight: Weight::Usual };
        self.book.lock().trace.slice(track, Span { begin_ns, end_ns }, about);
    }

    /// A device has asked software for a page.
    pub(super) fn asked(&self, request: &PageRequest, outcome: &Result<RequestOutcome, DmaFault>) {
        let PageRequest { source, address, group, .. } = *request;
        let outcome = match outcome {
            Ok(outcome) => format!("{outcome:?}"),
            Err(fault) => fault.to_string(),
        };
        let name = format!("{source} asks for {address}, group {group}");
        self.point(Place::PageRequests, "page request", &name, &json!({ "outcome": outcome }));
    }

    /// A device has taken an answer.
    pub(super) fn answered(&self, response: &PageGroupResponse) {
        let PageGroupResponse { source, group, code, .. } = *response;
        let name = format!("{source} is answered, group {group}: {code:?}");
        self.point(Place::PageRequests, "page answer", &name, &json!({}));
    }

    /// An interrupt is on its way to a local APIC.
    pub(super) fn interrupted(&self, message: Msi) {
        let Msi { address, data } = message;
        let name = format!("vector {:#x}", data & 0xff);
        let args = json!({ "address": format!("{address:#x}"), "data": format!("{data:#x}") });
        self.point(Place::Interrupts, "interrupt", &name, &args);
    }

    /// A processor's access, as `serve` answers it: those to memory-mapped registers are written down.
    pub(super) fn served(&self, id: VcpuId, access: Access<'_>, serve: impl FnOnce(Access<'_>)) {
        let (verb, address, len_bytes) = match &access {
            Access::Load { address, bytes } => ("load", *address, bytes.len()),
            Access::Store { address, bytes } => ("store", *address, bytes.len()),
            Access::In { .. }
            | Access::Out { .. }
            | Access::OutString { .. }
            | Access::EndOfInterrupt { .. } => {
                return serve(access);
            }
        };
        let begin_ns = self.now_ns();
        serve(access);
        let span = Span { begin_ns, end_ns: self.now_ns() };
        let name = format!("{verb} {address:#x}, {len_bytes} bytes");
        let args = json!({});
        let about = About { category: "mmio", name: &name, args: &args, weight: Weight::Usual };
        let Book { trace, places, .. } = &mut *self.book.lock();
        let track = places.processor(trace, id);
        trace.slice(track, span, about);
    }

    /// The counters, as they are.
    pub fn count(&self) {
        let at_ns = self.now_ns();
        let entries = self.unit.get().and_then(Weak::upgrade).and_then(|unit| {
            let iotlb = unit.iotlb();
            (iotlb.capacity() <= MOST_COUNTED).then(|| iotlb.entries().count() as u64)
        });
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let Book { trace, places, .. } = &mut *self.book.lock();
        places.count(trace, at_ns, ("requests", "in flight"), in_flight);
        if let Some(entries) = entries {
            places.count(trace, at_ns, ("IOTLB", "entries"), entries);
        }
    }

    /// A stale use was reported.
    pub fn stale_use(&self, report: &StaleUse) {
        self.book.lock().stale_use(report);
    }

    /// The use of a stale interrupt entry was reported.
    pub fn stale_interrupt(&self, report: &StaleInterrupt) {
        self.book.lock().stale_interrupt(report);
    }

    /// A change in place was reported.
    pub fn changed_in_place(&self, report: &ChangedInPlace) {
        self.book.lock().changed_in_place(report);
    }

    /// The last words. What was left out.
    pub fn close(&self) -> LeftOut {
        self.book.lock().trace.close()
    }

    fn point(&self, place: Place, category: &str, name: &str, args: &tracks::Value) {
        let at_ns = self.now_ns();
        let Book { trace, places, .. } = &mut *self.book.lock();
        let track = places.track(trace, place);
        trace.point(track, at_ns, About { category, name, args, weight: Weight::Usual });
    }

    fn now_ns(&self) -> u64 {
        let unit = self.unit.get().and_then(Weak::upgrade);
        let moment = unit.and_then(|unit| unit.moment());
        ns(moment.map_or_else(|| self.begun.elapsed(), |moment| moment.elapsed))
    }
}

impl Listener for Tracer {
    fn hear(&self, at: Moment, told: &Told<'_>) {
        let Book { trace, places, remembered } = &mut *self.book.lock();
        let (event, end_ns) = (told.event(at), ns(at.elapsed));
        let Some(part) = told.part() else {
            event.into_iter().for_each(|event| remembered.event(event, end_ns, None));
            return;
        };
        let track = places.track(trace, Place::Unit(part));
        let (category, weight) = match told {
            Told::Invalidated { .. } | Told::Waited => ("invalidation", Weight::Usual),
            Told::Walked { .. } => ("walk", Weight::Usual),
            Told::Fault(_) => ("fault", Weight::Usual),
            Told::Emptied(_) | Told::GivenUp(_) => ("device", Weight::Usual),
            Told::WalkBegins
            | Told::Entry(..)
            | Told::InterruptEntry(..)
            | Told::Iotlb(_)
            | Told::DeviceTlb(_)
            | Told::Passing(_) => ("fill", Weight::Usual),
        };
        let args = match event {
            Some(event) => json!({ "event": event }),
            None => json!({ "before_event": at.event }),
        };
        let name = told.to_string();
        // The number of a walk is that of its beginning, which was told then.
        let is_walk = matches!(told, Told::Walked { .. });
        let begin_ns = event.filter(|_| is_walk).and_then(|event| remembered.at(event)).unwrap_or(end_ns);
        let about = About { category, name: &name, args: &args, weight };
        let placed = trace.slice(track, Span { begin_ns, end_ns }, about);
        if let Some(event) = event.filter(|_| !is_walk) {
            let is_invalidation = matches!(told, Told::Invalidated { .. });
            remembered.event(event, end_ns, placed.filter(|_| is_invalidation));
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
