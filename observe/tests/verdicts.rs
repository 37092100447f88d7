//! Orders that are edited to be wrong, or to show less: what is said of them, by name.

use observe::collect::{Collector, Found};
use observe::judge::{Judged, Ruling, Standing, judge};
use observe::report::Told;
use observe::vocabulary::Vocabulary;
use ordering::catalogue;

const PAGE: u64 = 0x7f00_0000_1000;
const START: &str = "__mmu_notifier_invalidate_range_start";
const END: &str = "__mmu_notifier_invalidate_range_end";
const NOTIFY: &str = "__mmu_notifier_invalidate_range";

/// Lines of the function tracer, of a thread that comes from user space and ends.
fn called(thread: &str, first: u32, calls: &[&str]) -> String {
    let all = ["handle_mm_fault <-x"].iter().chain(calls).chain(&["do_exit <-x"]);
    let line = |(at, call): (u32, &&str)| format!(" {thread} [000] ...1. {at}.5: {call}\n");
    (first..).zip(all).map(line).collect()
}

/// The same by kprobes, with arguments.
fn probed(first: u32, calls: &[(&str, String)]) -> String {
    let all = [("handle_mm_fault", String::new())].into_iter().chain(calls.iter().cloned());
    let all = all.chain([("do_exit", String::new())]);
    let line =
        |(at, (name, words))| format!(" t-9 [000] ...1. {at}.5: p_{name}: ({name}+0x0/0x60) {words}\n");
    (first..).zip(all).map(line).collect()
}

fn of(page: u64) -> String {
    format!("addr={:#x}", PAGE + page * 0x1000)
}

/// Pages from the first one to before the last one.
fn pages(first: u64, last: u64) -> String {
    format!("start={:#x} end={:#x}", PAGE + first * 0x1000, PAGE + last * 0x1000)
}

/// A whole COW break of 6.1 by another thread: the trace shows all of its steps whenever they happen.
fn shows_all() -> String {
    called(
        "u-8",
        1,
        &[
            "__mmu_notifier_invalidate_range_start <-wp_page_copy",
            "ptep_clear_flush <-wp_page_copy",
            "flush_tlb_mm_range <-ptep_clear_flush",
            "__mmu_notifier_invalidate_range <-wp_page_copy",
            "__mmu_notifier_change_pte <-wp_page_copy",
            "__mmu_notifier_invalidate_range_end <-wp_page_copy",
        ],
    )
}

fn found(kernel: &str, text: &str) -> (Vocabulary, Found) {
    let vocabulary = Vocabulary::with(None).expect("the table is right");
    let mut collector = Collector::new(&vocabulary, kernel.parse().ok());
    text.lines().for_each(|line| collector.line(line));
    let found = collector.finish();
    (vocabulary, found)
}

/// What is said of the last order.
fn last(kernel: &str, text: &str) -> Judged {
    let (vocabulary, found) = found(kernel, text);
    let mut judged = judge(&found, &vocabulary, &catalogue::entries());
    judged.pop().expect("there is an order")
}

fn standing(kernel: &str, text: &str) -> Standing {
    last(kernel, text).ruling.standing()
}

#[test]
fn a_change_that_nobody_flushes_is_proved_by_no_scenario_of_another_operation() {
    let orders: [&[&str]; 3] = [
        &[&format!("{START} <-x"), "ptep_clear_flush <-x", &format!("{END} <-x")],
        &["ptep_clear_flush <-x"],
        &["ptep_modify_prot_start <-x"],
    ];
    for order in orders {
        let judged = last("6.1", &(shows_all() + &called("t-9", 20, order)));
        assert!(judged.ruling.is_wrong(), "{order:?}: {}", Told(&judged));
    }
}

#[test]
fn a_scenario_without_the_users_whom_the_trace_shows_is_no_proof() {
    let order = [format!("{START} <-x"), "flush_tlb_mm_range <-x".to_owned(), format!("{END} <-x")];
    let order: Vec<&str> = order.iter().map(String::as_str).collect();
    let marked = " t-9 [000] ...1. 19.5: tracing_mark_write: scow\n";
    let judged = last("6.1", &(shows_all() + marked + &called("t-9", 20, &order)));
    assert_eq!(judged.title, "change of a mapping");
    let entries = catalogue::entries();
    if let Ruling::Right { best, others, .. } = &judged.ruling {
        for name in others.iter().chain([&best.scenario]) {
            let entry = entries.iter().find(|entry| entry.lowered.name == *name).expect("it is there");
            let kinds: Vec<_> = entry.lowered.scene.users.iter().map(|user| user.kind).collect();
            use ordering::language::syntax::UserKind;
            for kind in [UserKind::Cpu, UserKind::Vcpu, UserKind::Device] {
                assert!(kinds.contains(&kind), "{name} has no {kind:?}");
            }
        }
    }
}

#[test]
fn a_flush_of_another_page_alone_is_wrong_in_every_operation() {
    let flush = |page| ("flush_tlb_mm_range", pages(page, page + 1));
    for (name, sets, words) in [
        ("wp_page_copy", "set_pte_at", of(0)),
        ("write_protect_page", "set_pte_at", of(0)),
        ("try_to_migrate_one", "set_migration_pte", format!("{} pte=1", of(0))),
    ] {
        let with = |page| {
            let calls = [
                (name, String::new()),
                (START, pages(0, 1)),
                ("ptep_clear_flush", of(0)),
                flush(page),
                (sets, words.clone()),
                (END, String::new()),
            ];
            standing("6.18", &probed(1, &calls))
        };
        assert_eq!(with(9), Standing::Refuted, "{name}");
        assert_ne!(with(0), Standing::Refuted, "{name}");
    }
}

#[test]
fn a_flush_covers_what_was_changed_or_is_another_pages() {
    let zap = |changed: &[u64], flushes: &[(u64, u64)]| {
        let mut calls = vec![("zap_page_range_single", String::new()), (START, pages(0, 16))];
        calls.extend(changed.iter().map(|page| ("ptep_clear_flush", of(*page))));
        calls.extend(flushes.iter().map(|(first, last)| ("flush_tlb_mm_range", pages(*first, *last))));
        calls.push((END, String::new()));
        standing("6.18", &probed(1, &calls))
    };
    assert_eq!(zap(&[5], &[(0, 1)]), Standing::Refuted);
    assert_eq!(zap(&[5, 6], &[(5, 6)]), Standing::Refuted);
    for flushes in [&[(0, 16)][..], &[(5, 7)], &[(0, 400)], &[(5, 6), (6, 7)], &[(6, 7), (5, 6)]] {
        assert_eq!(zap(&[5, 6], flushes), Standing::New, "{flushes:?}");
    }
    // A range of which only the beginning is said may have all of them.
    let begun = |end: &str| {
        let calls = [
            ("zap_page_range_single", String::new()),
            (START, format!("start={PAGE:#x}{end}")),
            ("ptep_clear_flush", of(0)),
            ("ptep_clear_flush", of(1)),
            ("flush_tlb_mm_range", pages(0, 2)),
            (END, String::new()),
        ];
        standing("6.18", &probed(1, &calls))
    };
    assert_eq!(begun(""), Standing::New);
    assert_eq!(
        begun(&format!(" end={:#x}", PAGE + 0x1000)),
        Standing::Refuted,
        "the second page is not announced"
    );
    // Nobody listens, so that no range is announced.
    let alone = |flushes: &[(u64, u64)]| {
        let mut calls = vec![("zap_page_range_single", String::new())];
        calls.extend([1, 0].map(|page| ("ptep_clear_flush", of(page))));
        calls.extend(flushes.iter().map(|(first, last)| ("flush_tlb_mm_range", pages(*first, *last))));
        standing("6.18", &probed(1, &calls))
    };
    assert_eq!(alone(&[(0, 1)]), Standing::Refuted);
    assert_eq!(alone(&[(1, 2), (1, 2)]), Standing::Refuted);
    assert_eq!((alone(&[(0, 2)]), alone(&[(0, 1), (1, 2)])), (Standing::New, Standing::New));
    let whole = [("flush_tlb_mm_range", "start=0x0 end=0xffffffffffffffff".to_owned())];
    let start =
        [("zap_page_range_single", String::new()), (START, pages(0, 16)), ("ptep_clear_flush", of(5))];
    let calls = [&start[..], &whole, &[(END, String::new())]].concat();
    assert_eq!(standing("6.18", &probed(1, &calls)), Standing::New);
}

#[test]
fn the_end_of_a_range_may_notify_unseen_up_to_6_5() {
    let dontneed = [
        "zap_page_range_single <-madvise_vma_behavior",
        "__mmu_notifier_invalidate_range_start <-zap_page_range_single",
        "unmap_page_range <-zap_page_range_single",
        "page_remove_rmap <-unmap_page_range",
        "flush_tlb_mm_range <-tlb_finish_mmu",
        "__mmu_notifier_invalidate_range_end <-zap_page_range_single",
    ];
    assert_ne!(standing("6.1", &called("t-9", 20, &dontneed)), Standing::Refuted);
    assert_ne!(standing("6.1", &(shows_all() + &called("t-9", 20, &dontneed))), Standing::Refuted);
    let less: String = shows_all()
        .lines()
        .filter(|line| !line.contains(&format!("{NOTIFY} <-")))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(standing("6.1", &less), Standing::Untold, "of both scenarios that notify somewhere");
    let (_, of_6_18) = found("6.18", &less);
    let (_, of_6_1) = found("6.1", &less);
    assert!(of_6_1.ends_notify && !of_6_18.ends_notify);
}

#[test]
fn a_huge_page_that_migrates_is_one_operation_with_its_range() {
    let calls = [
        "try_to_migrate <-migrate_folio_unmap",
        "try_to_migrate_one <-rmap_walk_anon",
        "__mmu_notifier_invalidate_range_start <-try_to_migrate_one",
        "set_pmd_migration_entry <-try_to_migrate_one",
        "pmdp_invalidate <-set_pmd_migration_entry",
        "flush_tlb_mm_range <-pmdp_invalidate",
        "set_pmd_migration_entry <-try_to_migrate_one",
        "__mmu_notifier_invalidate_range_end <-try_to_migrate_one",
    ];
    let (_, found) = found("6.18", &called("t-9", 1, &calls));
    assert_eq!(found.orders.len(), 1, "{:#?}", found.orders);
    assert_ne!(standing("6.18", &called("t-9", 1, &calls)), Standing::Refuted);
}

#[test]
fn a_scenario_of_ours_is_refuted_by_what_the_kernel_does_alone() {
    let calls = [
        ("wp_page_copy", String::new()),
        (START, pages(0, 1)),
        ("ptep_clear_flush", of(0)),
        ("flush_tlb_mm_range", pages(0, 1)),
        ("set_pte_at", of(0)),
        ("ptep_clear_flush", of(0)),
        (END, String::new()),
    ];
    let judged = last("6.18", &probed(1, &calls));
    assert!(!Told(&judged).to_string().contains("deadlock"), "{}", Told(&judged));
}

#[test]
fn a_new_order_and_one_that_shows_no_flush_are_not_those_of_proved_scenarios() {
    let calls = |flush: bool| {
        let mut calls = vec![
            ("wp_page_copy", String::new()),
            (START, pages(0, 1)),
            ("ptep_clear_flush", of(0)),
            ("set_pte_at", of(0)),
            (END, String::new()),
        ];
        let flushes = [("flush_tlb_mm_range", pages(7, 8)), ("flush_tlb_mm_range", pages(0, 1))];
        calls.splice(3..3, flushes.into_iter().filter(|_| flush));
        probed(1, &calls)
    };
    assert_eq!(standing("6.18", &calls(true)), Standing::New);
    assert_eq!(standing("6.18", &calls(false)), Standing::Untold, "a missing flush would look the same");
}

#[test]
fn what_one_recording_does_not_show_is_not_missing_because_another_shows_it() {
    let vocabulary = Vocabulary::with(None).unwrap();
    let less: String = shows_all()
        .replace("u-8", "t-9")
        .lines()
        .filter(|line| !line.contains("flush_tlb"))
        .fold(String::new(), |text, line| text + line + "\n");
    let judged = |texts: [&str; 2]| {
        let mut collector = Collector::new(&vocabulary, "6.1".parse().ok());
        for text in texts {
            text.lines().for_each(|line| collector.line(line));
            collector.end_of_file();
        }
        judge(&collector.finish(), &vocabulary, &catalogue::entries())
    };
    for texts in [[&*less, &*shows_all()], [&*shows_all(), &*less]] {
        assert!(judged(texts).iter().all(|one| !one.ruling.is_wrong()), "{texts:?}");
    }
}

#[test]
fn a_flush_behind_the_ranges_of_a_fork_accuses_nobody() {
    let calls = [
        "copy_page_range <-dup_mmap",
        "__mmu_notifier_invalidate_range_start <-copy_page_range",
        "__mmu_notifier_invalidate_range_end <-copy_page_range",
        "copy_page_range <-dup_mmap",
        "flush_tlb_mm_range <-dup_mmap",
    ];
    assert_eq!(standing("6.1", &(shows_all() + &called("t-9", 20, &calls))), Standing::Unknown);
}
