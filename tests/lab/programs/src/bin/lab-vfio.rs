//! Drives two DMA engines from user space, rightly: maps, lets them work, unmaps, resets them, and moves one of them to
//! another address space.
//!
//! Invariant: it says `LAB vfio works` only when everything was done, and what was wrong is counted.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use lab_programs::engine::{Engine, EngineError};
use lab_programs::space::{Memory, PAGE, Space};
use vm_memory::{MmapRegion, VolatileMemory};

const ROUNDS: u64 = 30;
const DATA: u64 = 0x400_0000;
const RINGS: [u64; 2] = [0x500_0000, 0x600_0000];
/// Less than a table maps: see K5 in docs/findings.md.
const LARGE: usize = 1 << 20;

type Outcome = Result<u64, EngineError>;

fn memory(len: usize) -> Result<Memory, EngineError> {
    Ok(Arc::new(MmapRegion::new(len)?))
}

fn word(memory: &Memory, offset: usize) -> Result<u64, EngineError> {
    Ok(memory.get_ref::<u64>(offset)?.load())
}

/// 1 if the engine's word does not come into this page, or comes into the other one.
fn arrives(engine: &mut Engine, pages: [&Memory; 2], value: u64) -> Outcome {
    for page in pages {
        page.get_ref::<u64>(0)?.store(0);
    }
    let code = engine.write(DATA, value, 64)?;
    Ok(u64::from((code, word(pages[0], 0)?, word(pages[1], 0)?) != (0, value, 0)))
}

/// One address leads to this page and to that one in turn.
fn remaps(engine: &mut Engine, space: &mut Space) -> Outcome {
    let pages = [memory(PAGE)?, memory(PAGE)?];
    let mut wrong = 0;
    for round in 1..=ROUNDS {
        let [page, other] = if round % 2 == 0 { [&pages[0], &pages[1]] } else { [&pages[1], &pages[0]] };
        space.map(DATA, page)?;
        wrong += arrives(engine, [page, other], round)?;
        space.unmap(DATA, PAGE)?;
    }
    Ok(wrong)
}

/// Much memory at once, each 64 KiB of which is written.
fn large(engine: &mut Engine, space: &mut Space) -> Outcome {
    let mut wrong = 0;
    for round in 1..=3 {
        let memory = memory(LARGE)?;
        space.map(DATA, &memory)?;
        for piece in (0..LARGE).step_by(64 << 10) {
            let code = engine.write(DATA + piece as u64, round + piece as u64, 8)?;
            wrong += u64::from((code, word(&memory, piece)?) != (0, round + piece as u64));
        }
        space.unmap(DATA, LARGE)?;
    }
    Ok(wrong)
}

/// Function-level resets, at rest and at work. What is mapped stays, the engine begins anew.
fn resets(engine: &mut Engine, space: &mut Space) -> Outcome {
    let pages = [memory(PAGE)?, memory(PAGE)?];
    let mut wrong = 0;
    for round in 1..=ROUNDS / 3 {
        space.map(DATA, &pages[0])?;
        wrong += arrives(engine, [&pages[0], &pages[1]], round)?;
        if round % 2 == 0 {
            engine.post(DATA, !round, 4096, 24)?;
        }
        wrong += u64::from(!engine.reset());
        // Nothing works on the page any more.
        space.unmap(DATA, PAGE)?;
        space.map(DATA, &pages[1])?;
        engine.start()?;
        wrong += arrives(engine, [&pages[1], &pages[0]], round)?;
        space.unmap(DATA, PAGE)?;
    }
    Ok(wrong)
}

/// Two engines in one space, and then the second in a space of its own, in which the address leads elsewhere.
fn moves(paths: [&Path; 2], first: &mut Engine, shared: &mut Space) -> Outcome {
    let pages = [memory(PAGE)?, memory(PAGE)?];
    let mut wrong = 0;
    shared.map(DATA, &pages[0])?;
    for round in 1..=ROUNDS / 6 {
        let mut second = Engine::open(paths[1], shared, RINGS[1])?;
        wrong += arrives(&mut second, [&pages[0], &pages[1]], round)?;
        wrong += arrives(first, [&pages[0], &pages[1]], round)?;
        drop(second);
        shared.unmap(RINGS[1], PAGE)?;
        let mut own = Space::new()?;
        let mut second = Engine::open(paths[1], &mut own, RINGS[1])?;
        own.map(DATA, &pages[1])?;
        wrong += arrives(&mut second, [&pages[1], &pages[0]], round)?;
        wrong += arrives(first, [&pages[0], &pages[1]], round)?;
        // What is still mapped goes with the space.
    }
    shared.unmap(DATA, PAGE)?;
    Ok(wrong)
}

fn run(paths: [&Path; 2], out: &mut impl Write) -> Outcome {
    let mut space = Space::new()?;
    let mut engine = Engine::open(paths[0], &mut space, RINGS[0])?;
    let mut wrong = 0;
    let mut say = |what: &str, outcome: u64| {
        let _unheard = writeln!(out, "LAB {what}: {outcome} wrong");
        wrong += outcome;
    };
    say("remapped", remaps(&mut engine, &mut space)?);
    say("large", large(&mut engine, &mut space)?);
    say("reset", resets(&mut engine, &mut space)?);
    say("moved", moves(paths, &mut engine, &mut space)?);
    Ok(wrong)
}

fn main() -> ExitCode {
    let mut out = io::stdout();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [first, second] = arguments.as_slice() else {
        let _unheard = writeln!(out, "LAB wrong: two devices are wanted");
        return ExitCode::from(2);
    };
    let line = match run([Path::new(first), Path::new(second)], &mut out) {
        Ok(wrong) => format!("LAB vfio works, {wrong} wrong"),
        Err(error) => format!("LAB wrong: {error}"),
    };
    writeln!(out, "{line}").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
