//! Every order, tried: what the demonstration calls right or wrong is what it shows, user by user.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steps::operation::{Verdict, cow};
use vmm::demo::guest::CpuKind;
use vmm::demo::options::{DemoOptions, Operation, Trial, trials};
use vmm::demo::recorder::Recorder;
use vmm::demo::stage::{Cast, Stage};
use vmm::demo::window::{Widening, Windows};
use vmm::demo::{Demonstration, RunReport};
use vmm::kvm::System;

const ALL: [Operation; 3] = [Operation::Cow, Operation::Ksm, Operation::Control];

fn demonstration(cpu: CpuKind, trials: Vec<Trial>) -> Demonstration {
    Demonstration::new(DemoOptions {
        cast: Cast::usual(cpu),
        trials,
        time: Duration::from_millis(400),
        widening: Widening::AsFound,
        seed: 7,
    })
}

/// One stage at a time: two would take each other's CPUs away.
static STAGE: Mutex<()> = Mutex::new(());

/// Every order on vCPUs of the kind; each must do what it is held to do.
fn show_all(cpu: CpuKind) -> Vec<RunReport> {
    // A test that failed has left nothing behind that this one could meet.
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let demonstration = demonstration(cpu, trials(&ALL));
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

/// The first violation of a wrong order is there, and names the frames.
fn check_traces(reports: &[RunReport]) {
    for report in reports {
        let trace = vmm::demo::report::trace::of(report);
        assert_eq!(trace.is_some(), report.trial.order.expected == Verdict::Violated);
        if let Some(trace) = trace {
            assert!(trace.contains("page A = 0x4000"), "{trace}");
            let is_control = report.trial.operation == Operation::Control;
            assert!(is_control || !trace.contains("frame ?"), "a frame without a number:\n{trace}");
        }
    }
}

#[test]
fn each_order_does_on_software_vcpus_what_it_is_held_to_do() {
    let reports = show_all(CpuKind::Software);
    check_who_pays(&reports);
    check_traces(&reports);
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
