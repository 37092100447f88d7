//! What happens with a built-in property switched off: the document says it, option by option.

use super::meaning::{breaks, is_proved};

/// Proved, and its last assignment is reached.
fn goes_on(program: &str) {
    is_proved(&format!("{program}\nfinally x == 1"));
    breaks("never x = 1", &format!("{program}\nnever x = 1"));
}

#[test]
fn a_step_on_a_free_frame_goes_on_and_counts_nothing() {
    for step in
        ["get g", "put g", "pin g", "unpin g", "map g", "unmap g", "free g", "mark_stable g", "read g"]
    {
        let counts = "if refs(g) || mapcount(g) || pins(g): end";
        let program = format!("agent p\n  put g\n  {step}\n  {counts}\n  x = 1");
        goes_on(&format!("{program}\noption use_after_free = off"));
        breaks("never use of a freed frame", &program);
    }
    goes_on(
        "agent p\n  put g; write g = 2; copy g -> f\n  if content(f) == 2: x = 1\noption use_after_free = off",
    );
    goes_on("agent p\n  put g; mark_stable g\n  if stable(g): x = 1\noption use_after_free = off");
    goes_on("agent p\n  put g; get g; put g; alloc g\n  if refs(g) == 1: x = 1\noption use_after_free = off");
}

#[test]
fn an_unlock_without_lock_goes_on_and_releases_nothing() {
    let alone = "agent p\n  unlock m; lock m; unlock m; x = 1";
    goes_on(&format!("{alone}\noption unlock = off"));
    breaks("never unlock without lock", alone);
    let other = "agent p\n  lock m; y = 1; when x\nagent q\n  when y; unlock m\n  trylock m else out\n  end\nout:\n  x = 1";
    goes_on(&format!("{other}\noption unlock = off"));
    goes_on("agent p\n  unlock m; lock m shared; unlock m; unlock m; lock m; x = 1\noption unlock = off");
}

#[test]
fn a_walk_of_a_free_table_goes_on_with_what_it_says() {
    let program = "table T\npmd M -> T\npage B under M\nmap B -> g ro\nagent q\n  put T; y = 1\nagent C\n  when y; load B; x = 1";
    goes_on(&format!("{program}\noption walk_after_free = off"));
    breaks("never walk of a freed page-table page", program);
}

#[test]
fn what_would_leave_its_range_waits_until_it_would_not() {
    for (step, allowed_by) in [
        ("x -= 1; x += 1", "x = 1"),
        ("unmap g; x = 1", "map g"),
        ("unpin g; x = 1", "pin g"),
        ("notify_end A; x = 1", "notify_start A"),
    ] {
        let program = format!("agent p\n  {step}\nagent q\n  {allowed_by}");
        is_proved(&format!("{program}\noption range = off\nfinally x == 1"));
        breaks("never out of range", &program);
        let alone = format!("agent p\n  {step}\noption range = off");
        breaks("never deadlock", &alone);
    }
    breaks("never deadlock", "agent p\n  irq_on; x = 1\noption range = off");
}

#[test]
fn a_mapping_that_cannot_be_counted_is_out_of_range_and_does_not_wait() {
    breaks("never out of range", "agent p\nagain:\n  map g; free g; alloc g; goto again");
}
