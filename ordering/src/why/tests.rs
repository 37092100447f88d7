//! What is said of violations: who relied on what, and which step came too early, too late or not at all.

use super::why;
use crate::catalogue::entries;
use crate::engine::{self, Options, Verdict};
use crate::lowering;

/// A program of `mm` against a device that reads twice, and what is said of it.
fn said(option: &str, mm: &str) -> String {
    let source = format!(
        "scenario s\npage A\nframe old = 0, new = 0\nmap A -> old ro\ncpu T0\ndevice DEV\n{option}\n\
         agent T0\n{mm}agent DEV\n  repeat 0..2:\n    walk A\n    dma_read A\n\n\
         never DEV reads A == 0 after T0 store A\n"
    );
    let (_, lowered) = lowering::load(&source).expect("it loads").remove(0);
    let packed = engine::compile(&lowered.model).expect("it is small");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => why(&lowered, &trace, property).join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_notification_that_comes_too_late_is_named_with_its_line() {
    let mm = "  pte_clear A\n  flush_tlb A\n  set_pte A -> new rw\n  store A = 1\n  notify A\n";
    let expected = "\
why: row 7 relies on tlb[DEV][A] = old ro, of row 1; pte[A] has not said so since row 2 (T0: pte_clear A); row 6 \
(T0: store A = 1) came before
missing: nothing emptied tlb[DEV][A] after row 2: `notify A` of T0 (line 13) comes too late";
    assert_eq!(said("", mm), expected);
}

#[test]
fn what_is_put_into_the_queue_too_late_is_named_and_not_the_queue() {
    let mm = "  pte_clear A\n  set_pte A -> new rw\n  store A = 1\n  notify A post\n";
    let said = said("", mm);
    assert!(said.contains("`notify A post` of T0 (line 12) comes too late"), "{said}");
}

#[test]
fn each_way_to_miss_an_invalidation_has_its_words() {
    let rest = "  set_pte A -> new rw\n  store A = 1\n";
    for (option, mm, words) in [
        ("", "  notify A\n  pte_clear A\n", "(T0: notify A) came too early: pte[A] changed in row 3 only"),
        ("", "  pte_clear A\n", "after row 2: `notify A` is missing"),
        ("var x = 0..1", "  pte_clear A\n  if x: notify A\n", "`notify A` of T0 (line 10) was passed over"),
        ("", "  pte_clear A\n  notify A post\n", "(T0: notify A post) only put it into the queue"),
        (
            "option walk = split\noption inv_drains = off",
            "  pte_clear A\n  notify A\n",
            "(T0: notify A) did not stop the walk that had read it in row 1",
        ),
    ] {
        let said = said(option, &format!("{mm}{rest}"));
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
}

/// What is said of a scenario of the catalogue.
fn of_catalogue(scenario: &str) -> String {
    let entry = entries().into_iter().find(|entry| entry.lowered.name == scenario).expect("it is there");
    let packed = engine::compile(&entry.lowered.model).expect("it is small");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => why(&entry.lowered, &trace, property).join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cache_nearest_to_the_table_is_to_blame_as_long_as_it_holds() {
    for (scenario, words) in [
        ("ats-device-tlb-before-iotlb", "devtlb_inv A) came too early: tlb[DEV][A] still held it"),
        ("ats-iotlb-only", "`devtlb_inv A` is missing"),
        ("iotlb-invalidation-kills-no-walk", "iotlb_inv A) did not stop the walk"),
        ("pasid-cache-forgotten", "nothing emptied pasidc[DEV] after row 2: `pasid_inv X` is missing"),
        ("pasid-iotlb-before-cache", "iotlb_inv_pasid X) came too early: pasidc[DEV] still held it"),
        (
            "table-freed-after-leaf-invalidation",
            "nothing emptied pwc[DEV][M] after row 3: `notify_pmd M` is missing",
        ),
        ("posted-and-not-waited-for", "iotlb_inv A post) only put it into the queue"),
    ] {
        let said = of_catalogue(scenario);
        assert!(said.contains(words), "{scenario}: no `{words}` in:\n{said}");
    }
}

#[test]
fn lost_stores_freed_frames_and_late_plain_stores_are_told() {
    for (scenario, words) in [
        ("swap-out-before-flush", "relies on tlb[T1][A] = f rw dirty"),
        ("dontneed-free-before-notify", "old is free since row 6 (T0: put old)"),
        (
            "tlb-miss-handler-reads-freed-table",
            "did not wait for handler, who is inside since row 1 (handler: irq_off)",
        ),
        ("table-free-after-flush", "gup holds no reference, and nothing made row 4 wait for it"),
        ("ksm-refcount-plain-stores", "reached memory in row 7 only, behind row 5 (ksmd: if pinned: no)"),
    ] {
        let said = of_catalogue(scenario);
        assert!(said.contains(words), "{scenario}: no `{words}` in:\n{said}");
    }
}
