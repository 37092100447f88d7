//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use mmu::cache::Translation;

use crate::spec::fault::FaultReason;
use crate::vtd::Vtd;
use crate::vtd::port::Request;
use crate::vtd::route::{Reach, Requester};
use crate::vtd::trail::{Reading, Recorder};
use crate::vtd::walk::Walker;

/// A translation, and what it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What the tables say.
    pub translation: Result<Translation, FaultReason>,
    /// Every entry on the way, in the order of reading, up to the one that is in the way.
    pub readings: Vec<Reading>,
}

impl Vtd {
    /// Translates a request of `requester` by the tables alone.
    #[must_use]
    pub fn inspect(&self, requester: Requester, request: &Request) -> Inspection {
        let route = match self.route(requester, Reach::Tables, Recorder::on()) {
            Ok(route) => route,
            Err(refusal) => return Inspection { translation: Err(refusal.reason), readings: Vec::new() },
        };
        let mut walker = Walker::begin(&self.memory, &self.paging, Reach::Tables, Recorder::on());

        let translation = walker.walk(&self.space(&route), request.address, request.access);
        let readings = [route.trail.readings(), walker.recorder.trail().readings()].concat();
        Inspection { translation, readings }
    }
}
