//! A trace as a stream of lines.
//!
//! Invariant: however long a file or a line of it is, no more than one line of bounded length is in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, stdin};
use std::path::Path;

use observe::collect::{Collector, LONGEST_LINE};
use observe::reader::Binary;
use thiserror::Error;

/// Why a file is no trace.
#[derive(Debug, Error)]
pub(super) enum InputError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{}", .0.remedy())]
    Binary(Binary),
}

/// Reads all lines of a file, or of standard input.
pub(super) fn read(path: &Path, collector: &mut Collector<'_>) -> Result<(), InputError> {
    if path.as_os_str() == "-" {
        return lines(stdin().lock(), collector);
    }
    let file = File::open(path)?;
    lines(BufReader::with_capacity(1 << 16, file), collector)
}

fn lines(mut reader: impl BufRead, collector: &mut Collector<'_>) -> Result<(), InputError> {
    if let Some(binary) = Binary::of(reader.fill_buf()?) {
        return Err(InputError::Binary(binary));
    }
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while next(&mut reader, &mut line)? {
        collector.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
    }
    collector.end_of_file();
    Ok(())
}

/// The next line, as much of it as is looked at; whether there is one.
fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut is_any = false;
    loop {
        let bytes = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(is_any);
        }
        is_any = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let room = LONGEST_LINE - line.len();
        line.extend_from_slice(&bytes[..taken.min(room)]);
        reader.consume(taken);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests;
