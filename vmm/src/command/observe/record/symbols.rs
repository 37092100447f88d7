//! Which function of the kernel an address is in.
//!
//! Source: kernel/kallsyms.c; a line is `ADDRESS TYPE NAME`, perhaps with a module behind it.

use std::fs::File;
use std::io::{BufRead, BufReader};

const PATH: &str = "/proc/kallsyms";

/// `FUNCTION+0xOFFSET` for each address.
///
/// # Errors
/// If the kernel does not tell.
pub(super) fn places(addresses: &[u64]) -> Result<Vec<String>, String> {
    let file = File::open(PATH).map_err(|error| format!("{PATH} cannot be read: {error}"))?;
    places_of(BufReader::new(file), addresses)
}

/// The same, of such lines.
pub(super) fn places_of(lines: impl BufRead, addresses: &[u64]) -> Result<Vec<String>, String> {
    let mut best: Vec<Option<(u64, String)>> = vec![None; addresses.len()];
    for line in lines.lines() {
        let line = line.map_err(|error| format!("{PATH} cannot be read: {error}"))?;
        let mut words = line.split_whitespace();
        let (Some(begin), Some("t" | "T" | "w" | "W"), Some(name)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Ok(begin) = u64::from_str_radix(begin, 16) else { continue };
        for (address, best) in addresses.iter().zip(&mut best) {
            // Of two names of a place the first one counts.
            let is_nearer = begin <= *address && best.as_ref().is_none_or(|(other, _)| *other < begin);
            // Hidden addresses are 0.
            if is_nearer && begin > 0 {
                *best = Some((begin, name.to_owned()));
            }
        }
    }
    let place = |(address, best): (&u64, Option<(u64, String)>)| {
        let (begin, name) =
            best.ok_or_else(|| format!("{PATH} hides where functions are (kptr_restrict)"))?;
        Ok(format!("{name}+{:#x}", address - begin))
    };
    addresses.iter().zip(best).map(place).collect()
}
