//! Every order, tried: what the demonstration calls right or wrong is what it shows, user by user.

mod demonstration {
    pub(crate) mod model;
}

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ordering::sighting::MOST_PLACES;
use steps::operation::{Verdict, cow};
use vmm::demo::guest::CpuKind;
use vmm::demo::options::{DemoOptions, Operation, Trial, WatchedFor, trials};
use vmm::demo::reading::Reading;
use vmm::demo::recorder::Recorder;
use vmm::demo::scenario::USERS;
use vmm::demo::stage::{Cast, Stage};
use vmm::demo::window::{Widening, Windows};
use vmm::demo::{Demonstration, RunReport};
use vmm::kvm::System;

use demonstration::model;

const ALL: [Operation; 3] = [Operation::Cow, Operation::Ksm, Operation::Control];

fn prepared(cpu: CpuKind, trials: Vec<Trial>) -> Demonstration {
    Demonstration::new(DemoOptions {
        cast: Cast::usual(cpu),
        trials,
        time: Duration::from_millis(400),
        watching: WatchedFor::UntilShown,
        widening: Widening::AsFound,
        seed: 7,
        most_places: MOST_PLACES,
    })
}

/// One stage at a time: two would take each other's CPUs away.
static STAGE: Mutex<()> = Mutex::new(());

/// Every order on vCPUs of the kind; each must do what it is held to do.
fn show_all(cpu: CpuKind) -> Vec<RunReport> {
    // A test that failed has left nothing behind that this one could meet.
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let demonstration = prepared(cpu, trials(&ALL));
    let run = |trial: &Trial| {
        let report = demonstration.run(trial).expect("the stage can be set");
        let name = trial.order.name;
        assert!(report.is_as_expected(), "{} {name}: {report:?}", trial.operation.name());
        assert!(report.operations > 0, "{name}");
        for (user, counts) in [("CPU", report.cpu), ("vCPU", report.vcpu), ("device", report.device)] {
            assert!(counts.accesses > 0, "{name}: no access by any {user}");
        }
        report
    };
    demonstration.trials().iter().map(run).collect()
}

fn of<'a>(reports: &'a [RunReport], operation: Operation, order: &str) -> &'a RunReport {
    let named = |report: &&RunReport| report.trial.operation == operation && report.trial.order.name == order;
    reports.iter().find(named).expect("every order was tried")
}

fn check_who_pays(reports: &[RunReport]) {
    let late = of(reports, Operation::Cow, "notify-in-range-end");
    assert!(late.device.stale > 0, "{late:?}");
    assert_eq!((late.vcpu.stale, late.cpu.stale), (0, 0), "the vCPU is blocked, the CPU flushed: {late:?}");

    let unflushed = of(reports, Operation::Cow, "no-flush");
    assert!(unflushed.cpu.stale > 0, "{unflushed:?}");
    assert_eq!((unflushed.vcpu.stale, unflushed.device.stale), (0, 0), "{unflushed:?}");

    let unzapped = of(reports, Operation::Cow, "no-range-start");
    assert!(unzapped.vcpu.stale > 0, "{unzapped:?}");
    assert_eq!((unzapped.cpu.stale, unzapped.device.stale), (0, 0), "{unzapped:?}");

    let unprotected = of(reports, Operation::Ksm, "compare-before-protect");
    assert!(unprotected.lost_writes > 0, "{unprotected:?}");
    let freed = of(reports, Operation::Ksm, "free-before-notify");
    assert!(freed.freed_uses() > 0, "{freed:?}");
    assert_eq!(freed.vcpu.freed, 0, "the vCPU is blocked: {freed:?}");
}

/// The first violation of a wrong order is a counterexample of its scenario, which is read again and holds; the control's
/// is one of none.
fn check_traces(reports: &[RunReport]) {
    for report in reports {
        let name = report.trial.order.name;
        match (&report.reading, report.trial.order.expected, report.trial.operation) {
            (None, Verdict::Coherent, _) | (Some(Reading::Divergence(_)), _, Operation::Control) => {}
            (Some(Reading::Counterexample(found)), Verdict::Violated, Operation::Cow | Operation::Ksm) => {
                let (rows, broken) = model::replayed(&found.text);
                assert_eq!(rows, found.table.steps(), "{name}");
                assert_eq!(broken.as_ref(), found.table.broken().map(|broken| &broken.text), "{name}");
            }
            (reading, ..) => panic!("{name}: {reading:?}"),
        }
    }
}

/// Nobody met what the model excludes: whoever was stale or used a freed frame can do so in the order's scenario.
fn check_that_the_model_allows_it(reports: &[RunReport]) {
    for report in reports.iter().filter(|report| report.trial.operation != Operation::Control) {
        for (user, counts) in USERS.into_iter().zip([report.cpu, report.vcpu, report.device]) {
            let name = format!("{} {}: {user}", report.trial.operation.name(), report.trial.order.name);
            let pays = model::pays(&report.trial, user);
            assert!(counts.stale == 0 || pays.stale, "{name}: {report:?}");
            // A frame that is freed and used again may be met with any bytes.
            assert!(counts.freed == 0 || pays.freed || pays.stale, "{name}: {report:?}");
        }
    }
}

/// What cannot be told is no success.
fn check_that_what_is_not_told_is_undecided(reports: &[RunReport]) {
    let mut report = of(reports, Operation::Cow, "no-flush").clone();
    assert!(!report.is_undecided(), "{report:?}");
    for reading in [Reading::TooLong, Reading::BoundHit(1)] {
        report.reading = Some(reading);
        assert!(report.is_undecided(), "{report:?}");
    }
}

#[test]
fn each_order_does_on_software_vcpus_what_it_is_held_to_do() {
    let reports = show_all(CpuKind::Software);
    check_who_pays(&reports);
    check_that_what_is_not_told_is_undecided(&reports);
    check_traces(&reports);
    check_that_the_model_allows_it(&reports);
}

#[test]
fn each_order_does_on_kvm_what_it_is_held_to_do() {
    if let Err(error) = System::open() {
        println!("skipped: {error}");
        return;
    }
    let reports = show_all(CpuKind::Kvm);
    check_who_pays(&reports);
    check_traces(&reports);
    check_that_the_model_allows_it(&reports);
}

/// What the model says that a CPU, a vCPU and a device can meet in each order.
const PAYS: [(Operation, &str, [&str; 3]); 12] = [
    (Operation::Cow, "clear-flush-notify-set", ["", "", ""]),
    (Operation::Cow, "notify-before-clear", ["", "", "stale, freed"]),
    (Operation::Cow, "set-before-notify", ["", "", "stale"]),
    (Operation::Cow, "notify-in-range-end", ["", "", "stale"]),
    (Operation::Cow, "no-clear", ["stale, freed", "", "stale, freed"]),
    (Operation::Cow, "no-flush", ["stale, freed", "", ""]),
    (Operation::Cow, "no-range-start", ["", "stale, freed", ""]),
    (Operation::Ksm, "clear-flush-notify-set", ["", "", ""]),
    (Operation::Ksm, "notify-in-range-end", ["", "", ""]),
    // Whoever looks, as what was written is in no frame any more.
    (Operation::Ksm, "compare-before-protect", ["stale", "stale", "stale, freed"]),
    (Operation::Ksm, "free-before-notify", ["", "", "freed"]),
    (Operation::Ksm, "no-notify", ["stale", "stale, freed", "stale, freed"]),
];

#[test]
fn the_scenario_of_each_order_has_the_verdict_of_the_order_user_by_user() {
    let trials = trials(&[Operation::Cow, Operation::Ksm]);
    assert_eq!(trials.len(), PAYS.len());
    for (trial, (operation, order, pays)) in trials.iter().zip(PAYS) {
        assert_eq!((trial.operation, trial.order.name), (operation, order));
        assert_eq!(USERS.map(|user| model::pays(trial, user).to_string()), pays, "{order}");
        let is_violated = trial.order.expected == Verdict::Violated;
        assert_eq!(is_violated, pays.iter().any(|pays| !pays.is_empty()), "{order}");
    }
}

#[test]
fn a_stage_that_was_struck_leaves_no_memory_behind() {
    let kinds = [Some(CpuKind::Software), System::open().ok().map(|_| CpuKind::Kvm)];
    for cpu in kinds.into_iter().flatten() {
        let recorder = Arc::new(Recorder::new(1, Windows::new(Widening::AsFound, 1)));
        let stage = Stage::set(Cast::usual(cpu), cow::wp_page_copy(), &recorder).unwrap();
        let (frames, space) = (Arc::downgrade(&stage.frames), Arc::downgrade(&stage.space));
        drop(stage);
        assert!(space.upgrade().is_none(), "{cpu:?}: somebody still holds the address space");
        assert!(frames.upgrade().is_none(), "{cpu:?}: somebody still holds the memory");
    }
}
