//! What a cache loses just before it is emptied: whoever then reads again has in flight what was cached, and nothing that
//! empties the cache stops him.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

fn is_proved(source: &str) -> bool {
    match explore(&loaded("s.scn", source).remove(0).model, MOST) {
        Found::Proved(_) => true,
        Found::Violated(..) => false,
        other => panic!("{source}\n{other:?}"),
    }
}

/// A device that has used the entry before its page is given another frame.
fn remapped(head: &str, kernel: &str) -> String {
    format!(
        "scenario s\npage A{head}\nframe old = 0, new = 9\ncpu CPU\nvar used = 0..1\noption walk = split\n\
         option deadlock = off\nagent DEV\n  dma_read A; used = 1; dma_read A\nagent CPU\n  when used == 1\n  \
         {kernel}\n  store A = 1\nnever DEV reads A == 0 after CPU writes A\n"
    )
}

const FLAT: &str = "\nmap A -> old rw\ndevice DEV";
const ATS: &str = "\nmap A -> old rw\ndevice DEV ats";

#[test]
fn a_walk_that_outlives_the_invalidation_may_have_begun_with_what_was_cached() {
    let kernel = "pte_clear A; notify A; set_pte A -> new rw";
    for (drains, evict, proved) in
        [("off", "on", false), ("off", "off", true), ("on", "on", true), ("on", "off", true)]
    {
        let head = format!("{FLAT}\noption inv_drains = {drains}\noption evict = {evict}");
        assert_eq!(is_proved(&remapped(&head, kernel)), proved, "inv_drains {drains}, evict {evict}");
    }
}

#[test]
fn an_answer_that_outlives_the_invalidation_may_be_of_what_was_cached() {
    let kernel = "pte_clear A; iotlb_inv A; devtlb_inv A; set_pte A -> new rw";
    for (drains, evict, proved) in [("off", "on", false), ("off", "off", true), ("on", "on", true)] {
        let head = format!("{ATS}\noption ats_drains = {drains}\noption evict = {evict}");
        assert_eq!(is_proved(&remapped(&head, kernel)), proved, "ats_drains {drains}, evict {evict}");
    }
}

#[test]
fn a_walk_below_an_upper_entry_may_have_read_that_again_though_it_was_cached() {
    let source = |drains: &str, evict: &str| {
        format!(
            "scenario s\npage A under M\ntable T\npmd M -> T\nframe old = 0\nmap A -> old rw\ncpu CPU\ndevice DEV\n\
             var used = 0..1\noption walk = split\noption deadlock = off\noption inv_drains = {drains}\n\
             option evict = {evict}\nagent DEV\n  dma_read A; used = 1; dma_read A\nagent CPU\n  when used == 1\n  \
             pmd_clear M; notify A; put T\nnever walk of a freed page-table page\n"
        )
    };
    // The walk has the upper entry in flight, and comes to the table when that is free.
    for (drains, evict, proved) in [("off", "on", false), ("off", "off", true), ("on", "on", true)] {
        assert_eq!(is_proved(&source(drains, evict)), proved, "inv_drains {drains}, evict {evict}");
    }
}

#[test]
fn a_device_that_loses_its_entry_reads_the_first_half_again_though_it_is_what_it_was() {
    let source = |kernel: &str, evict: &str| {
        format!(
            "scenario s\nmm P, Q\npage A in P, B in Q\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\n\
             context E -> P\ncpu C\ndevice D context E\nvar used = 0..1\noption deadlock = off\n\
             option evict = {evict}\nagent D\n  dma_read A; used = 1; dma_read A\nagent C\n  when used == 1\n  \
             {kernel}\nalways !torn(D)\n"
        )
    };
    // Both words are each other's again before anybody is told: only who had lost the entry has read in between.
    let there_and_back = "set_context_high E -> Q; set_context_high E -> P";
    assert!(!is_proved(&source(there_and_back, "on")));
    assert!(is_proved(&source(there_and_back, "off")));
    // Absent first, then told, then the other word: nobody reads two words that are not each other's.
    let absent_first =
        "set_context_low E -> none; context_inv E; set_context_high E -> Q; set_context_low E -> Q";
    assert!(is_proved(&source(absent_first, "on")));
}
