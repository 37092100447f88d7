//! Changes the mapping of pages in every way that Linux has, while the DMA engine reads and writes them by PASID, and checks
//! each access: `lab-sva ROUNDS CHUNK OPERATION...`. CHUNK is how many pages are changed at once.
//!
//! Says `LAB sva OPERATION: N accesses, N wrong` of each; an access is one page, or one word that is changed atomically, whose
//! value was checked. Status 1 if one was wrong.
//!
//! Read in this order: [`engine`], [`memory`], [`mod@bench`] (what the device does, and must find), [`mod@operation`].

mod bench;
mod engine;
mod memory;
mod operation;
mod process;
mod tally;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use operation::{OPERATIONS, Operation, Scale};
use tally::Tally;

const MILLION: u64 = 1_000_000;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            let _unheard = writeln!(io::stdout(), "LAB wrong: sva: {error}");
            ExitCode::from(2)
        }
    }
}

/// How much was wrong.
fn run() -> io::Result<u64> {
    let mut words = env::args().skip(1);
    let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or_else(usage);
    let scale = Scale { rounds: number()?, chunk: number()? };
    let names: Vec<_> = words.collect();
    let (mut accesses, mut wrong) = (0, 0);
    for name in &names {
        let tally = measure(operation(name)?, scale)?;
        accesses += tally.accesses();
        wrong += tally.wrong();
    }
    writeln!(io::stdout(), "LAB sva total: {accesses} accesses, {wrong} wrong")?;
    if accesses >= MILLION {
        writeln!(io::stdout(), "LAB sva a million accesses were checked")?;
    }
    Ok(wrong)
}

fn usage() -> io::Error {
    let names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
    io::Error::other(format!("usage: lab-sva ROUNDS CHUNK OPERATION..., operations {}", names.join(" ")))
}

fn operation(name: &str) -> io::Result<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name).ok_or_else(usage)
}

fn measure(operation: &Operation, scale: Scale) -> io::Result<Tally> {
    let tally = Tally::default();
    let begun = Instant::now();
    (operation.run)(scale, &tally)
        .map_err(|error| io::Error::other(format!("{}: {error}", operation.name)))?;
    writeln!(
        io::stdout(),
        "LAB sva {}: {} accesses, {} wrong; {} refused, {} s",
        operation.name,
        tally.accesses(),
        tally.wrong(),
        tally.refusals(),
        begun.elapsed().as_secs()
    )?;
    Ok(tally)
}
