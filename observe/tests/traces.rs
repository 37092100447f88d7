//! The traces of real kernels under tests/traces, from the text to the verdict, and one into which a wrong order was edited.

use std::fs;

use observe::collect::{Collector, Found};
use observe::judge::{Judged, Ruling, judge};
use observe::report::{Rest, Told};
use observe::vocabulary::Vocabulary;
use ordering::answer::Answered;
use ordering::catalogue;
use steps::table::Verb;

fn found(text: &str) -> Found {
    let vocabulary = Vocabulary::with(None).expect("the table is right");
    let mut collector = Collector::new(&vocabulary, None);
    text.lines().for_each(|line| collector.line(line));
    collector.finish()
}

fn observed(text: &str) -> Vec<Judged> {
    let found = found(text);
    let vocabulary = Vocabulary::with(None).expect("the table is right");
    let judged = judge(&found, &vocabulary, &catalogue::entries());
    let told: String = judged.iter().map(|one| Told(one).to_string()).collect();
    assert!(told.lines().count() > judged.len() && Rest(&found).to_string().contains("lines"));
    judged
}

fn trace(name: &str) -> String {
    fs::read_to_string(format!("../tests/traces/{name}.txt")).expect("the trace is there")
}

/// Operation, ruling and scenario of each order, in a word.
fn words(judged: &[Judged]) -> Vec<String> {
    let word = |one: &Judged| {
        let of = match &one.ruling {
            Ruling::Right { best, explored, .. } => {
                assert_eq!(explored.answered, Answered::Proved);
                format!("as {}", best.scenario)
            }
            Ruling::Wrong { best, explored, .. } => {
                assert_eq!(explored.answered, Answered::Violated);
                assert!(explored.table.is_some(), "with its counterexample");
                format!("wrong as {}", best.scenario)
            }
            Ruling::New { explored, .. } => {
                format!("new, {}", explored.as_ref().expect("it was explored").answered)
            }
            Ruling::Unjudged { .. } => "not judged".to_owned(),
        };
        format!("{}: {of}", one.title)
    };
    judged.iter().map(word).collect()
}

#[test]
fn a_cow_break_of_linux_6_1_is_the_order_of_its_scenario() {
    let judged = observed(&trace("linux-6.1-cow-break"));
    assert_eq!(words(&judged), ["COW break: as cow-linux-6.1", "MADV_DONTNEED: not judged"]);
    let Ruling::Right { others, untold, .. } = &judged[0].ruling else { panic!("it is right") };
    assert!(others.is_empty() && untold.is_empty(), "the trace shows all: {others:?} {untold:?}");
}

#[test]
fn ksm_of_linux_6_1_protects_one_page_and_merges_another() {
    let judged = observed(&trace("linux-6.1-ksm-merge"));
    assert_eq!(words(&judged), ["KSM merge: as ksm-linux-6.1"; 2]);
    let starts = |one: &Judged| one.order.operator().filter(|row| row.verb == Verb::NotifyStart).count();
    assert_eq!(judged.iter().map(starts).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn zaps_and_mprotect_of_linux_6_1_flush_behind_their_range() {
    let judged = observed(&trace("linux-6.1-dontneed-mapfixed-mprotect-collapse"));
    let expected = [
        "COW break: as cow-linux-6.1",
        "MADV_DONTNEED: as dontneed-linux-6.1",
        "munmap or MAP_FIXED: as dontneed-linux-6.1",
        "mprotect: as mprotect-linux-6.1",
    ];
    assert_eq!(words(&judged), expected);
}

#[test]
fn kprobes_with_values_show_the_same_orders() {
    let judged = observed(&trace("linux-6.1-with-pte-values"));
    let expected = [
        "COW break: as cow-linux-6.1",
        "change of a mapping: as dontneed-linux-6.1",
        "COW break: as cow-linux-6.1",
        "KSM merge: as ksm-linux-6.1",
        "KSM merge: as ksm-linux-6.1",
        "collapse into a huge page: new, PROVED",
    ];
    assert_eq!(words(&judged), expected);
}

#[test]
fn watchpoints_of_linux_6_18_show_every_write_of_the_entry() {
    let judged = observed(&trace("linux-6.18-pte-writes"));
    let words = words(&judged);
    for expected in [
        "COW break: as cow-linux-6.18",
        "mprotect: as mprotect-linux-6.18",
        "MADV_DONTNEED: as dontneed-linux-6.18",
        "munmap or MAP_FIXED: as dontneed-linux-6.18",
        "fork: as mprotect-linux-6.18",
    ] {
        assert!(words.iter().any(|word| word == expected), "{expected}: {words:#?}");
    }
    assert!(words.iter().any(|word| word.starts_with("mremap: new")), "{words:#?}");
    assert!(judged.iter().all(|one| !one.ruling.is_wrong()), "{words:#?}");
}

#[test]
fn a_notification_that_is_moved_into_range_end_is_the_known_wrong_order() {
    let text = trace("linux-6.1-cow-break");
    let is_notify = |line: &&str| line.contains("notifier_invalidate_range <-");
    let moved: Vec<&str> = text.lines().filter(is_notify).take(2).collect();
    let end = text
        .lines()
        .find(|line| line.contains("__mmu_notifier_invalidate_range_end <-wp_page_copy"))
        .unwrap();
    let rest: Vec<&str> = text.lines().filter(|line| !moved.contains(line)).collect();
    let edited = rest.join("\n").replace(end, &format!("{}\n{end}", moved.join("\n")));
    let judged = observed(&edited);
    assert_eq!(words(&judged)[0], "COW break: wrong as cow-linux-6.1-notified-at-end");
    assert!(judged[0].ruling.is_wrong());
}

#[test]
fn an_entry_that_is_set_before_the_flush_is_a_new_order_and_refuted_at_once() {
    let text = trace("linux-6.18-pte-writes");
    let (before, section) = text.split_once("--- COW break").unwrap();
    let header: String =
        before.lines().take_while(|line| !line.starts_with("---")).map(|line| format!("{line}\n")).collect();
    let section = section.split("\n---").next().unwrap();
    let set = section.lines().find(|line| line.contains("native_set_pte")).unwrap();
    let flush = section.lines().find(|line| line.contains("tlb_flush")).unwrap();
    let edited = section.replace(&format!("{set}\n"), "").replace(flush, &format!("{set}\n{flush}"));
    let judged = observed(&format!("{header}--- COW break{edited}"));
    assert_eq!(words(&judged), ["COW break: new, VIOLATED"]);
    assert!(judged[0].ruling.is_wrong());
    assert!(Told(&judged[0]).to_string().contains("# VIOLATION: never reads A == 0 after T0 writes A"));
}

#[test]
fn a_zap_of_kvms_entry_that_comes_late_is_told_and_refuted() {
    let text = trace("linux-6.1-cow-break");
    let lines: Vec<&str> = text.lines().take_while(|line| !line.contains("cow end")).collect();
    let late = |line: &&str| {
        line.contains("spte_changed: as id 0 gfn 8005 level 1 old_spte 3fdcc825")
            || line.contains("kvm_flush_remote_tlbs <-")
    };
    let moved: Vec<&str> = lines.iter().copied().filter(late).collect();
    let rest: Vec<&str> = lines.iter().copied().filter(|line| !late(line)).collect();
    let end = rest.iter().position(|line| line.contains("page_remove_rmap <-wp_page_copy")).unwrap();
    let edited = [&rest[..end], &moved, &rest[end..]].concat().join("\n");
    let judged = observed(&edited);
    assert!(judged[0].order.rows.iter().any(|row| row.late), "{:#?}", judged[0].order.rows);
    assert!(judged[0].ruling.is_wrong(), "{:?}", words(&judged));
}
