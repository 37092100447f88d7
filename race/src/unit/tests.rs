//! Every run of the catalogue's devices on the unit; and that a driver that errs is noticed.

use iommu::spec::descriptor::{Hint, IotlbScope, PageSpan};
use std::sync::LazyLock;

use ordering::catalogue::entries;
use ordering::engine::replay::Move;
use ordering::engine::{self, Options, Verdict};
use ordering::lowering::{self, Lowered};

use super::*;
use crate::machine::Machine;
use crate::steered::{Divergence, Steered};

/// What a driver does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lapse {
    /// Descriptors for the IOTLB are left out.
    LeavesOutIotlb,
    /// Those for the device's own TLB are.
    LeavesOutDeviceTlb,
    /// Those for the PASID cache are.
    LeavesOutPasidCache,
    /// Those for the context cache are.
    LeavesOutContextCache,
    /// Each says that only leaves have changed.
    HintsLeavesOnly,
    /// Nobody waits for the batch.
    DoesNotWait,
    /// An entry that is to be read anew is not lost before.
    KeepsEvicted,
}

impl Lapse {
    pub(crate) fn submit(self, queue: &Queue, descriptors: &[Descriptor]) -> Result<(), Stuck> {
        let wrong: Vec<_> = descriptors.iter().filter_map(|descriptor| self.of(*descriptor)).collect();
        match self {
            Self::DoesNotWait => {
                queue.submit_only(&wrong);
                Ok(())
            }
            Self::LeavesOutIotlb
            | Self::LeavesOutDeviceTlb
            | Self::LeavesOutPasidCache
            | Self::LeavesOutContextCache
            | Self::HintsLeavesOnly
            | Self::KeepsEvicted => queue.submit(&wrong),
        }
    }

    /// The descriptor as it is submitted.
    fn of(self, right: Descriptor) -> Option<Descriptor> {
        match (self, right) {
            (Self::LeavesOutIotlb, Descriptor::Iotlb { .. })
            | (Self::LeavesOutDeviceTlb, Descriptor::DeviceTlb(_))
            | (Self::LeavesOutPasidCache, Descriptor::PasidCache(_))
            | (Self::LeavesOutContextCache, Descriptor::ContextCache(_)) => None,
            (
                Self::HintsLeavesOnly,
                Descriptor::Iotlb { scope: IotlbScope::PasidPages(did, pasid, span), drains },
            ) => {
                let scope = IotlbScope::PasidPages(did, pasid, PageSpan { hint: Hint::LeavesOnly, ..span });
                Some(Descriptor::Iotlb { scope, drains })
            }
            (_, right) => Some(right),
        }
    }
}

/// The scenarios of the catalogue with devices.
static WITH_DEVICES: LazyLock<Vec<Lowered>> = LazyLock::new(|| {
    let is_device = |caches| matches!(caches, Caches::Iotlb | Caches::DeviceTlb);
    let all = entries().into_iter().map(|entry| entry.lowered);
    let has_one = |lowered: &Lowered| lowered.scene.users.iter().any(|user| is_device(user.caches));
    all.filter(has_one).collect()
});

fn named(name: &str) -> &'static Lowered {
    WITH_DEVICES.iter().find(|lowered| lowered.name == name).expect("the catalogue has the scenario")
}

fn written(text: &str) -> Lowered {
    let mut loaded = lowering::load(text).expect("the scenario is well written");
    loaded.remove(0).1
}

/// A machine on which every device's driver errs that way.
fn machine(lowered: &Lowered, lapse: Option<Lapse>) -> Machine {
    let machine = Machine::new(lowered).unwrap();
    let units = machine.users.iter().filter_map(|user| user.unit.as_ref());
    units.for_each(|unit| *unit.lapse.lock() = lapse);
    machine
}

fn counterexample(lowered: &Lowered) -> Option<Vec<Move>> {
    let packed = engine::compile(&lowered.model).unwrap();
    let Verdict::Violated { trace, .. } = engine::explore(&packed, &Options::default()).verdict else {
        return None;
    };
    let row = |step: &engine::Step| Move { agent: step.agent, pc: step.pc, alternative: step.alternative };
    Some(trace.steps.iter().map(row).collect())
}

/// Random runs, up to the first that diverges.
fn runs(lowered: &Lowered, lapse: Option<Lapse>, runs: usize) -> Result<(), Box<Divergence>> {
    let steered = Steered::new(lowered, machine(lowered, lapse));
    let mut random = fastrand::Rng::with_seed(7);
    (0..runs).try_for_each(|_| steered.random(&mut random, 60).map(drop))
}

#[track_caller]
fn assert_noticed(name: &str, lapse: Lapse) {
    let lowered = named(name);
    runs(lowered, None, 40).unwrap_or_else(|found| panic!("{name} without {lapse:?}: {}", found.of));
    assert!(runs(lowered, Some(lapse), 40).is_err(), "{name}: nobody notices {lapse:?}");
}

#[test]
fn every_scenario_with_devices_of_the_catalogue_is_on_the_unit() {
    let mut elsewhere = 0;
    for lowered in WITH_DEVICES.iter() {
        if on_unit(&lowered.scene).is_err() {
            // Pages under one huge entry: the model has one content for all of them.
            assert!(lowered.name.contains("huge-page"), "{}", lowered.name);
            elsewhere += 1;
            continue;
        }
        let machine = machine(lowered, None);
        for (id, user) in lowered.scene.users.iter().enumerate() {
            let is_device = matches!(user.caches, Caches::Iotlb | Caches::DeviceTlb);
            assert_eq!(machine.users[id].unit.is_some(), is_device, "{}: {}", lowered.name, user.name);
        }
    }
    assert!(elsewhere <= 3, "{elsewhere} scenarios with devices are not on the unit");
    assert!(WITH_DEVICES.len() >= 147, "only {} scenarios have devices", WITH_DEVICES.len());
}

#[test]
fn no_counterexample_and_no_random_run_diverges() {
    let mut refuted = 0;
    for lowered in WITH_DEVICES.iter() {
        let steered = Steered::new(lowered, machine(lowered, None));
        let fine = |ran: Result<usize, Box<Divergence>>| {
            ran.unwrap_or_else(|found| panic!("{}: {} after {:#?}", lowered.name, found.of, found.rows))
        };
        if let Some(moves) = counterexample(lowered) {
            refuted += 1;
            assert_eq!(fine(steered.run(&moves)), moves.len());
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10 {
            fine(steered.random(&mut random, 60));
        }
    }
    assert!(refuted >= 40, "only {refuted} scenarios are refuted");
}

#[test]
fn tables_of_the_process_that_had_the_pasid_are_not_on_the_way_to_a_page_of_the_next() {
    for name in ["pasid-given-to-another-process", "pasid-given-away-too-early"] {
        runs(named(name), None, 600).unwrap_or_else(|found| panic!("{name}: {}", found.of));
    }
}

#[test]
fn a_descriptor_that_is_left_out_is_noticed() {
    for name in ["iotlb-only-without-ats", "dontneed-linux-6.18", "ats-order-split", "pasid-torn-down"] {
        assert_noticed(name, Lapse::LeavesOutIotlb);
    }
    for name in ["ats-iotlb-before-device-tlb", "ats-order-split", "invalidate-a-range", "pasid-torn-down"] {
        assert_noticed(name, Lapse::LeavesOutDeviceTlb);
    }
    assert_noticed("pasid-torn-down", Lapse::LeavesOutPasidCache);
    assert_noticed("pasid-given-to-another-process", Lapse::LeavesOutPasidCache);
    for lapse in [Lapse::LeavesOutContextCache, Lapse::LeavesOutIotlb, Lapse::LeavesOutDeviceTlb] {
        assert_noticed("context-entry-absent-first", lapse);
    }
}

#[test]
fn a_hint_that_only_leaves_have_changed_is_noticed_where_more_has() {
    assert_noticed("table-freed-after-whole-invalidation", Lapse::HintsLeavesOnly);
    assert_noticed("table-freed-after-whole-invalidation-split", Lapse::HintsLeavesOnly);
    assert_noticed("superpage-break-before-make", Lapse::HintsLeavesOnly);
}

#[test]
fn a_wait_that_is_left_out_is_noticed() {
    assert_noticed("ats-iotlb-before-device-tlb", Lapse::DoesNotWait);
    assert_noticed("pages-released-after-gpu-flush", Lapse::DoesNotWait);
    assert_noticed("pasid-torn-down", Lapse::DoesNotWait);
    assert_noticed("superpage-break-before-make", Lapse::DoesNotWait);
}

#[test]
fn an_eviction_that_does_nothing_is_noticed() {
    assert_noticed("upgrade-not-notified", Lapse::KeepsEvicted);
    assert_noticed("cow-two-address-order", Lapse::KeepsEvicted);
}

/// A scenario of a CPU, and a device that uses `pages` again and again.
fn scenario(setting: &str, cpu: &str, pages: &[&str]) -> Lowered {
    let uses: Vec<_> = pages.iter().map(|page| format!("dma_write {page} = 1 | dma_read {page}")).collect();
    written(&format!(
        "scenario s\n{setting}\ncpu CPU\nagent CPU\n{cpu}\nagent DEV\n  repeat 0..3: {}\nnever use of a freed frame\nexpect proved\n",
        uses.join(" | ")
    ))
}

#[test]
fn dirty_bits_behind_a_device_tlb_and_walks_to_several_pages_are_steered_too() {
    let two = "page A, B\nframe f = 0\nmap A -> f rw\nmap B -> f rw\ndevice DEV ats\noption walk = split";
    let dirty = "page A, B\nframe f = 0, g = 0\nmap A -> f rw dirty\nmap B -> g rw\ndevice DEV ats";
    let forget = "  iotlb_inv A\n  devtlb_inv A";
    let change = format!("  pte_clear A\n{forget}\n  set_pte A -> orig\n{forget}");
    let both = ["A", "B"];
    let scenarios = [scenario(two, &change, &both), scenario(dirty, &change.replace(" A", " B"), &both)];
    for lowered in &scenarios {
        assert_eq!(on_unit(&lowered.scene), Ok(()));
        runs(lowered, None, 300).unwrap_or_else(|found| panic!("{} after {:#?}", found.of, found.rows));
    }
}

#[test]
fn what_the_unit_cannot_do_is_refused_with_its_reason() {
    let refused = |lowered: &Lowered| on_unit(&lowered.scene).expect_err("it is refused");
    let under = "page A under M, B under M\ntable T\nframe f = 0, g = 0\npmd M -> T\nmap A -> f rw\nmap B -> f rw\ndevice DEV";
    let (clear, both) = ("  pte_clear A\n  notify A\n  set_pte A -> orig", ["A", "B"]);
    let split = scenario(&format!("{under}\noption walk = split"), clear, &both);
    assert!(refused(&split).contains("all pages of the PASID"));
    let huge = "  set_pmd M -> g rw huge\n  notify_pmd M";
    assert!(refused(&scenario(under, huge, &both)).contains("a part of its frame"));
    let one = "page A under M\ntable T\nframe f = 0\npmd M -> T\nmap A -> f rw dirty\ndevice DEV";
    assert!(refused(&scenario(one, clear, &["A"])).contains("no step says where"));
    let by_context =
        "mm P\npage A in P\nframe f = 0\nmap A -> f rw dirty\ncontext E -> P\ndevice DEV context E";
    assert!(refused(&scenario(by_context, clear, &["A"])).contains("neither an accessed nor a dirty bit"));
}

#[test]
fn a_device_goes_from_one_address_space_to_another_by_its_context_entry_alone() {
    let setting = "mm P, Q\npage A in P under M, B in Q under N\ntable T, U\nframe f = 0, g = 0\npmd M -> T, N -> U\n\
                   map A -> f rw\nmap B -> g rw\ncontext E -> P, F -> Q\npasid X -> Q\ndevice DEV ats context E\n\
                   device OTHER context F, THIRD pasid X\nagent OTHER\n  dma_read any\nagent THIRD\n  dma_read any";
    let whole = "  set_context E -> Q\n  context_inv E\n  iotlb_inv A\n  devtlb_inv A\n  set_context F -> none\n  context_inv F";
    let halves = "  set_context_low E -> none\n  context_inv E\n  iotlb_inv A\n  devtlb_inv A\n  set_context_high E -> Q\n  \
                  set_context_low E -> Q\n  set_pasid X -> P\n  pasid_inv X";
    for change in [whole, halves] {
        let lowered = scenario(setting, change, &["A", "B"]);
        assert_eq!(on_unit(&lowered.scene), Ok(()));
        runs(&lowered, None, 300).unwrap_or_else(|found| panic!("{} after {:#?}", found.of, found.rows));
        let lapse = Some(Lapse::LeavesOutContextCache);
        assert!(runs(&lowered, lapse, 300).is_err(), "nobody notices what stays in the context cache");
    }
}

#[test]
fn a_walk_that_finds_nothing_leaves_no_fault_in_the_unit() {
    let under = "mm P\npage A in P under M\ntable T\nframe f = 0\npmd M -> T\nmap A -> f rw";
    for goes_by in ["context E -> P\ndevice DEV context E", "pasid E -> P\ndevice DEV pasid E"] {
        let lowered = scenario(&format!("{under}\n{goes_by}"), "  pte_clear A\n  iotlb_inv A", &["A"]);
        let steered = Steered::new(&lowered, machine(&lowered, None));
        let mut random = fastrand::Rng::with_seed(7);
        let rows: usize = (0..20).map(|_| steered.random(&mut random, 60).unwrap()).sum();
        assert!(rows > 100, "{rows} rows");
        for unit in steered.machine().users.iter().filter_map(|user| user.unit.as_ref()) {
            assert_eq!(unit.unit.read(Register::FAULT_STATUS.0.into(), Width::Bits32), 0, "{goes_by}");
        }
    }
}
