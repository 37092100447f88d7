//! The vocabulary's text.
//!
//! Invariant: a line is a remark, an operation or a row; anything else is an error that says what to write.

use ordering::lowering::load;
use steps::table::find;

use super::Wrong;
use super::row::{Kernel, Meaning, Operation, Row, Shape, Shows, Spoken, Where};
use crate::line::is_unseen;

/// What a cell should be.
type Cell<T> = Result<T, String>;

/// Reads rows and operations.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(text: &str, rows: &mut Vec<Row>, operations: &mut Vec<Operation>) -> Result<(), Wrong> {
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let wrong = |what| Wrong { line: number, what };
        if line.chars().any(is_unseen) {
            return Err(wrong(
                "it has a character that is not shown, or changes how others are; write plain text"
                    .to_owned(),
            ));
        }
        match line.strip_prefix("operation ") {
            Some(_) => operations.push(operation(&cells).map_err(wrong)?),
            None => rows.push(row(&cells, number).map_err(wrong)?),
        }
    }
    Ok(())
}

fn operation(cells: &[&str]) -> Cell<Operation> {
    let [head, title, shape, scenarios, words] = cells else {
        return Err("an operation is `operation ID | title | shape | scenarios | words`".to_owned());
    };
    let shape = match *shape {
        "replace" => Shape::Replace,
        "merge" => Shape::Merge,
        "zap" => Shape::Zap,
        "protect" => Shape::Protect,
        "move" => Shape::Move,
        other => return Err(format!("`{other}` is no shape; write replace, merge, zap, protect or move")),
    };
    let id = head.split_whitespace().nth(1).ok_or("an operation has a name")?.to_owned();
    let words = list(&words.to_lowercase());
    Ok(Operation { id, title: (*title).to_owned(), shape, scenarios: list(scenarios), words })
}

fn list(cell: &str) -> Vec<String> {
    cell.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn row(cells: &[&str], line: usize) -> Cell<Row> {
    let [name, kernels, step, shows, places] = cells else {
        return Err("a row is `name | kernels | step | shows | where`".to_owned());
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("`{name}` is no name of a function or a tracepoint"));
    }
    let (operation, meaning) = meaning(step)?;
    let shows = match *shows {
        "every" => Shows::Every,
        "some" => Shows::Some,
        other => return Err(format!("`{other}` is no word for what a row shows; write every or some")),
    };
    let places = places.split(';').map(str::trim).filter(|place| !place.is_empty());
    let places = places.map(place).collect::<Cell<_>>()?;
    Ok(Row { name: (*name).to_owned(), kernels: span(kernels)?, operation, meaning, shows, places, line })
}

fn span(cell: &str) -> Cell<(Option<Kernel>, Option<Kernel>)> {
    if cell.is_empty() {
        return Ok((None, None));
    }
    let (first, last) = cell.split_once("..").ok_or("kernels are written like 5.15..6.5 or 6.6..")?;
    let end = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
    match (end(first)?, end(last)?) {
        (Some(first), Some(last)) if first > last => {
            Err(format!("{first}..{last} is no kernel; the older one comes first"))
        }
        ends => Ok(ends),
    }
}

fn meaning(cell: &str) -> Cell<(Option<String>, Meaning)> {
    let (operation, rest) = match cell.strip_prefix("in ") {
        Some(rest) => {
            let (id, rest) = rest.split_once(':').unwrap_or((rest, "-"));
            (Some(id.trim().to_owned()), rest.trim())
        }
        None => (None, cell),
    };
    let meaning = match rest {
        "-" => Meaning::Nothing,
        "fault" => Meaning::Fault,
        "mark" => Meaning::Mark,
        steps => match steps.split_once(" around ") {
            Some((step, inside)) => Meaning::Around(spoken(step)?, spoken(inside)?),
            None => Meaning::Steps(steps.split(';').map(spoken).collect::<Cell<_>>()?),
        },
    };
    Ok((operation, meaning))
}

fn spoken(text: &str) -> Cell<Spoken> {
    let text = text.trim();
    let word = text.split(' ').next().unwrap_or_default();
    let row = find(word).ok_or_else(|| format!("`{word}` is no step; `afterimage steps` lists them"))?;
    is_step(text)?;
    Ok(Spoken { verb: row.verb, text: text.to_owned() })
}

/// Whether the language reads it, of page A and its frames.
fn is_step(text: &str) -> Cell<()> {
    let agent = if text.starts_with("walk") { "V0" } else { "mm" };
    let program = format!(
        "scenario step\npage A under M\ntable T\nframe old = 0, new = 1 free\npmd M -> T\nmap A -> old ro\nrefs old = 2\n\
         cpu T0\nvcpu V0\ndevice DEV ats\nagent {agent}\n  {text}\nnever out of range\n"
    );
    load(&program).map(|_| ()).map_err(|wrong| {
        let what = wrong.first().map(|one| one.message.clone()).unwrap_or_default();
        format!(
            "`{text}` cannot be read: {what}; a step is of page A (its upper entry M, its frames old and new)"
        )
    })
}

fn place(text: &str) -> Cell<Where> {
    let (word, rest) =
        text.split_once(' ').ok_or_else(|| format!("`{text}` says nothing behind its first word"))?;
    let rest = rest.trim();
    Ok(match word {
        "address" => Where::Address(list(rest)),
        "range" => Where::Range(rest.to_owned()),
        "gfn" => Where::Gfn(rest.to_owned()),
        "has" => Where::Has(rest.to_owned()),
        "from" => Where::From(rest.to_owned()),
        "if" => {
            let (key, value) = rest.split_once(' ').ok_or("`if` is followed by a key and a value")?;
            Where::If(key.to_owned(), value.trim().to_owned())
        }
        other => {
            return Err(format!("`{other}` says no place; write address, range, gfn, if, has or from"));
        }
    })
}
