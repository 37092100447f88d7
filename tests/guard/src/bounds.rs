//! What was committed, and what is held against it.
//!
//! Invariant: every row that is counted has a bound, and every bound a row. Counts are per operation, with one digit
//! behind the point, because a few instructions of a loop are shared by several operations.

use std::fmt::Write;

/// Over the bound by so much fails; under it by so much asks to lower it.
const SLACK: f64 = 0.05;

const HEAD: &str = "# Instructions an operation of the release build, by callgrind. A row that takes 5 % more fails.
# To raise a bound knowingly: cargo run --release -p afterimage-guard -- --write, and say in the commit what the
# instructions are for.
";

/// A row that was counted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Counted {
    name: String,
    /// Instructions an operation.
    instructions: f64,
}

/// The committed file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Bounds(Vec<Counted>);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) is_over: bool,
}

/// The count of `name`, by what the row itself said and what callgrind said.
pub(crate) fn counted(name: &str, said: &str, collected: &str) -> Result<Counted, String> {
    let number = |text: &str, before: &str| {
        let (_, after) = text.split_once(before)?;
        after.trim_start_matches([' ', ':']).split_whitespace().next()?.parse::<f64>().ok()
    };
    let operations = number(said, "operations").filter(|operations| *operations > 0.0);
    let operations = operations.ok_or_else(|| format!("it did nothing, and said {said:?}"))?;
    let all = number(collected, "Collected").filter(|all| *all > 0.0);
    let all = all.ok_or("callgrind saw nothing of it: its function has lost its name, or was inlined")?;
    Ok(Counted { name: name.to_owned(), instructions: all / operations })
}

impl Bounds {
    /// From the file's text.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let bound = |line: &str| {
            let wrong = || format!("bounds.txt: `{line}` is no name and number; write it anew with --write");
            let (name, number) = line.split_once(' ').ok_or_else(wrong)?;
            let instructions = number.trim().parse().map_err(|_| wrong())?;
            Ok(Counted { name: name.to_owned(), instructions })
        };
        lines.map(bound).collect::<Result<_, _>>().map(Self)
    }

    /// What is counted becomes what is held.
    pub(crate) fn of(counts: &[Counted]) -> Self {
        Self(counts.to_vec())
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for Counted { name, instructions } in &self.0 {
            let _ = writeln!(text, "{name} {instructions:.1}");
        }
        text
    }

    /// Holds `counts` against it.
    pub(crate) fn hold(&self, counts: &[Counted]) -> Told {
        let mut told = Told { text: String::new(), is_over: false };
        for Counted { name, instructions } in counts {
            let line = match self.0.iter().find(|bound| bound.name == *name) {
                None => {
                    told.is_over = true;
                    format!("{instructions:>10.1} has no bound: run with --write, and commit bounds.txt")
                }
                Some(Counted { instructions: bound, .. }) => {
                    let more = instructions / bound - 1.0;
                    told.is_over |= more > SLACK;
                    let verdict = match more {
                        more if more > SLACK => {
                            "OVER: make it cheaper; to raise it knowingly run with --write, and say in the commit why"
                        }
                        more if more < -SLACK => {
                            "under: it became cheaper; run with --write, so that it stays so"
                        }
                        _ => "as committed",
                    };
                    format!("{instructions:>10.1} of {bound:>10.1} {:>+7.1} %  {verdict}", more * 100.0)
                }
            };
            let _ = writeln!(told.text, "{name:<18} {line}");
        }
        for Counted { name, .. } in &self.0 {
            if counts.iter().all(|counted| counted.name != *name) {
                told.is_over = true;
                let _ = writeln!(told.text, "{name:<18} has a bound and is not counted: run with --write");
            }
        }
        told
    }
}

#[cfg(test)]
mod tests;
