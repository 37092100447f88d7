//! Context entries: a device without PASID goes by one, whole or word by word.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\nmm P, Q\npage A in P, B in Q\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\n\
                    context E -> P\npasid X -> Q\ncpu C\ndevice D context E, O pasid X\nvar x = 0..1\n";

fn is_proved(rest: &str) -> bool {
    let source = format!("{HEAD}{rest}");
    matches!(explore(&loaded("s.scn", &source).remove(0).model, MOST), Found::Proved(_))
}

#[test]
fn a_device_goes_by_the_context_entry_that_it_has_cached() {
    let moved = |more: &str| {
        format!("agent C\n  set_context E -> Q; {more}x = 1\nagent D\n  dma_read any\noption evict = off\n")
    };
    let never = "never D reads A after x = 1\n";
    assert!(!is_proved(&format!("{}{never}", moved(""))));
    assert!(!is_proved(&format!("{}{never}", moved("context_inv E; "))), "the IOTLB needs no entry");
    assert!(is_proved(&format!("{}{never}", moved("context_inv E; notify A; "))));
    // The other device has a PASID.
    assert!(!is_proved(&format!("{}{never}", moved("context_inv E on D; pasid_inv X; "))));
}

#[test]
fn two_words_that_do_not_belong_together_are_torn() {
    let torn = "agent D\n  dma_read any\nalways !torn(D)\n";
    assert!(!is_proved(&format!("agent C\n  set_context_low E -> Q; set_context_high E -> Q\n{torn}")));
    assert!(!is_proved(&format!("agent C\n  set_context_high E -> Q; set_context_low E -> Q\n{torn}")));
    let behind = "set_context_low E -> none; context_inv E; set_context_high E -> Q; set_context_low E -> Q";
    assert!(is_proved(&format!("agent C\n  {behind}\n{torn}")));
    assert!(is_proved(&format!("agent C\n  set_context E -> none; set_context E -> Q\n{torn}")));
}

#[test]
fn a_look_finds_what_the_entry_names() {
    assert!(is_proved(
        "agent C\n  set_context E -> Q\nagent D\n  walk any\n\
         finally context(E) == Q && (!contextc(D) || contextc(D) == P || contextc(D) == Q)\n"
    ));
}
