//! Programs that are started, and how long it takes until they have said a word.
//!
//! Invariant: a program that ends without the word is a failure with what it said, not a time. Whoever has said it is
//! ended.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use tests_support::measure::round::Turn;

/// A process with this set is not the benchmark: it is the `afterimage` command.
pub(crate) const AS_COMMAND: &str = "AFTERIMAGE_PEERS_COMMAND";

/// From before the spawn until `word` has come out; the checksum is 1, for the word was there.
pub(crate) fn until(word: &str, command: &mut Command) -> Result<Turn, String> {
    let began = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = spawned.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let mut said = Vec::new();
    let mut output = process.stdout.take().ok_or("the process has no output pipe")?;
    let mut piece = [0; 4096];
    let took = loop {
        match output.read(&mut piece) {
            Ok(0) | Err(_) => break None,
            Ok(len) => said.extend_from_slice(&piece[..len]),
        }
        if said.windows(word.len()).any(|part| part == word.as_bytes()) {
            break Some(began.elapsed());
        }
    };
    let _ended = process.kill();
    let mut complaint = Vec::new();
    if let (None, Some(mut errors)) = (took, process.stderr.take()) {
        let _told = errors.read_to_end(&mut complaint);
    }
    let status = process.wait().map_err(|error| error.to_string())?;
    said.extend(complaint);
    let said = String::from_utf8_lossy(&said);
    let took =
        took.ok_or_else(|| format!("{:?} ended with {status} and said {said:?}", command.get_program()))?;
    Ok(Turn { took, operations: 1, checksum: 1 })
}
