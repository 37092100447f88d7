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

/// The text with times in the order of its lines, of which some were moved.
fn timed_anew(text: &str) -> String {
    let line = |(number, line): (usize, &str)| match line.split_once("us cpu") {
        Some((time, rest)) if time.trim_start().starts_with('+') => format!("+{number}us cpu{rest}\n"),
        Some((_, rest)) => format!("{number:9}us cpu{rest}\n"),
        None => format!("{line}\n"),
    };
    text.lines().enumerate().map(line).collect()
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
    let judged = observed(&trace("linux-6.1-dontneed-mapfixed-mprotect"));
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
    let judged = observed(&timed_anew(&edited));
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
    let unset = section.replace(&format!("{set}\n"), "");
    let edited = unset.replace(flush, &format!("{set}\n{flush}"));
    let judged = observed(&timed_anew(&format!("{header}--- COW break{edited}")));
    assert_eq!(words(&judged), ["COW break: new, VIOLATED"]);
    assert!(judged[0].ruling.is_wrong());
    assert!(Told(&judged[0]).to_string().contains("# VIOLATION: never reads A == 0 after T0 writes A"));
    // All writes of this entry are shown, so one that is not there has not happened.
    let judged = observed(&format!("{header}--- COW break{unset}"));
    assert_ne!(words(&judged), ["COW break: as cow-linux-6.18"]);
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
    let judged = observed(&timed_anew(&edited));
    assert!(judged[0].order.rows.iter().any(|row| row.late), "{:#?}", judged[0].order.rows);
    assert!(judged[0].ruling.is_wrong(), "{:?}", words(&judged));
}

/// The lines of a COW break with its fault, as the kernel calls the functions.
fn cow_break(times: impl Iterator<Item = u32>) -> Vec<String> {
    let lines = [
        "__mmu_notifier_invalidate_range_start <-wp_page_copy",
        "ptep_clear_flush <-wp_page_copy",
        "flush_tlb_mm_range <-ptep_clear_flush",
        "__mmu_notifier_invalidate_range <-wp_page_copy",
        "__mmu_notifier_change_pte <-wp_page_copy",
        "__mmu_notifier_invalidate_range_end <-wp_page_copy",
    ];
    times.zip(lines).map(|(time, line)| format!(" t-9 [000] ...1. {time}.5: {line}")).collect()
}

/// Rulings of an order whose lines were recorded so.
fn of_lines(lines: &[String]) -> Vec<String> {
    words(&observed(&format!("# kernel: 6.1\n{}\n", lines.join("\n"))))
}

#[test]
fn what_the_kernel_dropped_makes_no_order_wrong() {
    const RIGHT: &str = "COW break: as cow-linux-6.1";
    const NOT_JUDGED: &str = "COW break: not judged";
    let whole = cow_break(1..);
    // Another thread's, so that it is known that the trace shows ranges.
    let before: Vec<String> = whole.iter().map(|line| line.replace("t-9", "u-8")).collect();
    let behind = |rest: &[String]| of_lines(&[&before, rest].concat());
    assert_eq!(behind(&whole), [RIGHT]);
    // It was in user space before, so that nothing of it is missing.
    let fault = " t-9 [000] ...1. 0.5: handle_mm_fault <-x".to_owned();
    let found = behind(&[&[fault], &whole[1..]].concat());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        ![RIGHT, NOT_JUDGED].contains(&found[1].as_str()),
        "it has no start, which would have been seen: {found:?}"
    );
    let at = |gap: &str, at: usize| {
        let mut lines = whole.clone();
        lines.insert(at, gap.to_owned());
        behind(&lines)
    };
    for place in 1..whole.len() {
        let found = at("CPU:0 [LOST 5 EVENTS]", place);
        assert!(found.contains(&NOT_JUDGED.to_owned()), "{place}: {found:?}");
        assert!(found.iter().all(|one| one == NOT_JUDGED || one == RIGHT), "{place}: {found:?}");
    }
    for gap in ["CPU:0 [5 EVENTS DROPPED]", "Lost 5 events", "..."] {
        assert!(at(gap, 3).contains(&NOT_JUDGED.to_owned()), "{gap}");
    }
    assert_eq!(at("CPU:0 [LOST 5 EVENTS]", 0), [RIGHT], "what begins behind it is whole");
}

#[test]
fn lines_whose_times_go_back_are_no_order() {
    let swapped = cow_break([1, 3, 2, 4, 5, 6].into_iter());
    let found = of_lines(&swapped);
    assert!(found.iter().all(|one| one == "COW break: not judged"), "{found:?}");
    assert_eq!(of_lines(&cow_break([7; 6].into_iter())), ["COW break: as cow-linux-6.1"], "a coarse clock");
    // Another thread's clock is another.
    let other = " u-8 [001] ...1. 0.5: ptep_clear_flush <-nobody".to_owned();
    let mut mixed = cow_break(1..);
    mixed.insert(3, other);
    assert!(of_lines(&mixed).contains(&"COW break: as cow-linux-6.1".to_owned()));
}

#[test]
fn a_thread_that_ends_leaves_nothing_to_the_next_one_of_its_number() {
    let whole = cow_break(1..);
    let exit = " t-9 [000] ...1. 3.7: do_exit <-do_group_exit".to_owned();
    let next = cow_break(11..);
    let lines = [&whole[..2], &[exit], &next].concat();
    let found = of_lines(&lines);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "COW break: as cow-linux-6.1");
}

#[test]
fn cpus_that_print_in_turn_mix_up_no_orders() {
    let of = |thread: &str| -> Vec<String> {
        cow_break(1..).iter().map(|line| line.replace("t-9 [000]", thread)).collect()
    };
    let (one, other) = (of("t-9 [000]"), of("t-8 [001]"));
    let turns: Vec<String> =
        one.iter().zip(&other).flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    assert_eq!(of_lines(&turns), ["COW break: as cow-linux-6.1"]);
    // A thread that moves to another CPU is the same.
    let moved: Vec<String> = of("t-9 [000]")[..2].iter().chain(&of("t-9 [001]")[2..]).cloned().collect();
    assert_eq!(of_lines(&moved), ["COW break: as cow-linux-6.1"]);
}

#[test]
fn what_the_end_of_the_trace_cuts_off_is_not_judged() {
    let whole = cow_break(1..);
    let before: Vec<String> = whole.iter().map(|line| line.replace("t-9", "u-8")).collect();
    for (rest, left) in [(&whole[1..2], "a flush"), (&whole[..5], "the end of its range")] {
        let found = of_lines(&[&before, rest].concat());
        let expected = ["COW break: as cow-linux-6.1", "COW break: not judged"];
        assert_eq!(found.len(), 2, "{left}: {found:?}");
        assert!(expected.iter().all(|one| found.iter().any(|found| found == one)), "{left}: {found:?}");
    }
}

#[test]
fn an_entry_that_somebody_unknown_writes_leaves_the_order_unjudged() {
    let called = |line: &String| {
        let (function, caller) = line.rsplit_once(": ").and_then(|(_, call)| call.split_once(" <-")).unwrap();
        format!("func={function} caller={caller} pid=9")
    };
    let mut lines: Vec<String> = cow_break(1..).iter().map(called).collect();
    assert_eq!(of_lines(&lines), ["COW break: as cow-linux-6.1"]);
    lines.insert(3, "event=pte by=somebody_new pid=9".to_owned());
    assert_eq!(of_lines(&lines), ["COW break: not judged"]);
}
