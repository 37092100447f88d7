//! Claims about both widths of words; everything else is tested from outside.

use super::cow_n::{Order, Size, cow_n};
use super::pruned::Pruned;
use super::tables::Tables;
use super::{
    Counting, Options, Outcome, Reductions, Stop, Threads, Verdict, compile, explore, explore_tables,
};
use crate::model::{Agent, Alternative, Check, Instruction, Model, Pc, Property, Update, Var, Variable};

/// The outcomes in both widths; a wide state takes more bytes.
fn both(model: &Model, reductions: Reductions) -> [Outcome; 2] {
    let options = Options { reductions, interleavings: Counting::On, ..Options::default() };
    let pruned = Pruned::of(model, None).unwrap();
    let narrow = explore_tables(model, &Tables::<u64>::of(model, &pruned, None).unwrap(), &options);
    let mut wide = explore_tables(model, &Tables::<u128>::of(model, &pruned, None).unwrap(), &options);
    assert!(wide.statistics.bytes > narrow.statistics.bytes);
    wide.statistics.bytes = narrow.statistics.bytes;
    [narrow, wide]
}

#[test]
fn a_wide_word_changes_nothing_but_the_memory() {
    for order in [Order::NotifyFirst, Order::NotifyLast] {
        let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, order);
        for reductions in [Reductions::ALL, Reductions::NONE] {
            let [narrow, wide] = both(&model, reductions);
            assert_eq!(narrow, wide, "{order:?} {reductions:?}");
        }
    }
}

#[test]
fn three_interchangeable_devices_are_sorted_as_two_are() {
    let model = cow_n(Size { pages: 1, devices: 3, reads: 2 }, Order::NotifyFirst);
    let [all, _] = both(&model, Reductions::ALL);
    let [none, _] = both(&model, Reductions::NONE);
    assert_eq!(all.verdict, none.verdict);
    assert_eq!(all.statistics.interleavings, none.statistics.interleavings);
    assert!(all.statistics.states * 3 < none.statistics.states);
}

#[test]
fn what_broke_before_the_search_was_told_to_stop_is_a_violation() {
    static STOP: Stop = Stop::new();
    let mut model = cow_n(Size { pages: 1, devices: 1, reads: 1 }, Order::NotifyFirst);
    // Of no conjunctions none holds.
    model.properties.push(Property { text: "never".to_owned(), check: Check::Always(Vec::new()), line: 0 });
    let packed = compile(&model).unwrap();
    STOP.set(true);
    // A thread looks whether to stop when it has expanded a state.
    let threads = Threads::new(2).each_from(0);
    let outcome = explore(&packed, &Options { threads, stop: Some(&STOP), ..Options::default() });
    assert!(matches!(outcome.verdict, Verdict::Violated { .. }), "{:?}", outcome.verdict);
}

#[test]
fn what_is_written_before_it_is_read_makes_no_difference() {
    let states = |program: &str| {
        let source = format!(
            "scenario s\nvar x = 0..3, y = 0..1\nagent p\n  {program}\n  y = 1\n  x = 0\n  if x: y = 0\nfinally y\n"
        );
        let (_, lowered) = crate::lowering::load(&source).unwrap().remove(0);
        let outcome = explore(&compile(&lowered.model).unwrap(), &Options::default());
        assert_eq!(outcome.verdict, Verdict::Proved);
        outcome.statistics.states
    };
    assert_eq!(states("x = 1 | x = 2 | x = 3"), states("x = 1"));
}

#[test]
fn what_is_only_copied_counts_if_its_copy_does() {
    let bits = |last: &str| {
        let source = format!(
            "scenario s\npage A\nframe old = 0\nmap A -> old rw\ncpu CPU\nagent CPU\n  lock pl\n  \
             pte_clear A\n  set_pte A -> old ro\n  pte_clear A\n  {last}\n  unlock pl\nfinally pte(A) == none\n"
        );
        let (_, lowered) = crate::lowering::load(&source).unwrap().remove(0);
        let packed = compile(&lowered.model).unwrap();
        let violated = matches!(explore(&packed, &Options::default()).verdict, Verdict::Violated { .. });
        let orig = lowered.model.variables.iter().position(|variable| variable.name.contains("orig"));
        (violated, packed.bits()[orig.expect("what pte_clear remembers is a variable")])
    };
    assert_eq!(bits("flush_tlb A"), (false, 0));
    assert_eq!(bits("set_pte A -> orig"), (true, 1));
}

#[test]
fn what_is_only_counted_in_has_its_bounds() {
    let counts = |name: &str| {
        let once = Alternative {
            guard: Vec::new(),
            updates: vec![Update::Increment(Var(0))],
            next: Pc(1),
            violates: None,
            text: "count".to_owned(),
            line: 1,
            marks: Vec::new(),
        };
        let program = vec![Instruction { alternatives: vec![once], may_end: false }];
        Agent { name: name.to_owned(), program, spontaneous: false }
    };
    let verdict = |agents: Vec<Agent>| {
        let values = ["0", "1"].map(str::to_owned).to_vec();
        let model = Model {
            variables: vec![Variable { name: "n".to_owned(), values, initial: 0 }],
            agents,
            properties: vec![Property { text: "never deadlock".to_owned(), check: Check::Deadlock, line: 1 }],
            ..Model::default()
        };
        explore(&compile(&model).unwrap(), &Options::default()).verdict
    };
    assert_eq!(verdict(vec![counts("p")]), Verdict::Proved);
    let waits = verdict(vec![counts("p"), counts("q")]);
    assert!(matches!(waits, Verdict::Violated { .. }), "both count, and there is room for one: {waits:?}");
}

/// How many ways of the scenario close a cycle.
fn backward(text: &str) -> usize {
    let (_, lowered) = crate::lowering::load(text).unwrap().remove(0);
    let pruned = Pruned::of(&lowered.model, None).unwrap();
    super::cycles::backward(&pruned).iter().flatten().filter(|back| **back).count()
}

#[test]
fn a_walk_into_a_cache_that_is_not_emptied_again_closes_no_cycle() {
    let text = |evict: &str, flush: &str| {
        format!(
            "scenario s\npage A\nframe old = 0\nmap A -> old ro\ncpu CPU0, CPU1\noption evict = {evict}\n\
             agent CPU0\n  load A\n  load A\nagent CPU1\n  {flush}\n"
        )
    };
    assert_eq!(backward(&text("off", "load A")), 0);
    // A flush that is not repeated ends, and then nobody empties the cache.
    assert_eq!(backward(&text("off", "flush_tlb A")), 0);
    assert!(backward(&text("off", "again:\n  flush_tlb A\n  goto again | end")) > 1, "the flush goes round");
    assert!(backward(&text("on", "load A")) > 0, "the cache loses its entry");
}

#[test]
fn what_another_agent_sets_back_closes_a_cycle() {
    let text = |back: &str| {
        format!(
            "scenario s\nvar x = 0..1\nagent p\n  again:\n  atomic {{ when x == 0; x = 1 }}\n  goto again\n\
             agent q\n  again:\n  atomic {{ when x == 1; x = {back} }}\n  goto again\n"
        )
    };
    assert_eq!(backward(&text("0")), 2);
    assert_eq!(backward(&text("1")), 1, "x stays 1: p waits for ever, and q goes round alone");
}

#[test]
fn a_file_costs_no_more_states_than_the_model_that_was_written_by_hand() {
    for size in [(1, 1, 2), (2, 1, 2), (2, 2, 2)] {
        let (pages, devices, reads) = size;
        let hand = cow_n(Size { pages, devices, reads }, Order::NotifyFirst);
        let (_, file) = crate::lowering::load(&cow_text(size)).unwrap().remove(0);
        let [hand, file] = [&hand, &file.model].map(|model| both(model, Reductions::ALL)[0].clone());
        assert_eq!(hand.verdict, file.verdict);
        let [hand, file] = [hand, file].map(|outcome| outcome.statistics.states);
        assert!(file <= hand, "{size:?}: {file} states, by hand {hand}");
    }
}

/// `cow-n` in the scenario language.
fn cow_text((pages, devices, reads): (u16, u16, u16)) -> String {
    let each = |count: u16, text: &dyn Fn(u16) -> String| (0..count).map(text).collect::<String>();
    let list = |count: u16, text: &dyn Fn(u16) -> String| (0..count).map(text).collect::<Vec<_>>().join(", ");
    let broken = |page: u16| {
        format!(
            "  lock pl\n  pte_clear P{page}\n  flush_tlb P{page}\n  notify P{page}\n  \
             set_pte P{page} -> n{page} rw\n  unlock pl\n  store P{page} = 1\n"
        )
    };
    [
        format!("scenario cow\npage {}\n", list(pages, &|page| format!("P{page}"))),
        format!("frame {}\n", list(pages, &|page| format!("o{page} = 0, n{page} = 0"))),
        format!("map {}\n", list(pages, &|page| format!("P{page} -> o{page} ro"))),
        format!("cpu A, B\ndevice {}\noption evict = off\n", list(devices, &|device| format!("D{device}"))),
        format!("agent A\n{}", each(pages, &broken)),
        format!("agent B\n{}", each(pages, &|page| format!("  load P{page}\n"))),
        each(devices, &|device| format!("agent D{device}\n  repeat 0..{reads}:\n    dma_read any\n")),
        each(pages, &|page| format!("never reads P{page} == 0 after A store P{page}\n")),
        "expect proved\n".to_owned(),
    ]
    .concat()
}
