//! Devices that are taken away, invalidations that nobody answers, and waits for what others have posted.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\npage A, B\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\ncpu C, T\n\
                    device D ats, E ats\nvar x = 0..3\n";

fn found(head: &str, programs: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{head}\n{programs}\n")).remove(0);
    assert_eq!(lowered.model.validate(), Ok(()));
    explore(&lowered.model, MOST)
}

fn is_proved(head: &str, programs: &str) {
    let found = found(head, programs);
    assert!(matches!(found, Found::Proved(_)), "{head}\n{programs}\n{found:?}");
}

fn breaks(property: &str, head: &str, programs: &str) -> Vec<String> {
    match found(head, programs) {
        Found::Violated(broken, steps) if broken == property => steps,
        other => panic!("{head}\n{programs}\n{other:?}"),
    }
}

/// The first error of a scenario of `programs`.
fn wrong(programs: &str) -> (String, String) {
    let wrong = super::load(&format!("{HEAD}{programs}\n")).expect_err("it is wrong").remove(0);
    (wrong.message, wrong.help)
}

#[test]
fn a_device_that_is_gone_does_nothing_more() {
    let reads = "agent C\n  unplug D; x = 1\nagent D\n  dma_read A";
    is_proved("", &format!("{reads}\nnever D reads A after C unplug D"));
    is_proved("option dma = split", &format!("{reads}\nnever D reads A after C unplug D"));
    breaks(
        "never D reads A after C x = 1",
        "",
        "agent C\n  unplug E; x = 1\nagent D\n  dma_read A\nnever D reads A after C x = 1",
    );
    is_proved(
        "",
        "agent C\n  unplug D; if gone(D) && !gone(E): x = 1\nagent D\n  dma_read A\nfinally x == 1",
    );
    // Nor is anything walked for it.
    let walks = "agent C\n  unplug D; if iotlb(D, A) == none: x = 1\n  if x == 1 && iotlb(D, A): x = 2\n\
                 agent D\n  dma_read A\nalways x != 2";
    is_proved("option speculation = on", walks);
    breaks("always x != 2", "option speculation = on", &walks.replace("unplug D", "unplug E"));
}

#[test]
fn what_only_the_device_can_answer_waits_for_ever_once_it_is_gone() {
    let program = |step: &str| format!("agent C\n  unplug D; {step}\nagent D\n  dma_read A");
    for step in ["devtlb_inv A", "notify A", "devtlb_inv A on D", "devtlb_inv B; x = 1"] {
        let steps = breaks("never deadlock", "", &program(step));
        assert!(steps.iter().any(|step| step == "C: unplug D"), "{steps:?}");
    }
    for step in ["devtlb_inv A on E", "iotlb_inv A; x = 1", "flush_tlb A; devtlb_inv A on E"] {
        is_proved("", &program(step));
    }
}

#[test]
fn what_has_not_landed_when_the_device_goes_is_lost() {
    let program = |takes: &str| {
        format!(
            "agent T\n  when x == 1; {takes} x = 2\nagent C\n  when x == 2; notify A; x = 3\nagent D\n  dma_write A = 7"
        )
    };
    // The device is one without ATS: nobody waits for its answer.
    let head = HEAD.replace("device D ats, E ats", "device D").replace("0..3", "0..3 from 1");
    let can_happen = |takes: &str| {
        let rows = [" | walk A | |", " | dma_write A = 7: translated | |"];
        let rest =
            [" | | when x == 1 |", " | | unplug D |", " | | x = 2 |", "when x == 2 | | |", "notify A | | |"];
        let rest = rest.into_iter().filter(|row| !row.contains("unplug") || takes.contains("unplug"));
        let rows: Vec<_> = rows.into_iter().chain(rest).collect();
        let trace = format!("\n\ntrace\nC | D | T | state change\n{}\n", rows.join("\n"));
        let source =
            format!("{head}option dma = split\n{}\nnever D writes A after C x = 3{trace}", program(takes));
        super::load(&source).is_ok()
    };
    assert!(can_happen("unplug D;"));
    assert!(!can_happen(""));
}

#[test]
fn only_a_device_that_is_gone_times_out_unless_any_may_be_late() {
    let program = |unplugs: &str| {
        format!(
            "agent C\n  {unplugs} devtlb_inv A on D post\n  inv_wait else out\n  x = 1\nout:\n\
             agent D\n  dma_read A\nfinally x == 1"
        )
    };
    is_proved("option timeout = gone", &program("unplug E;"));
    let steps = breaks("finally x == 1", "option timeout = gone", &program("unplug D;"));
    assert!(steps.iter().any(|step| step == "queue: devtlb_inv A on D: times out"), "{steps:?}");
    assert_eq!(steps.last().expect("a step"), "C: inv_wait else out: aborted");
    is_proved("option timeout = gone", &program(""));
    breaks("finally x == 1", "option timeout = late", &program(""));
    breaks("never deadlock", "option timeout = never", &format!("{}\nnever deadlock", program("unplug D;")));
    // What no device must answer does not time out.
    is_proved(
        "option timeout = late",
        &program("").replace("devtlb_inv A on D post", "iotlb_inv A on D post"),
    );
}

#[test]
fn a_time_out_aborts_the_waits_of_all_that_have_something_in_the_queue_and_no_other() {
    let program = |when: &str, wait: &str| {
        format!(
            "agent T\n  unplug D; devtlb_inv A post; inv_wait else out\nout:\n  x = 1\n\
             agent C\n  {when} iotlb_inv B post; {wait}\nout:\nagent D\n  dma_read A"
        )
    };
    let head = "option timeout = gone\noption queue = ordered";
    breaks("never deadlock", head, &program("", "inv_wait"));
    is_proved(head, &program("", "inv_wait else out"));
    // Whoever posts when it is over is not concerned.
    is_proved(head, &program("when x == 1;", "inv_wait"));
}

/// Whether these rows of three agents and the queue can happen.
fn can_happen(rows: &[&str]) -> bool {
    let source = format!(
        "{HEAD}agent C\n  iotlb_inv A post; iotlb_inv B post\nagent T\n  inv_wait all\nagent D\n  dma_read A\n\
         never D reads A\n\ntrace\nC | queue | T | state change\n{}\n",
        rows.join("\n")
    );
    super::load(&source).is_ok()
}

#[test]
fn a_wait_for_all_is_for_what_was_posted_before_it_and_for_nothing_later() {
    let (first, second) = ("iotlb_inv A post | | |", "iotlb_inv B post | | |");
    let (sent, answered, goes_on) =
        (" | | inv_wait all: sent |", " | inv_wait all: answered | |", " | | inv_wait all |");
    assert!(can_happen(&[first, sent, second, " | iotlb_inv A | |", answered, goes_on]));
    assert!(!can_happen(&[first, sent, second, answered]));
    assert!(!can_happen(&[first, sent, second, " | iotlb_inv B | |", answered]));
    assert!(!can_happen(&[first, sent, " | iotlb_inv A | |", goes_on]));
    assert!(can_happen(&[sent, answered, goes_on, first]));
}

#[test]
fn what_cannot_be_waited_for_or_unplugged_is_refused_with_a_remedy() {
    let (message, help) = wrong("agent C\n  inv_wait all\nnever reads A");
    assert_eq!(message, "there is nothing to wait for: nobody posts an invalidation");
    assert!(help.contains("`iotlb_inv A post`"), "{help}");
    let (message, help) = wrong("agent C\n  unplug T\nnever reads A");
    assert_eq!(message, "`T` is no device, and stays where it is");
    assert_eq!(help, "name one that was declared with `device`");
    let (message, _) = wrong("agent C\n  iotlb_inv A post; inv_wait else nowhere\nnever reads A");
    assert_eq!(message, "there is no label `nowhere`");
    let (message, _) = wrong("agent D\n  unplug E\nnever reads A");
    assert!(message.contains("is no step of a device"), "{message}");
}
