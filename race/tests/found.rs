//! What random scenarios have found: texts on which the machine and the model once differed, each with what was wrong.
//!
//! Invariant: a text is the fewest lines that showed it.

use ordering::lowering::load;
use race::machine::Machine;
use race::steered::Steered;

/// Random runs of a text: it has few orders, and all are met.
const RUNS: usize = 100;

fn agrees(text: &str) {
    let loaded = load(text).expect("the text is a scenario");
    let [(_, lowered)] = &loaded[..] else { panic!("the text is one scenario") };
    let machine = Machine::new(lowered).expect("a scenario needs little memory");
    let steered = Steered::new(lowered, machine);
    // Where nobody can take a step, who waits is asked here.
    if let Err(found) = steered.run(&[]) {
        panic!("{found:#?} in\n{text}");
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..RUNS {
        if let Err(found) = steered.random(&mut random, 60) {
            panic!("{found:#?} in\n{text}");
        }
    }
}

#[test]
fn a_locked_addition_does_not_wait_in_the_buffer_of_whoever_also_stores_plainly() {
    agrees(
        "scenario s\ncpu C0, C1\nvar x = 1..3 from 1\noption memory = tso\n\
         agent a on C0\n  x -= 1\n  x = 1\nagent b on C1\n  x += 2\n",
    );
}

#[test]
fn a_buffered_store_to_an_entry_that_two_pages_share_is_one_to_the_first_ones() {
    agrees(
        "scenario s\npage A under M\npage B under N\nframe f = 1\ntable T\npmd M -> T\npmd N -> T\ncpu C0, C1\n\
         option memory = tso\nagent a on C0\n  set_pte B -> f rw; pte_read A; pte_read B; fence\n\
         agent b on C1\n  load A\n",
    );
}

#[test]
fn pages_of_two_address_spaces_under_one_upper_entry_keep_to_their_own() {
    agrees(
        "scenario s\nmm P\nmm Q\npage A in Q under M\npage B in P under M\nframe f\ntable T\npmd M -> T\n\
         map B -> f rw\npasid X -> P\ndevice D pasid X\nagent a on D\n  page_request B; dma_read B\n\
         agent k\n  page_response B\n",
    );
}

#[test]
fn the_first_step_of_an_atomic_row_says_nothing_of_the_rest() {
    agrees(
        "scenario s\npage A\nframe f = 0\nvcpu V\nagent a on V\n  atomic { irq_off; load A; store A = 1 }\n\
         agent k\n  set_pte A -> f rw\n",
    );
}

#[test]
fn what_is_on_its_way_to_a_full_cache_that_loses_nothing_stays_there() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\nvcpu V, W\noption walk = split\noption evict = off\n\
         agent a on V\n  store A = 3\nagent b on W\n  load A\n",
    );
}

#[test]
fn a_marker_has_its_bit_where_no_entry_mentions_it() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> marker\nagent a\n  set_pte A -> f like orig rw; pte_read A\n\
         agent b\n  if pte(A) has marker: pte_modify A -uffd_wp\n",
    );
    agrees(
        "scenario s\npage A\nframe f\nmap A -> marker\nagent a\n  set_pte A -> f like orig rw; pte_read A\n",
    );
}

#[test]
fn a_store_whose_way_to_the_entry_is_gone_is_refused() {
    agrees(
        "scenario s\npage A under M\nframe f\ntable T\npmd M -> T\nmap A -> f rw -dirty\nvcpu V\ncpu C\n\
         agent a on V\n  store A = 3\nagent b on C\n  store A = 2\n\
         agent k\n  pmd_clear M; flush_pmd M; if pte(A) has dirty: end\n",
    );
}

#[test]
fn a_store_goes_past_an_upper_entry_that_was_lost() {
    agrees(
        "scenario s\npage A under M\npage B under M\nframe f\nframe g\ntable T\npmd M -> f rw huge\n\
         map B -> g rw -dirty\nmap A -> g rw -dirty\ncpu C\nagent a on C\n  store A = 3\nagent b on C\n  load B\n\
         agent k\n  set_pmd M -> T; set_pmd M -> f rw huge; set_pmd M -> T\n",
    );
}

#[test]
fn a_device_walks_to_nothing_that_its_own_tlb_holds() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D ats\noption speculation = on\noption evict = off\n\
         agent k\n  iotlb_inv A\nagent d on D\n  walk A\n",
    );
}

#[test]
fn an_atomic_row_that_nothing_completes_is_not_begun() {
    agrees("scenario s\ncpu C\nagent a on C\n  atomic { irq_off; synchronize_rcu }\n");
}

#[test]
fn a_count_and_a_range_have_a_bound() {
    let gups: String = (0..20).map(|handle| format!("  gup_fast A pin => h{handle}\n")).collect();
    agrees(&format!("scenario s\npage A\nframe f\nmap A -> f rw\nagent a\n{gups}"));
    let text =
        "scenario s\npage A\nframe f\nmap A -> f rw\noption range = off\noption deadlock = off\nagent a\n";
    agrees(&format!("{text}{gups}"));
    agrees(&format!("{text}{}", "  get f\n".repeat(20)));
    agrees(&format!("{text}{}", "  notify_start A\n".repeat(20)));
}

#[test]
fn who_posts_to_a_full_queue_waits() {
    for queue in ["any", "ordered"] {
        agrees(&format!(
            "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D\noption queue = {queue}\nagent d on D\n  dma_read A\n\
             agent k\n  repeat 8..8: iotlb_inv A post\n"
        ));
    }
}

#[test]
fn a_locked_addition_waits_for_the_own_buffer() {
    agrees(
        "scenario s\nvar x = 0..3\nvar y = 0..3\noption memory = tso\nagent a\n  y = 1; x += 1; y += 1\n\
         agent b\n  x = 2; y = 0; x -= 1\n",
    );
}

#[test]
fn gup_fast_does_not_drop_what_somebody_has_freed() {
    for option in ["use_after_free", "range"] {
        agrees(&format!(
            "scenario s\npage A\nframe f\nframe g\nmap A -> f rw\noption {option} = off\noption deadlock = off\n\
             agent a\n  gup_fast A pin => h\nagent b\n  pte_clear A; unpin f; free f\n"
        ));
    }
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\nagent a\n  gup_fast A => h\nagent b\n  free f; pte_clear A\n",
    );
}

#[test]
fn who_has_switched_interrupts_off_flushes_no_other_cpu_also_where_nobody_answers() {
    for scope in ["others", "own", ""] {
        agrees(&format!(
            "scenario s\npage A\ncpu C\noption flush = ipi\noption deadlock = off\nagent a on C\n  irq_off; flush_tlb A {scope}; irq_on\n"
        ));
    }
}

#[test]
fn a_marker_lends_its_bit_to_no_store_where_no_entry_mentions_it() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> marker\noption memory = tso\nagent a\n  set_pte A -> f like orig ro; fence\n\
         agent b\n  pte_read A\n",
    );
}

#[test]
fn a_section_that_begins_twice_waits_for_no_interrupt() {
    agrees("scenario s\ncpu C, D\nagent a on C\n  irq_off; irq_off\nagent b on D\n  ipi_sync\n");
}

#[test]
fn a_page_below_a_huge_entry_alone_is_peeked_at_there() {
    agrees(
        "scenario s\npage A under M\nframe old = 0\npmd M -> old rw huge\nagent a\n  peek A write => i; write i = 3\n",
    );
}

#[test]
fn the_upper_entry_is_read_anew_while_the_iotlb_holds_a_huge_page_from_before() {
    agrees(
        "scenario s\npage A under M\nframe old = 0\ntable T\npmd M -> old rw huge\ndevice D0 ats\n\
         agent a0 spontaneous\n  set_pmd M -> T\nagent a1 on D0\n  repeat 0..2: dma_read any\noption use_after_free = off\n",
    );
}
