//! What is said when a search was over before it knew.

use std::collections::BTreeSet;

use ordering::catalogue;
use ordering::glimpse::{Fit, Glimpse, Glimpses, MOST_STATES, fit};
use steps::table::Verb;

use super::{Ruling, Standing, decided};

#[test]
fn an_order_of_refuted_scenarios_is_not_wrong_while_a_proved_one_is_not_decided() {
    let entries = catalogue::entries();
    let entry = |name: &str| entries.iter().find(|entry| entry.lowered.name == name).unwrap();
    let (refuted, proved) = (entry("cow-linux-6.1-notified-at-end"), entry("cow-linux-6.1"));
    let glimpses = vec![Glimpse { verb: Verb::FlushTlb, page: Some(0) }];
    let (shown, watched) = (BTreeSet::new(), BTreeSet::new());
    let glimpsed = Glimpses { glimpses, shown, watched, ends_notify: false };
    let Fit::Run(run) = fit(&refuted.lowered, &glimpsed, MOST_STATES) else { panic!("it has a flush") };
    let ruling = |unknown| decided(vec![(refuted, (*run).clone())], unknown, false);
    assert_eq!(ruling(vec![]).standing(), Standing::Refuted);
    assert_eq!(ruling(vec![refuted]).standing(), Standing::Refuted, "another refuted one changes nothing");
    let open = ruling(vec![proved]);
    assert!(matches!(&open, Ruling::Unjudged { unknown, .. } if unknown == &["cow-linux-6.1"]), "{open:?}");
}
