//! The DMA engine of this process: what is written to the device's file is executed in the process's name.
//! Invariant: each descriptor has its outcome; one that is missing is an error.
//! Source: docs/dma-engine.md; tests/lab/module/lab_sva/lab_sva.c.

use std::fs::File;
use std::io::{self, Read, Write};

const DEVICE: &str = "/dev/lab-sva";
const OUTCOME_BYTES: usize = 16;

/// A page was asked for, and refused.
pub(crate) const REFUSED: u8 = 8;

/// What the engine is told to do, at addresses of this process.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Read { at: usize, bytes: usize },
    Write { at: usize, bytes: usize, value: u64 },
    Copy { from: usize, to: usize, bytes: usize },
    FetchAdd { at: usize, value: u64 },
    Swap { at: usize, value: u64 },
    CompareSwap { at: usize, from: u64, to: u64 },
}

/// How a descriptor ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) result: u64,
    pub(crate) code: u8,
}

impl Outcome {
    pub(crate) const fn is_done(self) -> bool {
        self.code == 0
    }
}

impl Work {
    fn encode(self) -> [u64; 5] {
        let head = |operation: u64, bytes: usize| operation | (bytes as u64) << 32;
        match self {
            Self::Read { at, bytes } => [head(1, bytes), at as u64, 0, 0, 0],
            Self::Write { at, bytes, value } => [head(2, bytes), 0, at as u64, value, 0],
            Self::Copy { from, to, bytes } => [head(3, bytes), from as u64, to as u64, 0, 0],
            Self::FetchAdd { at, value } => [head(4, 0), 0, at as u64, value, 0],
            Self::Swap { at, value } => [head(5, 0), 0, at as u64, value, 0],
            Self::CompareSwap { at, from, to } => [head(6, 0), 0, at as u64, to, from],
        }
    }
}

/// The engine, with a PASID of this process until it is dropped.
pub(crate) struct Engine(File);

impl Engine {
    pub(crate) fn open() -> io::Result<Self> {
        File::options().read(true).write(true).open(DEVICE).map(Self)
    }

    /// Starts all of it, one after the other.
    pub(crate) fn post(&self, works: &[Work]) -> io::Result<()> {
        let bytes: Vec<u8> = works.iter().flat_map(|work| work.encode()).flat_map(u64::to_le_bytes).collect();
        // Not in pieces: the device takes whole descriptors.
        let taken = (&self.0).write(&bytes)?;
        if taken == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// What came of as many as were posted.
    pub(crate) fn wait(&self, count: usize) -> io::Result<Vec<Outcome>> {
        let mut bytes = vec![0; count * OUTCOME_BYTES];
        (&self.0).read_exact(&mut bytes)?;
        Ok(bytes.chunks_exact(OUTCOME_BYTES).map(outcome).collect())
    }

    pub(crate) fn run(&self, works: &[Work]) -> io::Result<Vec<Outcome>> {
        self.post(works)?;
        self.wait(works.len())
    }

    pub(crate) fn one(&self, work: Work) -> io::Result<Outcome> {
        self.run(&[work])?.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn outcome(record: &[u8]) -> Outcome {
    let mut result = [0; 8];
    result.copy_from_slice(&record[..8]);
    Outcome { result: u64::from_le_bytes(result), code: record[9] }
}
