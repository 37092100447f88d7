//! What each code of an error means: prose, a small file that has the error, and one that has not.
//!
//! Invariant: every code has an entry, and each example is what it is said to be; the tests beside this hold both. The
//! entries are text, `explain/*.txt`: what stands in `-- both` belongs to either file, `-- wrong` and `-- right` to one.

use std::fmt;

use super::code::Code;

const TEXTS: [&str; 3] = [
    include_str!("explain/reading.txt"),
    include_str!("explain/names.txt"),
    include_str!("explain/asked.txt"),
];
/// What `@head` stands for.
const HEAD: &str = "scenario s\npage A\nframe old = 0, new = 0 free\nmap A -> old rw\ncpu CPU\ndevice DEV\n";

/// What is told of one code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Which error.
    pub code: Code,
    /// Why it is one, some sentences.
    pub prose: String,
    /// A file that has it.
    pub wrong: Example,
    /// A file without it.
    pub right: Example,
}

/// A scenario file in short: a line may stand for many that are alike.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Example {
    lines: Vec<String>,
}

/// What the entry of a code is read into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Prose,
    Both,
    Wrong,
    Right,
}

/// The entry of `code`.
///
/// # Panics
/// If there is none, which a test excludes.
#[must_use]
pub fn explain(code: Code) -> Explanation {
    let head = format!("== {code}\n");
    let found = TEXTS.iter().find_map(|text| text.split_once(head.as_str()).map(|(_, rest)| rest));
    let rest = found.unwrap_or_else(|| panic!("{code} has no entry in language/explain; write one"));
    let mut told =
        Explanation { code, prose: String::new(), wrong: Example::default(), right: Example::default() };
    let mut part = Part::Prose;
    for line in rest.lines().take_while(|line| !line.starts_with("== ")) {
        part = match line {
            "-- both" => Part::Both,
            "-- wrong" => Part::Wrong,
            "-- right" => Part::Right,
            _ => {
                told.take(part, line);
                part
            }
        };
    }
    told
}

impl Explanation {
    fn take(&mut self, part: Part, line: &str) {
        match part {
            Part::Prose => {
                self.prose.push_str(line);
                self.prose.push('\n');
            }
            Part::Both => {
                self.wrong.lines.push(line.to_owned());
                self.right.lines.push(line.to_owned());
            }
            Part::Wrong => self.wrong.lines.push(line.to_owned()),
            Part::Right => self.right.lines.push(line.to_owned()),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, prose, wrong, right } = self;
        write!(f, "error[{code}]: {}\n\n{prose}\nWrong:\n\n{wrong}\nRight:\n\n{right}", code.about())
    }
}

impl Example {
    /// The whole file.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| unfolded(line)).collect()
    }
}

/// As it is shown: what would be too long stays in short.
impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in
            self.lines.iter().flat_map(|line| shown(line).lines().map(str::to_owned).collect::<Vec<_>>())
        {
            writeln!(f, "{}", format!("    {line}").trim_end())?;
        }
        Ok(())
    }
}

/// A line as it is shown.
fn shown(line: &str) -> String {
    if line == "@head" {
        return HEAD.to_owned();
    }
    match repeated(line) {
        Some((times, text)) => {
            let text = text.replace("\\n", "\n").replace("{n}", "1");
            format!("{}   # and so on, {times} in all", text.trim_end())
        }
        None => match inner(line) {
            Some((before, times, text, after)) => {
                format!("{before}{text}{after}   # `{}` {times} times", text.trim())
            }
            None if line.is_empty() => "\n".to_owned(),
            None => line.to_owned(),
        },
    }
}

/// The lines of a file that one line stands for.
fn unfolded(line: &str) -> String {
    if line == "@head" {
        return HEAD.to_owned();
    }
    if let Some((times, text)) = repeated(line) {
        let mut all = String::new();
        for number in 1..=times {
            all.push_str(&text.replace("\\n", "\n").replace("{n}", &number.to_string()));
            all.push('\n');
        }
        return all;
    }
    let whole = match inner(line) {
        Some((before, times, text, after)) => format!("{before}{}{after}", text.repeat(times)),
        None => line.to_owned(),
    };
    whole.replace("\\r", "\r").replace("\\t", "\t") + "\n"
}

/// `*61*page P{n}`: a line that stands there so many times.
fn repeated(line: &str) -> Option<(usize, &str)> {
    let (times, text) = line.strip_prefix('*')?.split_once('*')?;
    Some((times.parse().ok()?, text))
}

/// `if {*40*!}x`: a part of a line that stands there so many times.
fn inner(line: &str) -> Option<(&str, usize, &str, &str)> {
    let (before, rest) = line.split_once("{*")?;
    let (times, rest) = rest.split_once('*')?;
    let (text, after) = rest.split_once('}')?;
    Some((before, times.parse().ok()?, text, after))
}

#[cfg(test)]
mod tests;
