//! A scenario built in Rust: in which place must the devices be told that a page was copied?
use std::io::Write;

use afterimage::scenario::{Draft, Entry, Event, Limits, Program, Scenario, UserKind, keep_going};

/// The steps of a COW break, with the notification before the step of that number.
fn cow(notify_before: usize) -> Draft {
    let steps: [fn(Program) -> Program; 4] = [
        |cpu| cpu.pte_clear("A"),
        |cpu| cpu.flush_tlb("A"),
        |cpu| cpu.set_pte("A", Entry::read_write("new")),
        |cpu| cpu.store("A", 1),
    ];
    let cpu = (0..=steps.len()).fold(Program::new(), |cpu, number| {
        let cpu = if number == notify_before { cpu.notify("A") } else { cpu };
        steps.get(number).map_or(cpu.clone(), |step| step(cpu))
    });
    Draft::new(format!("notify-before-{notify_before}"))
        .page("A")
        .frame("old", 0)
        .frame("new", 0)
        .map("A", Entry::read_only("old"))
        .user(UserKind::Cpu, "CPU")
        .device_with_tlb("DEV")
        .agent("CPU", cpu)
        .agent("DEV", Program::new().repeat(0..=2, Program::new().walk("A").dma_read("A")))
        .never_after(Event::reads("DEV", "A", 0), Event::stores("CPU", "A", 1))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    for place in 0..=4 {
        let scenario = Scenario::try_from(cow(place))?;
        let finding = scenario.explore(Limits::default(), keep_going)?;
        writeln!(out, "{} {} in {} states", scenario.name(), finding.answered, finding.states)?;
        finding.counterexample.iter().try_for_each(|table| writeln!(out, "{table}"))?;
    }
    Ok(())
}
