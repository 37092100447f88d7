//! Every format, and what is none.

use super::{Binary, read};
use crate::line::{Event, Line};

fn event(text: &str) -> Event<'_> {
    match read(text) {
        Line::Event(event) => event,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn one_function_is_read_alike_from_every_format() {
    for (text, thread, time) in [
        (
            "          labtest-93      [000] ...1.  10842.327272: ptep_clear_flush <-wp_page_copy",
            "labtest-93",
            "10842.327272",
        ),
        ("       sh-12  (  12) [001] d..1. 7.5: ptep_clear_flush <-wp_page_copy", "sh-12", "7.5"),
        (
            "     my task-12      [001]     7.5: function:             ptep_clear_flush <-- wp_page_copy",
            "my task-12",
            "7.5",
        ),
        ("      436us cpu1 labtest-93    ptep_clear_flush <-wp_page_copy", "labtest-93", "436"),
        ("779:  labtest-93 [000] ...1.  10842.3: ptep_clear_flush <-wp_page_copy", "labtest-93", "10842.3"),
        ("time=7 cpu=1 comm=sh pid=12 func=ptep_clear_flush caller=wp_page_copy", "sh-12", "7"),
    ] {
        let event = event(text);
        assert_eq!((&*event.thread, event.time), (thread, time), "{text}");
        assert_eq!((&*event.name, event.caller), ("ptep_clear_flush", Some("wp_page_copy")), "{text}");
        assert!(!event.returns, "{text}");
    }
}

#[test]
fn tracepoints_have_their_arguments() {
    for text in [
        "  sh-7 [001] d..1. 59181.45: tlb_flush: pages:1 reason:local MM shootdown (3)",
        "  sh-7 [001] 59181.45: tlb_flush:            pages:1 reason:local MM shootdown (3)",
        "  sh     7 [001] 59181.45:        tlb:tlb_flush: pages:1 reason:local MM shootdown (3)",
        "  sh   7/7 [001] 59181.45:   1    tlb:tlb_flush: pages:1 reason:local MM shootdown (3)",
    ] {
        let event = event(text);
        assert_eq!((&*event.name, &*event.thread), ("tlb_flush", "sh-7"), "{text}");
        assert!(event.arguments.ends_with("(3)"), "{text}");
    }
}

#[test]
fn probes_are_named_by_their_function_and_returns_by_their_caller() {
    let entry = event(" t-9 [0] ...1. 1: clr: (ptep_clear_flush+0x0/0x60) addr=0x7fb90d805000 pte=0x8");
    assert_eq!((&*entry.name, entry.number("addr")), ("ptep_clear_flush", Some(0x7fb9_0d80_5000)));
    let module = event(" t-9 [0] ...1. 1: k: (kvm_flush_remote_tlbs+0x0/0x50 [kvm])");
    assert_eq!(&*module.name, "kvm_flush_remote_tlbs");
    let back = event(" t-9 [0] ...1. 1: r: (wp_page_copy+0x2da/0x700 <- ptep_clear_flush) old=0x8");
    assert_eq!((&*back.name, back.returns, back.caller), ("ptep_clear_flush", true, Some("wp_page_copy")));
    let perf = event("t 9 [000] 1.5: probe:ptep_clear_flush: (ffffffff815fee70) addr=0x1000");
    assert_eq!((&*perf.name, perf.returns), ("ptep_clear_flush", false));
    let perf = event("t 9 [000] 1.5: probe:ptep_clear_flush__return: (ffffffff815fee70 <- ffffffff81600000)");
    assert_eq!((&*perf.name, perf.returns), ("ptep_clear_flush", true));
}

#[test]
fn watchpoints_are_named_by_who_wrote() {
    assert_eq!(
        &*event(" +104.46us cpu0 tid 14940  **HOST-PTE WRITE** at ptep_clear_flush+0xe").name,
        "pte@ptep_clear_flush"
    );
    assert_eq!(
        &*event(" +38.79us cpu0 tid 1  **KVM-SPTE WRITE** at mmu_spte_update+0x49").name,
        "spte@mmu_spte_update"
    );
    assert_eq!(&*event("event=pte by=native_set_pte+0x3 cpu=1").name, "pte@native_set_pte");
    let perf = event(
        "t 9 [000] 1.5:   1  mem:0xffff88812a080028:w:  ffffffff815fee7e ptep_clear_flush+0xe ([kernel.kallsyms])",
    );
    assert_eq!(&*perf.name, "mem:0xffff88812a080028@ptep_clear_flush");
}

#[test]
fn ranges_and_words_are_found_behind_their_key() {
    let event = event(
        "t-9 [0] . 1: kvm_unmap_hva_range: mmu notifier unmap range: 0x007f99ce805000 -- 0x007f99ce806000",
    );
    assert_eq!(event.range("range:"), Some((0x7f99_ce80_5000, 0x7f99_ce80_6000)));
    let text = "t-9 [0] . 1: kvm_tdp_mmu_spte_changed: as id 0 gfn 8005 level 1 old_spte 3fdcc825 new_spte 0";
    let Line::Event(event) = read(text) else { panic!("{text}") };
    assert_eq!(
        (event.word("new_spte"), event.number("gfn"), event.word("spte")),
        (Some("0"), Some(0x8005), None)
    );
}

#[test]
fn headings_gaps_and_versions_are_told_from_events() {
    assert_eq!(
        read("--- COW break by host write: 4 PTE writes"),
        Line::Section("COW break by host write: 4 PTE writes")
    );
    assert_eq!(read("TRACE cow"), Line::Section("cow"));
    assert_eq!(read("..."), Line::Cut);
    for text in [
        "CPU:1 [LOST 123 EVENTS]",
        "CPU:1 [123 EVENTS DROPPED]",
        "sh 7/7 [006] 1.5: unknown: PERF_RECORD_LOST lost 123",
        "Lost 123 events",
    ] {
        assert_eq!(read(text), Line::Lost(Some(123)), "{text}");
    }
    for text in ["CPU:1 [LOST EVENTS]", "CPU:1 [EVENTS DROPPED]"] {
        assert_eq!(read(text), Line::Lost(None), "{text}");
    }
    assert_eq!(read("P=0x7f2ac6205000 pte page pfn 12a080"), Line::Watched(0x7f2a_c620_5000));
    assert_eq!(read("# os release : 6.1.0-13-amd64"), Line::Kernel("6.1.0-13-amd64"));
    assert_eq!(read("# kernel: 6.18"), Line::Kernel("6.18"));
    assert_eq!(read("# function latency trace v1.1.5 on 5.15.0"), Line::Kernel("5.15.0"));
    for text in [
        "# tracer: nop",
        "",
        "   ",
        "cpus=2",
        "version = 7",
        "        ffffffff81663760 wp_page_copy+0x1 ([kernel.kallsyms])",
    ] {
        assert_eq!(read(text), Line::Remark, "{text}");
    }
}

#[test]
fn what_is_cut_short_is_unreadable() {
    let whole =
        "  labtest-93 [000] ...1.  10842.3: kvm_unmap_hva_range: mmu notifier unmap range: 0x1000 -- 0x2000";
    for length in 1..48 {
        assert!(!matches!(read(&whole[..length]), Line::Event(_)), "{}", &whole[..length]);
    }
    assert_eq!(read("Hello, world"), Line::Unreadable);
    assert_eq!(read("[    4.985593] reboot: Power down"), Line::Unreadable);
}

#[test]
fn random_lines_are_read_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let parts = [
        "us cpu",
        "[000]",
        "-9",
        " <-",
        "<--",
        ": ",
        "(",
        ")",
        "0x",
        "+0x0/0x60",
        "kprobe",
        "**",
        "** at ",
        "tid ",
        "=",
        "func=",
        "pid=",
        "TRACE ",
        "P=0x",
        "é",
        "\u{0}",
        "--- ",
        "1234",
        "f",
        " ",
        "\t",
        "mem:",
        "@",
        "|",
        ";",
        "CPU:",
        "LOST",
        "# os release :",
        "ptep_clear_flush",
        "function:",
        "range:",
        "-- ",
    ];
    for _ in 0..200_000 {
        let text: String = (0..random.usize(0..12)).map(|_| parts[random.usize(0..parts.len())]).collect();
        if let Line::Event(event) = read(&text) {
            let _found = (event.range("range:"), event.number("0x"), event.word("f"), event.word("é"));
        }
    }
}

#[test]
fn binary_files_are_known_by_their_first_bytes() {
    assert_eq!(Binary::of(b"\x17\x08\x44tracing6\0"), Some(Binary::TraceDat));
    assert_eq!(Binary::of(b"PERFILE2"), Some(Binary::PerfData));
    assert_eq!(Binary::of(b"(\xb5/\xfd"), Some(Binary::Packed));
    assert_eq!(Binary::of(b"a\0"), Some(Binary::Other));
    assert_eq!(Binary::of(b"# tracer: nop\n"), None);
}

#[test]
fn a_thread_may_be_called_as_remarks_begin() {
    let names =
        ["CPU 0/KVM", "CPU 1 is empty", "version = 7", "cpus=2", "Lost 5", "#hash", "TRACE x", "--- x"];
    for name in names {
        let text = format!(" {name}-1234    [000] ...1. 1.5: ptep_clear_flush <-wp_page_copy");
        assert_eq!(&*event(&text).thread, format!("{name}-1234"), "{text}");
    }
    let perf = "CPU 0/KVM 1234/1250 [003] 1.000001:       probe:ptep_clear_flush: (ffffffff81000000)";
    assert_eq!(&*event(perf).thread, "CPU 0/KVM-1250");
    assert_eq!(read("CPU 3 is empty"), Line::Remark);
    assert_eq!(read("CPU x is empty"), Line::Unreadable);
    assert_eq!(read("# entries-in-buffer/entries-written: 5/7   #P:4"), Line::Overwritten(2));
}
