//! Every order becomes a scenario that can be read; the kernels' own orders become proved ones.

use ordering::engine::{Options, Verdict, compile, explore};

use super::propose;
use crate::collect::{Collector, Found};
use crate::vocabulary::{Kernel, Vocabulary};

fn proposals(names: &[&str], kernel: Kernel) -> Vec<(String, bool)> {
    let vocabulary = Vocabulary::with(None).unwrap();
    let mut collector = Collector::new(&vocabulary, Some(kernel));
    names.iter().for_each(|name| collector.line(&format!(" t-9 [000] ...1. 1.5: {name}")));
    proposed(&collector.finish(), &vocabulary)
}

fn proposed(found: &Found, vocabulary: &Vocabulary) -> Vec<(String, bool)> {
    let one = |(order, _)| {
        let order: &crate::order::Order = order;
        let operation = order.operation.as_deref().and_then(|id| vocabulary.operation(id));
        let proposal = propose(order, 1, operation, found);
        let (_, lowered) = proposal.load().unwrap_or_else(|wrong| panic!("{wrong}\n{}", proposal.text));
        let outcome = explore(
            &compile(&lowered.model).unwrap(),
            &Options { max_states: 500_000, ..Options::default() },
        );
        (proposal.text, matches!(outcome.verdict, Verdict::Proved))
    };
    found.orders.iter().map(one).collect()
}

#[test]
fn the_kernels_own_orders_become_proved_scenarios_and_moved_ones_do_not() {
    const START: &str = "__mmu_notifier_invalidate_range_start <-";
    let right = [
        &format!("{START}wp_page_copy"),
        "ptep_clear_flush <-wp_page_copy",
        "flush_tlb_mm_range <-ptep_clear_flush",
        "native_set_pte <-wp_page_copy",
        "__mmu_notifier_invalidate_range_end <-wp_page_copy",
    ];
    assert_eq!(proposals(&right, Kernel(6, 18)).iter().map(|one| one.1).collect::<Vec<_>>(), [true]);
    let wrong = [right[0], right[1], right[3], right[2], right[4]];
    assert_eq!(proposals(&wrong, Kernel(6, 18)).iter().map(|one| one.1).collect::<Vec<_>>(), [false]);
    let zap = [
        &format!("{START}unmap_vmas"),
        "__mmu_notifier_invalidate_range_end <-unmap_vmas",
        "flush_tlb_mm_range <-tlb_finish_mmu",
    ];
    let told = proposals(&zap, Kernel(6, 18));
    assert!(
        told[0].1 && told[0].0.contains("pte_clear A              # not seen; placed here"),
        "{}",
        told[0].0
    );
}

#[test]
fn random_orders_become_scenarios_that_can_be_read() {
    let vocabulary = Vocabulary::with(None).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let names = [
        "__mmu_notifier_invalidate_range_start",
        "__mmu_notifier_invalidate_range_end",
        "ptep_clear_flush",
        "native_set_pte",
        "flush_tlb_mm_range",
        "__mmu_notifier_change_pte",
        "__ptep_modify_prot_start",
        "set_migration_pte",
        "qi_flush_iotlb",
        "qi_flush_dev_iotlb",
        "pmdp_invalidate",
        "kvm_flush_remote_tlbs",
    ];
    let callers = [
        "wp_page_copy",
        "write_protect_page",
        "unmap_vmas",
        "change_protection",
        "move_page_tables",
        "nobody",
    ];
    let mut number = 0;
    for _ in 0..60 {
        let mut collector = Collector::new(&vocabulary, random.bool().then_some(Kernel(6, 18)));
        let caller = callers[random.usize(0..callers.len())];
        for _ in 0..random.usize(2..8) {
            let name = names[random.usize(0..names.len())];
            let page = random.u64(1..3) << 12;
            collector.line(&match random.bool() {
                true => format!(" t-9 [000] ...1. 1.5: {name} <-{caller}"),
                false => format!(" t-9 [000] ...1. 1.5: {name}: addr={page:#x} start={page:#x}"),
            });
        }
        number += proposed(&collector.finish(), &vocabulary).len();
    }
    assert!(number > 30, "{number}");
}
