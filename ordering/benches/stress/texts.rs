//! Scenarios that press on one thing each: many agents alike, many agents that are not, wide states, many ways at a
//! place, long loops.
//!
//! Invariant: none is refuted, and its text is a function of the numbers that it is given.

use std::fmt::Write;

/// A scenario and what it is called in the table.
pub(super) struct Stress {
    pub(super) name: String,
    pub(super) text: String,
}

/// All of them.
pub(super) fn all() -> Vec<Stress> {
    vec![
        loads(8, 3, true),
        loads(12, 2, true),
        loads(30, 2, false),
        loads(30, 1, true),
        unlike_loads(5),
        unlike_loads(7),
        locks(6),
        locks(12),
        own(8, 2),
        own(12, 1),
        shared(5, 4),
        shared(9, 1),
        noted(5, 3),
        noted(9, 6),
        wide(6),
        ways(3, 8),
        loops(3, 60),
        counters(4),
    ]
}

fn text(head: &str, agents: impl IntoIterator<Item = String>, property: &str) -> String {
    let agents: String = agents.into_iter().collect();
    format!("scenario stress\n{head}\n{agents}\n{property}\nexpect proved\n")
}

fn list(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(", ")
}

fn agent(name: &str, rows: impl IntoIterator<Item = String>) -> String {
    let mut text = format!("agent {name}\n");
    rows.into_iter().for_each(|row| writeln!(text, "  {row}").expect("a text takes what is written"));
    text
}

/// CPUs that are alike, with so many loads of one page; and perhaps one that makes the page read-only and flushes it.
fn loads(cpus: usize, loads: usize, flushed: bool) -> Stress {
    let head = format!("cpu {}, F\npage A\nframe f\nmap A -> f rw", list(cpus, |cpu| format!("C{cpu}")));
    let cpu = |cpu| agent(&format!("T{cpu} on C{cpu}"), vec!["load A".to_owned(); loads]);
    let flusher = agent("K on F", ["set_pte A -> f ro".to_owned(), "flush_tlb A".to_owned()]);
    let agents = (0..cpus).map(cpu).chain(flushed.then_some(flusher));
    let name = format!("{cpus} CPUs, {loads} loads{}", if flushed { ", a flush" } else { "" });
    Stress { name, text: text(&head, agents, "never use of a freed frame") }
}

/// The same with CPUs of which no two are alike.
fn unlike_loads(cpus: usize) -> Stress {
    let head = format!("cpu {}, F\npage A\nframe f\nmap A -> f rw", list(cpus, |cpu| format!("C{cpu}")))
        + &format!("\nvar {}", list(cpus, |cpu| format!("x{cpu} = 0..1")));
    let cpu = |cpu| agent(&format!("T{cpu} on C{cpu}"), ["load A".to_owned(), format!("x{cpu} = 1")]);
    let flusher = agent("K on F", ["set_pte A -> f ro".to_owned(), "flush_tlb A".to_owned()]);
    let agents = (0..cpus).map(cpu).chain([flusher]);
    let sum = (0..cpus).map(|cpu| format!("x{cpu} == {}", cpu % 2)).collect::<Vec<_>>().join(" && ");
    let property = format!("finally !({sum})");
    Stress { name: format!("{cpus} unlike CPUs, a flush"), text: text(&head, agents, &property) }
}

/// Agents that each take one of two locks around a step of their own.
fn locks(agents: usize) -> Stress {
    let head = format!("var {}", list(agents, |agent| format!("x{agent} = 0..2")));
    let each = |one: usize| {
        let lock = if one.is_multiple_of(2) { "a" } else { "b" };
        let rows =
            [format!("lock {lock}"), format!("x{one} = 1"), format!("x{one} = 0"), format!("unlock {lock}")];
        agent(
            &format!("T{one}"),
            rows.into_iter().chain(one.is_multiple_of(3).then(|| format!("x{one} = 2"))),
        )
    };
    let property = "always x0 == 0 || x2 == 0 || x4 == 0 || x1 == 0 || x3 != 2";
    Stress { name: format!("{agents} agents, 2 locks"), text: text(&head, (0..agents).map(each), property) }
}

/// Agents that each count in a variable of their own, all of which the property asks for.
fn own(agents: usize, steps: usize) -> Stress {
    let head = format!("var {}", list(agents, |agent| format!("x{agent} = 0..{steps}")));
    let each = |one: usize| agent(&format!("T{one}"), (1..=steps).map(|step| format!("x{one} = {step}")));
    let end = (0..agents).map(|one| format!("x{one} == {steps}")).collect::<Vec<_>>().join(" && ");
    let property = format!("finally {end}");
    Stress {
        name: format!("{agents} agents, {steps} own steps"),
        text: text(&head, (0..agents).map(each), &property),
    }
}

/// Agents that add to and take from one number, and note it: everybody concerns everybody.
fn shared(agents: usize, steps: usize) -> Stress {
    let head = format!(
        "var n = 0..{}, {}",
        agents * steps + steps + 1,
        list(agents, |agent| format!("x{agent} = 0..{}", agent + 1))
    );
    let each = |one: usize| {
        let rows = (0..steps).map(|_| format!("n += {}", 1 + usize::from(one == 0)));
        agent(&format!("T{one}"), rows.chain([format!("if n > {one}: x{one} = {}", one + 1)]))
    };
    let property = format!("always n < {}", agents * steps + steps + 1);
    Stress {
        name: format!("{agents} agents, one number, {steps} steps"),
        text: text(&head, (0..agents).map(each), &property),
    }
}

/// The same with a number of which much more is expected than comes: as many ways at each place as it has values.
fn noted(agents: usize, steps: usize) -> Stress {
    let head = format!("var n = 0..250, {}", list(agents, |agent| format!("x{agent} = 0..{}", agent + 1)));
    let each = |one: usize| {
        let noted = |step: usize| {
            [format!("if n > {}: x{one} = {}", one + step, 1 + step % (one + 1)), "n += 1".to_owned()]
        };
        agent(&format!("T{one}"), (0..steps).flat_map(noted))
    };
    Stress {
        name: format!("{agents} agents that note a number, {steps} steps"),
        text: text(&head, (0..agents).map(each), "always n < 250"),
    }
}

/// A state of more than 64 bits, in which everybody looks at his neighbour's variable.
fn wide(agents: usize) -> Stress {
    let head = format!(
        "var {}",
        list(agents, |agent| format!("x{agent} = 0..255, y{agent} = 0..255, z{agent} = 0..15"))
    );
    let each = |one: usize| {
        let next = (one + 1) % agents;
        let rows = [
            format!("x{one} = 255 | x{one} = 128"),
            format!("if x{next} == 128: y{one} = 255"),
            "repeat 3:".to_owned(),
            format!("  z{one} += 1"),
        ];
        agent(&format!("T{one}"), rows)
    };
    let property = "always z0 != 9";
    Stress {
        name: format!("{agents} agents with wide variables"),
        text: text(&head, (0..agents).map(each), property),
    }
}

/// Devices that read any of many pages while a CPU unmaps them one by one.
fn ways(devices: usize, pages: usize) -> Stress {
    let pages_of = list(pages, |page| format!("P{page}"));
    let head = format!("page {pages_of}\nframe f\nmap {}", list(pages, |page| format!("P{page} -> f ro")))
        + &format!("\ncpu C\ndevice {}\noption evict = off", list(devices, |device| format!("D{device}")));
    let rows = (0..2).flat_map(|page| [format!("pte_clear P{page}"), format!("notify P{page}")]);
    let cpu = agent("K on C", rows);
    let device =
        |one| agent(&format!("E{one} on D{one}"), ["dma_read any".to_owned(), "dma_read any".to_owned()]);
    let agents = [cpu].into_iter().chain((0..devices).map(device));
    Stress {
        name: format!("{devices} devices, any of {pages} pages"),
        text: text(&head, agents, "never use of a freed frame"),
    }
}

/// Agents with long loops over a flag that they share.
fn loops(agents: usize, rounds: usize) -> Stress {
    let head = format!("var flag = 0..1, {}", list(agents, |agent| format!("x{agent} = 0..{}", agent + 1)));
    let each = |one: usize| {
        let rows = [
            format!("repeat {rounds}:"),
            "  when flag == 0: flag = 1".to_owned(),
            format!("  x{one} = {}", one + 1),
            "  flag = 0".to_owned(),
        ];
        agent(&format!("T{one}"), rows)
    };
    Stress {
        name: format!("{agents} agents, {rounds} rounds"),
        text: text(&head, (0..agents).map(each), "finally flag == 0"),
    }
}

/// Guards that compare variables with each other, which no table of cases decides.
fn counters(agents: usize) -> Stress {
    let head = format!("var {}", list(agents, |agent| format!("x{agent} = 0..40")));
    let each = |one: usize| {
        let next = (one + 1) % agents;
        let wait = if one == 0 { format!("x{one} <= x{next} + 3") } else { format!("x{one} < x{next} + 4") };
        agent(&format!("T{one}"), ["repeat 20:".to_owned(), format!("  when {wait}: x{one} += 1")])
    };
    Stress {
        name: format!("{agents} agents that compare"),
        text: text(&head, (0..agents).map(each), "always x0 < 40"),
    }
}
