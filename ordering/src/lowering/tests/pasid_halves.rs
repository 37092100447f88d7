//! PASID entries that are written and read by halves.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\nmm P, Q\npage A in P, B in Q\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\n\
                    pasid X -> P, Y -> P\ncpu C\ndevice D pasid X, E pasid Y\nvar x = 0..3\n";

fn found(programs: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{programs}\n")).remove(0);
    assert_eq!(lowered.model.validate(), Ok(()));
    explore(&lowered.model, MOST)
}

fn is_proved(programs: &str) {
    let found = found(programs);
    assert!(matches!(found, Found::Proved(_)), "{programs}\n{found:?}");
}

fn breaks(programs: &str) -> Vec<String> {
    match found(programs) {
        Found::Violated(_, steps) => steps,
        other => panic!("{programs}\n{other:?}"),
    }
}

/// Whether the rows of the kernel and the device can happen in that order.
fn can_happen(kernel: &str, rows: &[&str]) -> bool {
    let programs = format!("agent C\n  {kernel}\nagent D\n  walk A\nalways !torn(E)");
    super::load(&format!("{HEAD}{programs}\n\ntrace\nC | D | state change\n{}\n", rows.join("\n"))).is_ok()
}

#[test]
fn a_device_reads_either_half_first_and_caches_two_that_belong_together() {
    let kernel = "set_pasid_low Y -> none";
    assert!(can_happen(kernel, &[" | read X: low |", " | read X | pasidc[D]: P", " | walk A |"]));
    assert!(can_happen(kernel, &[" | read X: high |", " | read X | pasidc[D]: P", " | walk A |"]));
    assert!(!can_happen(kernel, &[" | read X: low |", " | walk A |"]));
    let torn = "set_pasid_high X -> Q";
    let write = "set_pasid_high X -> Q | |";
    assert!(can_happen(torn, &[" | read X: low |", write, " | read X: torn |"]));
    assert!(can_happen(torn, &[" | read X: high |", write, " | read X | pasidc[D]: P"]));
    assert!(!can_happen(torn, &[" | read X: low |", write, " | read X: torn |", " | walk A |"]));
}

#[test]
fn an_entry_without_its_low_half_is_not_present() {
    let kernel = "set_pasid_low X -> none";
    let absent = "set_pasid_low X -> none | |";
    assert!(can_happen(kernel, &[" | read X: high |", absent, " | read X: fault |"]));
    assert!(!can_happen(kernel, &[" | read X: high |", absent, " | read X: torn |"]));
    assert!(!can_happen(kernel, &[absent, " | read X: low |"]));
    assert!(!can_happen(kernel, &[absent, " | read X: high |"]));
    is_proved(
        "agent C\n  when x == 0; set_pasid_low X -> none; set_pasid_high X -> Q\nagent E\n  dma_read A\nalways !torn(E)",
    );
    // So whoever makes it present last needs no invalidation after that.
    for evict in ["on", "off"] {
        is_proved(&format!(
            "agent C\n  set_pasid_low X -> none; pasid_inv X; set_pasid_high X -> Q; set_pasid_low X -> Q\n\
             agent D\n  dma_read any\nalways !torn(D)\noption evict = {evict}"
        ));
    }
}

#[test]
fn an_invalidation_of_the_cache_stops_whoever_has_read_a_half() {
    let program = |between: &str, order: [&str; 2]| {
        let [first, second] = order;
        format!(
            "agent C\n  {first} X -> none; {between} {second} X -> none\nagent D\n  dma_read A\nalways !torn(D)"
        )
    };
    let (low, high) = ("set_pasid_low", "set_pasid_high");
    is_proved(&program("pasid_inv X;", [low, high]));
    breaks(&program("", [low, high]));
    breaks(&program("iotlb_inv_pasid X;", [low, high]));
    breaks(&program("pasid_inv Y;", [low, high]));
    breaks(&program("pasid_inv X;", [high, low]));
    is_proved(&program("pasid_inv X post; inv_wait;", [low, high]));
}

#[test]
fn whoever_writes_both_halves_at_once_is_read_by_halves_all_the_same() {
    let program = |through: &str| {
        format!(
            "agent C\n  {through} set_pasid X -> Q\nagent other on C\n  set_pasid_high Y -> P\nagent D\n  dma_read any\nalways !torn(D)"
        )
    };
    breaks(&program(""));
    is_proved(&program("set_pasid_low X -> none; pasid_inv X;"));
}

#[test]
fn entries_that_nobody_writes_by_halves_are_read_in_one_step() {
    let steps = breaks("agent C\n  set_pasid X -> Q\nagent D\n  dma_read A\nnever D reads A");
    assert_eq!(steps, ["D: read X", "D: walk A", "D: dma_read A = 0"]);
    is_proved("agent C\n  set_pasid X -> Q\nagent D\n  dma_read A\nalways !torn(D)");
}

#[test]
fn what_has_no_halves_is_refused_with_a_remedy() {
    let wrong = |programs: &str| {
        let wrong = super::load(&format!("{HEAD}{programs}\nnever reads A\n")).expect_err(programs).remove(0);
        (wrong.message, wrong.help)
    };
    let (message, help) = wrong("agent C\n  set_pasid_low Z -> P");
    assert_eq!((message.as_str(), help.as_str()), ("there is no PASID `Z`", "declare it: `pasid Z`"));
    assert_eq!(wrong("agent C\n  set_pasid_high X -> R").0, "there is no address space `R`");
    assert!(wrong("agent D\n  set_pasid_high X -> P").0.contains("is no step of a device"));
}
