//! What is said of violations: who relied on what, and which step came too early, too late or not at all.

use super::why;
use crate::catalogue::entries;
use crate::engine::{self, Options, Verdict};
use crate::lowering;
use crate::model::Check;

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
        (
            "option dma = split\noption inv_drains = off",
            "  pte_clear A\n  notify A\n",
            "(T0: notify A) did not wait for what DEV had translated in row ",
        ),
    ] {
        let said = said(option, &format!("{mm}{rest}"));
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
}

/// What is said of the first scenario of `source`, whatever breaks.
fn told(source: &str) -> String {
    let (_, lowered) = lowering::load(source)
        .unwrap_or_else(|found| panic!("{}", crate::language::render_all(&found, "told", source)))
        .remove(0);
    let packed = engine::compile(&lowered.model).expect("it is small");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => why(&lowered, &trace, property).join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_waits_for_ever_has_a_reason() {
    let things = "page A, B\nframe f = 0, g = 0\nmap A -> f ro\ncpu T0, T1\nvcpu V0\nvar x = 0..1\n\
                  option use_after_free = off\noption range = off\n";
    for (program, words) in [
        (
            "store A = 1",
            "T0's `store A = 1` is refused: pte[A] is f ro from the start; it waits for somebody to make it writable",
        ),
        (
            "load B",
            "T0's `load B` is refused: pte[B] is none from the start; it waits for somebody to map the page",
        ),
        (
            "pte_modify A protnone\n  load A",
            "T0's `load A` is refused: pte[A] is f ro protnone since row 1 (T0: pte_modify A protnone); it waits for \
             somebody to make it accessible",
        ),
        ("walk B", "T0's `walk B` is refused: pte[B] is none from the start"),
        ("lock l\n  lock l", "T0 waits for `lock l`: l is T0 since row 1 (T0: lock l)"),
        ("alloc f", "T0 waits for `alloc f`: refs[f] is 1 from the start"),
        ("when x == 1", "T0 waits for `when x == 1`: x is 0 from the start"),
        ("when x == 1 && pte(A)", "T0 waits for `when (x == 1 && pte(A))`: x is 0 from the start"),
        ("unmap g", "T0 waits for `unmap g`: mapcount[g] is 0 from the start"),
        ("notify_end A", "T0 waits for `notify_end A`: in_progress[A] is 0 from the start"),
        ("lock l shared\n  lock l", "T0 waits for `lock l`: T0.l is yes since row 1 (T0: lock l shared)"),
        (
            "{ when x == 1 | alloc f }",
            "T0 waits for `when x == 1` or `alloc f`: x is 0 from the start; refs[f] is 1 from the start",
        ),
    ] {
        let source = format!("scenario s\n{things}agent T0\n  {program}\nnever deadlock\n");
        let said = told(&source);
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    let round = "option flush = ipi\nagent T0\n  flush_tlb A\nagent T1\n  irq_off\n  when x == 1\n";
    let said = told(&format!("scenario s\n{things}{round}never deadlock\n"));
    let waits = said.split("; ").next().expect("a split yields at least one piece");
    assert!(
        waits.ends_with(": T0.awaits[T1] is yes since row 2 (T0: flush_tlb A: send)")
            || waits.ends_with("T1.irq_off is yes since row 1 (T1: irq_off)"),
        "{said}"
    );
    assert!(!said.contains("awaits[T0]"), "{said}");
    let nothing = told("scenario s\npage A\ncpu T0\nagent T0\n  load A\nnever deadlock\n");
    assert!(nothing.contains("T0 waits at a step that no entry ever allows"), "{nothing}");
    let range = "agent T0\n  notify_start A\n  when x == 1\nagent V0 on V0\n  load A\n";
    let said = told(&format!("scenario s\n{things}{range}never deadlock\n"));
    let words = "V0 waits for `load A`: in_progress[A] is 1 since row 1 (T0: notify_start A)";
    assert!(said.contains(words), "no `{words}` in:\n{said}");
}

#[test]
fn who_never_ends_is_told_with_its_line() {
    let source = "scenario s\npage A\nframe f = 0\nmap A -> f ro\ncpu T0, T1\n\
                  agent T0\n  again:\n    pte_read A\n    check pte_same A else again\nagent T1 spontaneous\n  load A\n";
    let (_, lowered) = lowering::load(source).expect("it loads").remove(0);
    let packed = engine::compile(&lowered.model).expect("it is small");
    let mut trace =
        engine::witness(&packed, &Options { max_states: 10_000, ..Options::default() }).expect("it ends");
    trace.steps.truncate(1);
    let said = super::waiting::of_livelock(&super::Run::new(&lowered, &trace));
    assert_eq!(said, ["T0 is at `check pte_same A` (line 9) and never ends"]);
}

#[test]
fn a_property_that_is_broken_at_the_start_says_what_is_so_there() {
    let source = "scenario s\nframe f = 0\ncpu T0\nvar x = 0..3 from 1\nagent T0\n  x = 2\nalways x != 1\n";
    assert!(told(source).starts_with("why: at the start, x is 1\n"), "{}", told(source));
}

#[test]
fn what_has_not_changed_is_told_too() {
    let source =
        "scenario s\nframe f = 0\ncpu T0\nvar x = 0..1, y = 0..1\nagent T0\n  x = 0\nfinally x || y\n";
    let expected = "why: x is 0, as row 1 (T0: x = 0) wrote; y is 0 from the start\n\
                    no cache is stale: no row goes through one";
    assert_eq!(told(source), expected);
}

/// A huge entry that is removed by `rows` under a user.
fn huge(user: &str, rows: &str, uses: &str) -> String {
    told(&format!(
        "scenario s\npage A under M, B under M\nframe big = 5\npmd M -> big rw huge\ncpu T0\n{user}\n\
         agent T0\n{rows}agent U on U spontaneous\n  {uses}\nnever use of a freed frame\n"
    ))
}

#[test]
fn a_stale_huge_translation_is_told_where_no_table_is_declared() {
    let said = huge("cpu U", "  pmd_clear M\n  put big\n  flush_pmd M\n", "load A");
    for words in [
        "relies on tlb[U][A] = big rw huge, of row 1; pmd[M] has not said so since row 2 (T0: pmd_clear M)",
        "missing: nothing emptied tlb[U][A] after row 2: `flush_pmd M` of T0 (line 10) comes too late",
    ] {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    let device = huge("device U", "  pmd_clear M\n  iotlb_inv A\n  put big\n", "dma_write B = 1");
    for words in
        ["pmd[M] has not said so since", "nothing emptied tlb[U][B] after row 2: `iotlb_inv B` is missing"]
    {
        assert!(device.contains(words), "no `{words}` in:\n{device}");
    }
    let vcpu = huge("vcpu U", "  pmd_clear M\n  put big\n", "load A");
    assert!(vcpu.contains("nothing emptied spte[A] after row 2: `notify_start A` is missing"), "{vcpu}");
}

#[test]
fn the_step_that_is_missing_is_one_that_the_scenario_speaks_of() {
    for (device, inv, words) in [
        ("device DEV", "notify B", "`notify A` is missing"),
        ("device DEV", "iotlb_inv B", "`iotlb_inv A` is missing"),
        ("device DEV pasid X", "iotlb_inv B", "`iotlb_inv A` is missing"),
    ] {
        let said = told(&format!(
            "scenario s\nmm P\npasid X -> P\npage A in P, B in P\nframe f = 5\nmap A -> f rw\ncpu T0\n{device}\n\
             agent T0\n  pte_clear A\n  {inv}\n  put f\nagent DEV\n  dma_read A\nnever use of a freed frame\n"
        ));
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    for (inv, words) in [
        (
            "pasid_inv X\n  devtlb_inv_pasid X",
            "nothing emptied tlb[DEV][A] after row 2: `iotlb_inv_pasid X` is missing",
        ),
        ("pasid_inv X\n  iotlb_inv_pasid X", "`devtlb_inv_pasid X` is missing"),
        ("iotlb_inv_pasid X\n  devtlb_inv_pasid X", "`pasid_inv X` is missing"),
    ] {
        let said = told(&format!(
            "scenario s\nmm P\npasid X -> P\npage A in P\nframe f = 5\nmap A -> f rw\ncpu T0\n\
             device DEV ats pasid X\noption evict = off\nagent T0\n  set_pasid X -> none\n  {inv}\n  put f\nagent DEV\n  \
             repeat 0..2: dma_read A\nnever use of a freed frame\n"
        ));
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
}

#[test]
fn a_page_that_shares_its_table_is_compared_with_the_entry_that_it_shares() {
    let said = told(
        "scenario s\npage A under M, B under N\ntable T\nframe f = 5\npmd M -> T, N -> T\nmap A -> f rw\n\
         cpu T0, T1\nagent T0\n  pte_clear A\n  flush_tlb A\n  put f\nagent T1 spontaneous\n  load B\n\
         never use of a freed frame\n",
    );
    for words in ["relies on tlb[T1][B] = f rw", "pte[A] has not said so since", "`flush_tlb B` is missing"] {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
}

#[test]
fn every_violation_of_the_catalogue_has_a_reason_and_what_is_missing_or_that_no_cache_is_stale() {
    let (mut seen, mut relies, mut missing) = (0, 0, 0);
    for entry in entries() {
        let Ok(packed) = engine::compile(&entry.lowered.model) else { continue };
        let Verdict::Violated { property, trace, .. } = engine::explore(&packed, &Options::default()).verdict
        else {
            continue;
        };
        let (name, said) = (&entry.lowered.name, why(&entry.lowered, &trace, property));
        if entry.lowered.model.properties[usize::from(property.0)].check == Check::Livelock {
            assert!(said[0].contains("never ends"), "{name}: {said:?}");
            continue;
        }
        if entry.lowered.model.properties[usize::from(property.0)].check == Check::Deadlock {
            assert!(said[0].contains(" waits for `"), "{name}: {said:?}");
            continue;
        }
        let [reason, rest] = said.as_slice() else { panic!("{name}: {said:?}") };
        assert!(reason.strip_prefix("why: ").is_some_and(|reason| !reason.is_empty()), "{name}: {reason}");
        for fact in reason.split("; ") {
            assert!(!fact.trim().is_empty() && !fact.ends_with(": "), "{name}: {reason}");
        }
        let stale = rest.starts_with("missing: ");
        assert!(stale || rest.starts_with("no cache is stale: "), "{name}: {rest}");
        seen += 1;
        relies += usize::from(reason.contains("relies on"));
        missing += usize::from(stale);
    }
    assert!(seen >= 214 && relies >= 140 && missing >= 161, "{seen} {relies} {missing}");
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
            "`notify_pmd M leaf` of CPU (line 18) leaves what is kept of upper entries: `notify_pmd M` is missing",
        ),
        ("posted-and-not-waited-for", "iotlb_inv A post) only put it into the queue"),
        ("pmd-unshare-without-flush", "pmd[MP] has not said so since row 4 (parent: pmd_clear MP)"),
        ("pmd-unshare-without-flush", "nothing emptied tlb[CPU0][A] after row 4: `flush_pmd MP` is missing"),
        ("pmd-unshare-flushes-after-it-drops", "pmd[MP] has not said so since row 4 (parent: pmd_clear MP)"),
        ("pasid-device-tlb-forgotten", "`devtlb_inv_pasid X` is missing"),
        ("superpage-without-invalidation", "`iotlb_inv A` is missing"),
        ("table-freed-under-a-walk", "(CPU: notify_pmd M) did not stop the walk that had read it in row 2"),
        ("retract-without-notifier", "relies on spte[A] = small rw, of row 2; pmd[M] has not said so"),
        ("age-cleared-without-flush-is-inexact", "row 8 relies on tlb[V0][A] = f rw young, of row 2"),
        ("age-cleared-without-flush-is-inexact", "nothing emptied tlb[V0][A] after row 3: `flush_tlb A`"),
        ("upgrade-not-notified", "row 13 relies on tlb[DEV][A] = f ro, of row 1"),
        ("downgrade-unmarked", "whoever uses tlb[T2][A] relies on f rw, of row 1; pte[A] has not said so"),
        ("change-pte-leaves-it-writable", "filled spte[A] with what pte[A] never said"),
        ("change-pte-alone-raises-no-number", "had read in row 2, and did not look again after row 8"),
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
        (
            "table-free-after-flush",
            "row 4 did not wait for gup, who had read pmd[M] in row 1: `ipi_sync` before it would have",
        ),
        ("table-free-with-interrupts-on", "(T0: ipi_sync) did not wait for gup"),
        ("ring-mapped-in-an-open-range", "worker had dropped its reference in row 14"),
        (
            "ksm-refcount-behind-a-broadcast-flush",
            "who had read pte[A] in row 3: `ipi_sync` before it would have",
        ),
        ("ksm-refcount-before-clear", "took the reference: pte[A] changed in row 6 only"),
        ("collapse-gup-looks-at-pte-only", "who had read pmd[M] in row 2"),
        ("huge-entry-read-then-written", "row 6 relies on T0.orig[A] = huge rw, of row 2"),
        ("torn-entry-read-once", "in row 7 (gup: if !h) h is 0, as row 5 (gup: h = high) wrote"),
        ("ksm-refcount-plain-stores", "reached memory in row 7 only, behind row 5 (ksmd: if pinned: no)"),
    ] {
        let said = of_catalogue(scenario);
        assert!(said.contains(words), "{scenario}: no `{words}` in:\n{said}");
    }
}

#[test]
fn a_late_store_is_behind_what_is_no_store() {
    let source = "scenario s\nvar a = 0..1, b = 0..1, c = 0..1, r = 0..1, t = 0..1\noption memory = tso\nagent p\n  \
                  a = 1\n  r = b\n  c = 1\nagent q\n  b = 1\n  fence\n  t = a\n  if c: end\nfinally r || t\n\
                  trace\np | q | p_buffer | q_buffer\na = 1 | | |\nr = b | | |\nc = 1 | | |\n | b = 1 | |\n \
                  | | | b = 1 reaches memory\n | fence | |\n | t = a | |\n | | a = 1 reaches memory |\n \
                  | if c: no | |\n | | c = 1 reaches memory |\n";
    let (scenario, lowered) = lowering::load(source).expect("it loads").remove(0);
    let found = lowering::replay(&lowered.model, &scenario.trace, source)
        .unwrap_or_else(|wrong| panic!("{}", wrong.render("late", source)));
    let said = why(&lowered, &found.trace, found.broken.expect("both saw nothing")).join("\n");
    assert!(
        said.contains("row 1 (p: a = 1) reached memory in row 8 only, behind row 2 (p: r = b)"),
        "{said}"
    );
}

#[test]
fn what_the_own_hardware_changed_behind_a_look_is_told() {
    let said = told(
        "scenario s\npage A\nframe f = 0\nmap A -> f rw -dirty\ncpu C\nagent C\n  pte_read A\n  store A = 1\n  \
         set_pte A -> orig\nfinally pte(A) has dirty\n",
    );
    let words =
        "row 5 relies on C.orig[A] = f rw, of row 1; pte[A] has not said so since row 3 (C: set_dirty A)";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_time_out_is_named_that_gave_up_the_invalidation() {
    let said = told(
        "scenario s\npage A\nframe old = 0\nmap A -> old rw\ncpu T0\ndevice DEV ats\noption timeout = late\n\
         agent T0\n  pte_clear A\n  iotlb_inv A\n  devtlb_inv A post\n  inv_wait else out\nout:\n  put old\n\
         agent DEV\n  repeat 0..2: dma_write A = 1\nnever use of a freed frame\n",
    );
    assert!(said.contains("(queue: devtlb_inv A: times out) gave up what would have"), "{said}");
}

/// What is said of a program of CPU0 and one of CPU1, if CPU0 has tags.
fn said_of_tags(own: &str, other: &str, never: &str) -> String {
    let source = format!(
        "scenario s\nmm P, C\ntag X, Y\npage A in P, B in C at A\nframe old = 0, b = 2\nmap A -> old rw, B -> b rw\n\
         cpu T0 in P tag X, T1 in P tag X\noption evict = off\noption deadlock = off\nvar x = 0..1\nagent T0\n{own}agent T1\n{other}\n\
         never {never}\n"
    );
    let (_, lowered) = lowering::load(&source).expect("it loads").remove(0);
    let packed = engine::compile(&lowered.model).expect("it is small");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => why(&lowered, &trace, property).join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whose_translation_a_tag_still_holds_is_told_with_the_switch_that_gave_it_on() {
    let given = |before: &str| format!("  walk A\n  {before}\n  switch C tag X\n  load B\n");
    for (before, words) in [
        (
            "x = 1",
            "of row 1; loaded_mm[T0] is C since row 3 (T0: switch C tag X)\nmissing: nothing emptied tlb[T0][A][X] before \
             row 3 (T0: switch C tag X): `flush_tag X` is missing",
        ),
        ("if x == 1: flush_tag X own", "`flush_tag X own` of T0 (line 13) was passed over"),
        (
            "flush_tag X own; walk A",
            "row 2 (T0: flush_tag X own) came too early: row 3 (T0: walk A) filled tlb[T0][A][X] again",
        ),
    ] {
        let said = said_of_tags(&given(before), "  x = 0\n", "T0 reads B == 0");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_flush_of_the_tag_in_use_is_told_with_that_tag() {
    let own = "  walk A\n  switch C tag Y\n  x = 1\n  switch P tag X\n  load A\n";
    let said = said_of_tags(
        own,
        "  when x == 1\n  pte_clear A\n  flush_tlb A on T0\n  put old\n",
        "use of a freed frame",
    );
    let words =
        "(T1: flush_tlb A on T0) reached the tag in use, and tag[T0] is Y since row 2 (T0: switch C tag Y)";
    assert!(said.contains(words), "{said}");
}
