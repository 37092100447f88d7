//! Which lines are one operation, and what is kept of endless and hostile input.

use super::{Collector, Found, MOST_ORDERS};
use crate::order::Who;
use crate::vocabulary::{Kernel, Vocabulary};

fn found(text: &str, kernel: Option<Kernel>) -> Found {
    let vocabulary = Vocabulary::with(None).unwrap();
    let mut collector = Collector::new(&vocabulary, kernel);
    text.lines().for_each(|line| collector.line(line));
    collector.finish()
}

/// Lines of functions of one thread.
fn functions(names: &[&str]) -> String {
    names.iter().map(|name| format!(" t-9 [000] ...1. 1.5: {name}\n")).collect()
}

fn steps(found: &Found) -> Vec<Vec<String>> {
    let mut all: Vec<_> = found.orders.iter().collect();
    all.sort_by_key(|(_, count)| count.example.line);
    all.iter().map(|(order, _)| order.rows.iter().map(|row| row.text.clone()).collect()).collect()
}

const COW: [&str; 6] = [
    "__mmu_notifier_invalidate_range_start <-wp_page_copy",
    "ptep_clear_flush <-wp_page_copy",
    "flush_tlb_mm_range <-ptep_clear_flush",
    "tlb_flush: pages:1 reason:local MM shootdown (3)",
    "__mmu_notifier_change_pte <-wp_page_copy",
    "__mmu_notifier_invalidate_range_end <-wp_page_copy",
];

#[test]
fn operations_of_one_thread_end_where_it_begins_another() {
    let twice = functions(&[COW, COW].concat());
    let found = found(&twice, None);
    assert_eq!(
        steps(&found),
        [["notify_start A", "pte_clear A", "flush_tlb A", "change_pte A", "notify_end A"]]
    );
    assert_eq!(found.orders.values().map(|count| count.times).collect::<Vec<_>>(), [2]);
}

#[test]
fn threads_are_kept_apart() {
    let mut text = String::new();
    for name in COW {
        text.push_str(&format!(" t-9 [000] ...1. 1.5: {name}\n u-8 [001] ...1. 1.5: {name}\n"));
    }
    assert_eq!(found(&text, None).orders.values().map(|count| count.times).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_notification_inside_of_the_end_of_a_range_comes_before_it() {
    let found = found(
        &functions(&[
            "__mmu_notifier_invalidate_range_start <-change_protection",
            "__mmu_notifier_invalidate_range_end <-change_protection",
            "kvm_mmu_notifier_invalidate_range <-__mmu_notifier_invalidate_range_end",
            "kvm_mmu_notifier_invalidate_range_end <-__mmu_notifier_invalidate_range_end",
            "flush_tlb_mm_range <-tlb_finish_mmu",
            "__mmu_notifier_invalidate_range <-tlb_finish_mmu",
        ]),
        None,
    );
    assert_eq!(steps(&found), [["notify_start A", "notify A", "notify_end A", "flush_tlb A", "notify A"]]);
}

#[test]
fn an_order_that_the_trace_cuts_off_is_known_to_be_open() {
    let cut = format!("{}CPU:0 [LOST 5 EVENTS]\n", functions(&COW[..2]));
    let found = found(&format!("{cut}{}", functions(&COW)), None);
    assert_eq!(found.totals.lost, 5);
    assert_eq!(found.orders.keys().filter(|order| order.open.unflushed).count(), 1);
}

#[test]
fn a_range_without_a_change_is_counted_and_no_order() {
    let found = found(&functions(&[COW[0], COW[5]]), None);
    assert_eq!((found.orders.len(), found.totals.unchanged), (0, 1));
}

#[test]
fn a_vcpu_that_maps_the_page_again_belongs_to_whoever_zapped_it() {
    let text = functions(&[
        COW[0],
        "kvm_tdp_mmu_spte_changed: as id 0 gfn 8005 level 1 old_spte 3fdcc825 new_spte 0",
        COW[1],
        COW[2],
    ]);
    let fault = " v-7 [001] ...1. 1.6: kvm_mmu_set_spte: gfn 8005 spte 3fdfde67 (rwxu) level 1 at 9506028\n";
    let other = " v-7 [001] ...1. 1.6: kvm_mmu_set_spte: gfn 8006 spte 3fdfde67 (rwxu) level 1 at 9506030\n";
    let found = found(&format!("{text}{fault}{other}"), None);
    let who: Vec<Who> = found.orders.keys().next().unwrap().rows.iter().map(|row| row.who).collect();
    assert_eq!(who, [Who::Operator, Who::Operator, Who::Operator, Who::Vcpu]);
    assert_eq!(found.totals.stray, 1);
}

#[test]
fn what_a_kernel_does_not_have_never_happens_unseen() {
    let text = functions(&COW[..3]);
    let shows = |kernel| found(&text, kernel).shown.contains(&steps::table::Verb::ChangePte);
    assert!(!shows(None) && !shows(Some(Kernel(6, 1))));
    assert!(shows(Some(Kernel(6, 18))));
}

#[test]
fn events_that_nobody_knows_are_counted_by_name() {
    let found = found(
        &functions(&["sched_switch: prev_comm=a", "sched_switch: prev_comm=b", "my_function <-x"]),
        None,
    );
    let unknown: Vec<(&str, u64)> =
        found.unknown.iter().map(|(name, times)| (name.as_str(), *times)).collect();
    assert_eq!(unknown, [("my_function", 1), ("sched_switch", 2)]);
}

#[test]
fn whatever_comes_what_is_kept_is_bounded() {
    let vocabulary = Vocabulary::with(None).unwrap();
    let names: Vec<&str> =
        vocabulary.rows().iter().map(|row| row.name.as_str()).filter(|name| !name.contains('@')).collect();
    let mut random = fastrand::Rng::with_seed(3);
    let mut collector = Collector::new(&vocabulary, None);
    for number in 0..100_000_u32 {
        let name = names[random.usize(0..names.len())];
        let (thread, page) = (random.u32(0..9000), random.u64(..) & !0xfff);
        collector.line(&match random.u8(0..6) {
            0 => format!(" t-{thread} [000] ...1. 1.5: {name} <-{}", names[random.usize(0..names.len())]),
            1 => format!(" t-1 [000] ...1. 1.5: {name}: addr={page:#x} start={page:#x} gfn {page:x} hva: {page:#x} address={page:#x}"),
            2 => format!(" t-2 [000] ...1. 1.5: kvm_unmap_hva_range: mmu notifier unmap range: {page:#x} -- {:#x}", page.wrapping_add(0x1000)),
            3 => format!(" t-3 [000] ...1. 1.5: name{number} <-x"),
            4 => " +1.5us cpu0 tid 9  **HOST-PTE WRITE** at somewhere_else+0x1".to_owned(),
            _ => (0..random.usize(0..200)).map(|_| random.char(..)).collect(),
        });
        assert!(collector.threads.len() <= super::MOST_THREADS);
    }
    let found = collector.finish();
    assert!(found.orders.len() <= MOST_ORDERS && found.unknown.len() <= super::MOST_NAMES + 1);
    assert!(
        found
            .orders
            .keys()
            .all(|order| order.rows.len() <= 96 && order.rows.iter().all(|row| row.functions.len() <= 4))
    );
    assert!(found.totals.events > 50_000, "{:?}", found.totals);
}

#[test]
fn orders_that_are_too_many_to_be_told_apart_are_counted() {
    const BEYOND: usize = 5;
    let mut text = String::new();
    for number in 0..MOST_ORDERS + BEYOND {
        let mut names = vec!["page_fault_user: address=0x1000"];
        for bit in 0..13 {
            names.push("ptep_clear_flush <-nobody");
            names.extend((number >> bit & 1 == 1).then_some("flush_tlb_mm_range <-nobody"));
            names.push("native_set_pte <-nobody");
        }
        text.push_str(&functions(&names));
    }
    let found = found(&text, None);
    assert_eq!((found.orders.len(), found.totals.uncounted), (MOST_ORDERS, BEYOND as u64));
}

#[test]
fn an_operation_of_too_many_rows_or_pages_is_unsure_and_bounded() {
    let turns = ["ptep_clear_flush <-nobody", "native_set_pte <-nobody"];
    let rows = |number: usize| {
        let names: Vec<&str> = turns.into_iter().cycle().take(number).collect();
        let found = found(&functions(&names), None);
        let (order, _) = found.orders.into_iter().next().unwrap();
        (order.rows.len(), order.open.unsure)
    };
    assert_eq!((rows(48), rows(49), rows(500)), ((48, false), (48, true), (48, true)));
    let pages = |number: usize| {
        let names: Vec<String> =
            (1..=number).map(|page| format!("ptep_clear_flush: addr={page:#x}000")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = found(&functions(&names), None);
        let (order, count) = found.orders.into_iter().next().unwrap();
        (count.example.pages.len(), order.open.unsure)
    };
    assert_eq!((pages(4), pages(5), pages(40)), ((4, false), (5, true), (32, true)));
}

#[test]
fn what_is_kept_of_names_is_short_and_plain() {
    let name = format!("f\u{7}{}", "x".repeat(500));
    let found = found(&format!(" t-9 [000] ...1. 1.5: {name} <-g\n t-9 [000] ...1. 1.6: {name}: a\n"), None);
    assert!(
        found.unknown.keys().all(|name| name.len() <= 80 && !name.contains('\u{7}')),
        "{:?}",
        found.unknown
    );
    assert!(!found.unknown.is_empty());
}

#[test]
fn what_a_row_says_of_its_operation_outweighs_the_fault_before_it() {
    let after = |write: &str| {
        let text = format!(
            "P=0x7000\n t-9 [000] ..... 1.5: page_fault_user: address=0x1000 ip=0x2000 error_code=0x7\n \
             t-9 [000] ..... 1.6: kvm_unmap_hva_range: mmu notifier unmap range: 0x00007000 -- 0x00008000\n \
             t-9 [000] ..... 1.6: **PTE WRITE** at {write}\n \
             t-9 [000] ..... 1.7: tlb_flush: pages:1 reason:remote IPI send (4)\n"
        );
        let found = found(&text, "6.18".parse().ok());
        found.orders.keys().map(|order| order.operation.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(after("copy_page_range+0x1720"), ["fork"]);
    assert_eq!(after("ptep_clear_flush+0xe"), ["cow"]);
}

/// Lines of kprobes of one thread, with what they say.
fn probes(calls: &[(&str, &str)]) -> String {
    calls
        .iter()
        .map(|(name, words)| format!(" t-9 [000] ...1. 1.5: p: ({name}+0x0/0x60) {words}\n"))
        .collect()
}

#[test]
fn flushes_of_two_pages_are_two_and_one_of_both_is_one_of_each() {
    let clears =
        [("handle_mm_fault", ""), ("ptep_clear_flush", "addr=0x1000"), ("ptep_clear_flush", "addr=0x2000")];
    let with = |flushes: &[(&str, &str)]| {
        let found = found(&probes(&[&clears, flushes].concat()), "6.18".parse().ok());
        steps(&found).remove(0)[2..].to_vec()
    };
    let flush = |words| ("flush_tlb_mm_range", words);
    let (first, second) = ("start=0x1000 end=0x2000", "start=0x2000 end=0x3000");
    assert_eq!(with(&[flush(first), flush(second)]), ["flush_tlb A", "notify A", "flush_tlb B", "notify B"]);
    let both = ["flush_tlb A", "flush_tlb B", "notify A", "notify B"];
    for words in ["start=0x1000 end=0x3000", "start=0x0 end=0xffffffffffffffff", ""] {
        assert_eq!(with(&[flush(words)]), both, "{words}");
        // The tracepoint inside of it is the same flush.
        assert_eq!(with(&[flush(words), ("tlb_flush", "pages:2 reason:remote (3)")]), both, "{words}");
    }
    assert_eq!(with(&[flush(first)]), ["flush_tlb A", "notify A"]);
    assert_eq!(with(&[flush("start=0x9000 end=0xa000")]), ["flush_tlb C", "notify C"]);
}

#[test]
fn a_notification_behind_the_end_of_a_range_stays_there_if_somebody_else_gives_it() {
    let order = |caller: &str| {
        let calls = [COW[0], COW[1], COW[2], COW[5], &format!("kvm_mmu_notifier_invalidate_range{caller}")];
        let found = found(&functions(&calls), "6.1".parse().ok());
        let (order, _) = found.orders.into_iter().next().unwrap();
        order.rows[3..].iter().map(|row| (row.verb.name(), row.late)).collect::<Vec<_>>()
    };
    assert_eq!(order(" <-__mmu_notifier_invalidate_range_end"), [("notify", false), ("notify_end", false)]);
    assert_eq!(order(" <-mn_hlist_invalidate_end"), [("notify", false), ("notify_end", false)]);
    assert_eq!(order(" <-some_worker"), [("notify_end", false), ("notify", false)]);
    assert_eq!(
        order(": start=0x1000"),
        [("notify", true), ("notify_end", false)],
        "which is not seen is said"
    );
}

#[test]
fn what_a_trace_begins_in_the_midst_of_is_not_whole() {
    let torn = |text: &str| {
        let found = found(text, None);
        found.orders.keys().map(|order| order.open.torn).collect::<Vec<_>>()
    };
    assert_eq!(torn(&functions(&COW[1..])), [true]);
    for begin in ["handle_mm_fault <-x", "tracing_mark_write: begin", "wp_page_copy <-x", COW[0]] {
        assert_eq!(torn(&functions(&[&[begin], &COW[1..]].concat())), [false], "{begin}");
    }
    let second = functions(&[&["replace_page <-x"], &COW[..]].concat());
    assert_eq!(
        torn(&second.replace("wp_page_copy", "replace_page")),
        [true],
        "the first half of a merge is missing"
    );
    let header = |numbers: &str| format!("# entries-in-buffer/entries-written: {numbers}   #P:4\n");
    let lost = |numbers| found(&(header(numbers) + &functions(&COW)), None).totals.lost;
    assert_eq!((lost("140080/250280"), lost("6/6")), (110_200, 0));
}

#[test]
fn a_vcpu_that_maps_a_page_again_belongs_to_the_last_one_who_zapped_it_whatever_their_names() {
    let of = |thread: &str| {
        let zap = "kvm_tdp_mmu_spte_changed: as id 0 gfn 8005 level 1 old_spte 3fdcc825 new_spte 0";
        let calls = functions(&[COW[0], zap, COW[1], COW[2]]);
        calls.replace(" t-9 ", &format!(" {thread} "))
    };
    let fault = " v-7 [001] ...1. 1.6: kvm_mmu_set_spte: gfn 8005 spte 3fdfde67 (rwxu) level 1 at 9506028\n";
    for (first, second) in [("a-1", "b-2"), ("b-2", "a-1"), ("c-3", "a-1")] {
        let found = found(&(of(first) + &of(second) + fault), None);
        let walked = |rows: &[crate::order::Seen]| rows.iter().any(|row| row.who == Who::Vcpu);
        let (_, count) = found.orders.iter().find(|(order, _)| walked(&order.rows)).unwrap();
        assert_eq!(count.example.thread, second);
    }
}

#[test]
fn names_and_labels_cannot_change_how_a_terminal_shows_them() {
    let text =
        functions(&[&["tracing_mark_write: \u{202e}wo\u{2066}c\u{200b}\u{1b}[31m"], &COW[..]].concat());
    let found = found(&text.replace(" t-9 ", " t\u{202e}\u{e0041}-9 "), None);
    let example = &found.orders.values().next().unwrap().example;
    assert_eq!((&*example.thread, example.label.as_deref()), ("t-9", Some("woc[31m")));
}

#[test]
fn what_is_said_to_be_a_kernel_and_is_none_is_told() {
    let of = |text: &str| found(&format!("{text}\n{}", functions(&COW)), None);
    assert_eq!(of("# kernel: junk").no_kernel.as_deref(), Some("junk"));
    assert_eq!((of("# kernel: 6.1").no_kernel, of("# kernel: 6.1").kernel), (None, Some(Kernel(6, 1))));
    assert!(
        crate::report::Rest(&of("# kernel: junk")).to_string().contains("`junk` is said to be the kernel")
    );
}

#[test]
fn halves_of_a_merge_are_one_up_to_the_line_that_ends_it() {
    let half = |page: u64| {
        format!(
            " ksmd-37 [000] ...1. 1.5: kvm_unmap_hva_range: range: {page:#x}000 -- {:#x}000\n\
             \x20ksmd-37 [000] ...1. 1.5: tlb_flush: pages:1 reason:remote (4)\n",
            page + 1
        )
    };
    let ends = " ksmd-37 [000] ...1. 1.5: ksm_merge_with_ksm_page: ksm_page 1 pfn 2 err 0\n";
    let begin = format!(" a-1 [001] ...1. 1.4: tracing_mark_write: afterimage: ksm begin\n{ends}");
    let starts = |text: &str| {
        let found = found(&format!("{begin}{text}"), "6.18".parse().ok());
        let mut all: Vec<_> = found.orders.into_iter().collect();
        all.sort_by_key(|(_, count)| count.example.line);
        all.iter()
            .map(|(order, _)| order.rows.iter().filter(|row| row.text.starts_with("notify_start")).count())
            .collect::<Vec<_>>()
    };
    assert_eq!(starts(&(half(1) + ends + &half(2) + &half(2) + ends)), [1, 2]);
    assert_eq!(starts(&(half(1) + ends + &half(1) + ends)), [1], "the same order twice");
    assert_eq!(starts(&(half(1) + &half(3) + ends)), [1], "of two pages");
}
