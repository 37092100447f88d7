//! Who listens hears every event once, and nothing is another way because of him.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Listener, Part, Told};
use crate::stale::watch::{Judging, StaleOptions, Watching};
use crate::stale::{Missed, StaleUse};
use crate::vtd::options::VtdOptions;
use crate::vtd::tests::driver::{
    DOMAIN, Driver, OTHER_DOMAIN, PAGE, SECOND_STAGE, SOURCE, invalidations, load,
};
use crate::vtd::{Moment, Vtd};

/// What was heard: the number, where, and the words.
type Heard = (Option<u64>, Option<Part>, String);

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Heard>>);

impl Listener for Notes {
    fn hear(&self, at: Moment, told: &Told<'_>) {
        self.0.lock().push((told.event(at), told.part(), told.to_string()));
    }
}

/// A page is used, changed, invalidated in another domain, used, and unmapped as it should be; what was reported.
fn run(listener: Option<Arc<dyn Listener>>) -> (Vec<StaleUse>, u64) {
    let stale = StaleOptions { watching: Watching::EveryUse, judging: Judging::AtOnce };
    let options = VtdOptions { stale, ..VtdOptions::default() };
    let unit = |memory, sink| Vtd::try_told(memory, options, sink, listener).unwrap();
    let mut driver = Driver::of(unit).started();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.invalidate(&[invalidations::domain(OTHER_DOMAIN)]);
    load(&mut port).unwrap();
    let reports = driver.unit.take_stale_uses();
    driver.unmap(SECOND_STAGE, table, PAGE);
    driver.invalidate(&[invalidations::all()]);
    load(&mut port).unwrap_err();
    (reports, driver.unit.moment().expect("it is watched").event)
}

#[test]
fn every_event_is_heard_once_and_a_report_cites_what_was_heard() {
    let notes = Arc::<Notes>::default();
    let (reports, events) = run(Some(notes.clone()));
    let heard = notes.0.lock();
    let numbers = heard.iter().filter(|(_, _, words)| !words.starts_with("walk for")).filter_map(|it| it.0);
    assert_eq!(numbers.collect::<Vec<_>>(), (0..events).collect::<Vec<_>>(), "{heard:#?}");
    let words = |event: u64| {
        let of = |it: &&Heard| it.0 == Some(event) && it.1.is_some() && !it.2.starts_with("walk for");
        heard.iter().find(of).map(|it| it.2.as_str()).unwrap_or_else(|| panic!("no {event} in {heard:#?}"))
    };
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(words(report.filled.event).starts_with("filled: 0x40201000 -> 4K page "));
    let [Missed { at, .. }] = report.received[..] else { panic!("{report:?}") };
    assert_eq!(words(at.event), "IOTLB, domain 8");
    let parts = [Part::ContextCache, Part::Iotlb, Part::Walker(SOURCE), Part::Invalidations, Part::Faults];
    for part in parts {
        assert!(heard.iter().any(|it| it.1 == Some(part)), "nothing of {part:?}: {heard:#?}");
    }
    let fault = heard.iter().find(|it| it.1 == Some(Part::Faults)).expect("the last load is blocked");
    assert!(fault.2.starts_with("00:03.0, read of 0x40201000: "), "{fault:?}");
}

#[test]
fn a_report_is_the_same_whoever_listens() {
    let without_time = |(reports, events): (Vec<StaleUse>, u64)| {
        let told = |report: &StaleUse| {
            let events = [report.filled.event, report.used.event, report.change.read_at];
            let received: Vec<_> =
                report.received.iter().map(|missed| (missed.at.event, missed.why)).collect();
            (
                report.kind,
                report.ground,
                report.cached,
                report.change,
                events,
                received,
                report.remedy.clone(),
            )
        };
        (reports.iter().map(told).collect::<Vec<_>>(), events)
    };
    assert_eq!(without_time(run(None)), without_time(run(Some(Arc::<Notes>::default()))));
}
