//! Small scenarios, one for each rule by which agents wait for each other.

use super::meaning::{breaks, is_proved};

#[test]
fn a_shared_lock_has_many_holders() {
    let program = |mode: &str| {
        format!("agent p\n  lock m shared; when x; unlock m\nagent q\n  lock m{mode}; x = 1; unlock m")
    };
    is_proved(&program(" shared"));
    breaks("never deadlock", &program(""));
}

#[test]
fn who_holds_a_lock_alone_excludes_those_who_share_it() {
    let program = |mode: &str| {
        format!(
            "agent p\n  lock m shared; x = 1; x = 0; unlock m\nagent q\n  lock m{mode}; y = 1; y = 0; unlock m\n\
             always x == 0 || y == 0"
        )
    };
    is_proved(&program(""));
    breaks("always x == 0 || y == 0", &program(" shared"));
}

#[test]
fn a_shared_lock_is_released_once_by_each_holder() {
    is_proved("agent p\n  lock m shared; unlock m; lock m; unlock m\nagent q\n  lock m shared; unlock m");
    breaks("never unlock without lock", "agent p\n  lock m shared; unlock m; unlock m");
    breaks("never unlock without lock", "agent p\n  lock m shared\nagent q\n  unlock m");
    breaks("never deadlock", "agent p\n  lock m shared; lock m shared");
}

#[test]
fn a_trylock_never_waits() {
    let program = |take: &str| {
        format!(
            "agent p\n  lock m; x = 1\nagent q\n  when x; {take} m; y = 1; unlock m\nout:\n  x = 2\nfinally x == 2 && y == 0"
        )
    };
    is_proved(&program("trylock").replace("trylock m", "trylock m else out"));
    is_proved(&program("trylock").replace("trylock m", "trylock m shared else out"));
    breaks("never deadlock", &program("lock"));
    let shared = program("trylock")
        .replace("trylock m", "trylock m shared else out")
        .replace("lock m;", "lock m shared;");
    breaks("finally x == 2 && y == 0", &shared);
    breaks(
        "finally x == 2 && y == 0",
        "agent q\n  trylock m else out; y = 1; unlock m\nout:\n  x = 2\nfinally x == 2 && y == 0",
    );
}

/// Somebody is inside from `x = 1` to `x = 2`; who waits for him must not go on before.
fn waits(enter: &str, wait: &str, leave: &str, options: &str) -> String {
    format!(
        "agent p\n  {enter}; x = 1; x = 2; {leave}\nagent q\n  when x; {wait}; y = 1\nalways y == 0 || x == 2\n{options}"
    )
}

const WAITED: &str = "always y == 0 || x == 2";

#[test]
fn an_interrupt_waits_until_interrupts_are_on() {
    is_proved(&waits("irq_off", "ipi_sync", "irq_on", ""));
    breaks(WAITED, &waits("rcu_read_lock", "ipi_sync", "rcu_read_unlock", ""));
    breaks(WAITED, &waits("irq_off", "flush_tlb A", "irq_on", ""));
    is_proved(&waits("irq_off", "flush_tlb A", "irq_on", "option flush = ipi"));
    is_proved(
        &waits("irq_off", "flush_tlb A", "irq_on", "option flush = ipi").replace("agent p", "agent p on C"),
    );
}

#[test]
fn a_grace_period_waits_for_readers_and_for_interrupts() {
    is_proved(&waits("rcu_read_lock", "synchronize_rcu", "rcu_read_unlock", ""));
    is_proved(&waits("irq_off", "synchronize_rcu", "irq_on", ""));
}

#[test]
fn all_are_waited_for() {
    let both = "agent p\n  irq_off; x += 1; x -= 1; irq_on\nagent r\n  irq_off; x += 1; x -= 1; irq_on\n\
                agent q\n  when x == 2; WAIT; check x == 0 else out; end\nout:\n  y = 1\nfinally !y\noption deadlock = off";
    is_proved(&both.replace("WAIT", "ipi_sync"));
    breaks("finally !y", &both.replace("WAIT", "get g"));
}

#[test]
fn an_interrupt_that_was_sent_comes_before_interrupts_are_off_again() {
    let loads = |rows: &str| {
        let programs = "scenario s\nagent p\n  irq_off; irq_on; irq_off; irq_on\nagent q\n  ipi_sync\n";
        let trace = format!("trace\np | q\nirq_off |\nirq_on |\n | ipi_sync: send\n{rows}\n");
        super::load(&format!("{programs}\n{trace}")).is_ok()
    };
    assert!(!loads("irq_off |"));
    assert!(loads(" | ipi_sync: p answers\nirq_off |"));
    breaks("never deadlock", "agent p\n  irq_off; when x; irq_on\nagent q\n  y = 1; ipi_sync; x = 1");
}

#[test]
fn sections_do_not_nest_and_end_where_they_began() {
    for wrong in ["irq_off; irq_off", "irq_on", "rcu_read_lock; rcu_read_lock", "rcu_read_unlock"] {
        breaks("never out of range", &format!("agent p\n  {wrong}"));
    }
    breaks("never deadlock", "agent p\n  rcu_read_lock; synchronize_rcu; rcu_read_unlock");
    breaks("never deadlock", "agent p\n  irq_off; ipi_sync; irq_on");
}

#[test]
fn gup_fast_cannot_be_interrupted() {
    let program = |wait: &str| {
        format!(
            "agent p\n  gup_fast A => h\nagent q\n  pte_clear A; {wait}; if refs(f) == 1: y = 1\n\
             always !y || refs(f) == 1"
        )
    };
    is_proved(&program("ipi_sync"));
    is_proved(&program("synchronize_rcu"));
    breaks("always !y || refs(f) == 1", &program("flush_tlb A"));
    is_proved(&format!("{}\noption flush = ipi", program("flush_tlb A")));
    is_proved(&waits("irq_off; gup_fast A => h", "ipi_sync", "irq_on", ""));
}
