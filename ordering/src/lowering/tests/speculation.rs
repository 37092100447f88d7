//! Small scenarios, one for each rule by which hardware acts without a program.

use super::meaning::{breaks, is_proved};

const STALE: &str = "never C reads A == 0";

fn remapped(flush: &str, speculation: &str) -> String {
    format!(
        "option speculation = {speculation}\nagent p\n  set_pte A -> g rw; {flush}; x = 1\n\
         agent C\n  when x; load A\n{STALE}"
    )
}

#[test]
fn a_speculative_walk_caches_what_nobody_has_touched() {
    is_proved(&remapped("y = 1", "off"));
    breaks(STALE, &remapped("y = 1", "on"));
    is_proved(&remapped("flush_tlb A", "on"));
    is_proved(&remapped("flush_tlb A", "on\noption walk = split"));
}

#[test]
fn a_speculative_walk_of_a_device_may_be_in_flight_when_it_is_invalidated() {
    let program = |drains: &str| {
        format!(
            "device I\noption speculation = on\noption walk = split\noption inv_drains = {drains}\n\
             agent p\n  pte_clear A; notify A; set_pte A -> g rw; x = 1\nagent I\n  when x; dma_read A\nnever I reads A == 0"
        )
    };
    is_proved(&program("on"));
    breaks("never I reads A == 0", &program("off"));
}

#[test]
fn any_is_every_page() {
    for (page, value) in [("A", 0), ("B", 1)] {
        let property = format!("never C reads {page} == {value}");
        breaks(&property, &format!("page B\nmap B -> g rw\nagent C\n  load any\n{property}"));
        let property = format!("never C store {page}");
        breaks(&property, &format!("page B\nmap B -> g rw\nagent C\n  store any = 3\n{property}"));
    }
}
