//! The route in legacy mode: the context entry says it all.
//!
//! Invariant: no request with PASID has one. Source: VT-d 3.4.2, 9.3.

use crate::spec::context::{LegacyContext, TranslationType};
use crate::spec::fault::FaultReason;
use crate::vtd::route::{Dialect, Lookup, Refusal, Route, Routes, SecondStage, Stages};
use crate::vtd::tags::{SpaceKey, StageKind};
use crate::vtd::trail::Trail;

impl Routes {
    pub(super) fn legacy(&self, lookup: &mut Lookup<'_>) -> Result<Route, Refusal> {
        if lookup.requester.pasid.is_some() {
            return Err(Refusal::open(FaultReason::PasidInLegacyMode));
        }
        let context =
            self.context(lookup).map_err(|obstacle| Refusal::open(obstacle.reason(Dialect::Legacy)))?;
        let entry = LegacyContext(context.entry.words);
        let route = self
            .of_entry(entry, lookup.recorder.trail())
            .map_err(|reason| Refusal { reason, hides_faults: entry.hides_faults() });
        self.keep_context(lookup, context, route.is_ok());
        route
    }

    pub(super) fn of_entry(&self, entry: LegacyContext, trail: Trail) -> Result<Route, FaultReason> {
        if !entry.is_present() {
            return Err(FaultReason::ContextNotPresent);
        }
        if entry.has_reserved() {
            return Err(FaultReason::ContextReserved);
        }
        let kind = entry.translation_type().map_err(|_| FaultReason::ContextInvalid)?;
        let levels = entry.levels().map_err(|_| FaultReason::ContextInvalid)?;
        let stages = match kind {
            TranslationType::PassThrough => Stages::Identity,
            TranslationType::WithDeviceTlb if !self.options.device_tlb => {
                return Err(FaultReason::ContextInvalid);
            }
            TranslationType::Untranslated | TranslationType::WithDeviceTlb => {
                Stages::Second(SecondStage { table: entry.second_stage(), levels })
            }
        };
        Ok(Route {
            stages,
            key: Some(SpaceKey { domain: entry.domain(), pasid: None, stage: StageKind::Second }),
            dialect: Dialect::Legacy,
            has_device_tlb: kind == TranslationType::WithDeviceTlb,
            has_page_requests: false,
            hides_faults: entry.hides_faults(),
            trail,
        })
    }
}
