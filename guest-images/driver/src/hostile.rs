//! Guests that nobody wants: each does one kind of harm, for as long as it is let.
//!
//! Invariant: what a kind does depends on `kind=NAME` and `seed=N` alone, so that a run can be repeated; the monitor ends
//! it, unless a kind is about ends. It says so when it has begun, and when its harm shows (`sign.rs`).
#![expect(clippy::cast_possible_truncation, reason = "what nobody chose may lose its upper bits")]

mod engine;
mod functions;
mod interrupts;
mod ports;
mod processors;
mod random;
mod raw;
mod sign;
mod unit;

use crate::console::say;
use crate::ending;
use crate::engine::{DEVICE, VENDOR};
use crate::memory::{CommandLine, Memory};
use crate::pci::Function;
use random::Random;

/// What a kind works with.
struct Hostile {
    random: Random,
    /// Where memory ends.
    end: u64,
    engines: [Option<Function>; 2],
    /// Another processor runs.
    has_started: bool,
    /// Large pages that were made to reach something.
    reached: u64,
    /// Signs that were told, a bit each.
    told: u32,
}

/// One turn of a kind.
type Turn = fn(&mut Hostile);

const KINDS: [(&str, Turn); 31] = [
    ("ports", ports::any),
    ("strings", ports::strings),
    ("serial", ports::serial),
    ("warnings", ports::warnings),
    ("endings", ports::end),
    ("timer", ports::timer),
    ("configuration", functions::configuration),
    ("bars", functions::bars),
    ("resets", functions::resets),
    ("devices", functions::registers),
    ("ring", engine::ring),
    ("messages", engine::messages),
    ("unit", unit::registers),
    ("queue", unit::queue),
    ("waits", unit::waits),
    ("requests", unit::requests),
    ("tables", unit::tables),
    ("interrupt-entries", unit::interrupt_entries),
    ("lines", interrupts::lines),
    ("storm", interrupts::storm),
    ("local", interrupts::local),
    ("others-fault", processors::fault),
    ("against", processors::against),
    ("restart", processors::restart),
    ("elsewhere", processors::elsewhere),
    ("unmapped", processors::unmapped),
    ("gates", processors::gates),
    ("halt", processors::halt),
    ("calls", processors::calls),
    ("registers", processors::registers),
    ("anything", anything),
];
/// Those that do not end by themselves, but for chance.
const ENDLESS: [Turn; 20] = [
    ports::any,
    ports::strings,
    ports::serial,
    ports::warnings,
    ports::timer,
    functions::configuration,
    functions::bars,
    functions::resets,
    functions::registers,
    engine::ring,
    engine::messages,
    unit::registers,
    unit::queue,
    unit::waits,
    unit::requests,
    unit::tables,
    unit::interrupt_entries,
    interrupts::lines,
    interrupts::storm,
    processors::against,
];

/// A turn of any kind that goes on.
fn anything(guest: &mut Hostile) {
    guest.random.pick(&ENDLESS)(guest);
}

/// Does what `kind=` names, from `seed=` on, for ever.
pub fn run(mut memory: Memory, line: &CommandLine) -> ! {
    let kind = line.value("kind").unwrap_or_default();
    let Some((_, turn)) = KINDS.into_iter().find(|(name, _)| *name == kind) else {
        say!("FAILED no kind `{kind}`");
        ending::failed()
    };
    let mut engines = Function::all(VENDOR, DEVICE);
    let mut guest = Hostile {
        random: Random::new(line.number("seed").unwrap_or(1), &mut memory),
        end: memory.end(),
        engines: [engines.next(), engines.next()],
        has_started: false,
        reached: 0,
        told: 0,
    };
    say!("hostile: {kind}");
    loop {
        turn(&mut guest);
    }
}

impl Hostile {
    /// Where 2 MiB of physical memory around `address`, above 4 GiB, can be reached from now on.
    fn reach(&mut self, address: u64) -> u64 {
        self.reached += 1;
        raw::reach(self.reached, address)
    }
}
