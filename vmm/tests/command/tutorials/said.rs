//! What a page has below a command, beside what the command says.
//!
//! Invariant: what is not compared is a number before a unit of time or rate, how many blanks there are between words, and what
//! stands for `…`.

/// Words behind a number that no two machines agree on.
const UNITS: [&str; 6] = ["ms", "s", "µs", "runs/s", "rows/s", "rounds/s"];

/// Whether `output` is what was `expected`.
pub(super) fn agrees(expected: &[String], output: &str) -> bool {
    let expected: Vec<_> = expected.iter().map(|line| comparable(line)).collect();
    let output: Vec<_> = output.lines().map(comparable).collect();
    let (expected, output) = (trimmed(&expected), trimmed(&output));
    lines_agree(expected, output)
}

/// Without empty lines at the end.
fn trimmed(lines: &[String]) -> &[String] {
    let kept = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    &lines[..kept]
}

fn lines_agree(expected: &[String], output: &[String]) -> bool {
    match expected {
        [] => output.is_empty(),
        [any, rest @ ..] if any == "…" => (0..=output.len()).any(|from| lines_agree(rest, &output[from..])),
        [line, rest @ ..] => output
            .split_first()
            .is_some_and(|(said, output)| line_agrees(line, said) && lines_agree(rest, output)),
    }
}

/// Pieces between `…` stand in the line in their order, the first at its beginning and the last at its end.
fn line_agrees(expected: &str, said: &str) -> bool {
    let pieces: Vec<&str> = expected.split('…').map(str::trim).collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return expected == said };
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    for piece in middle {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// The words of a line, with `#` for what is not compared.
fn comparable(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_unit = |word: &&str| UNITS.contains(&word.trim_end_matches([',', ';', '.', ')']));
    let shown = |(at, word): (usize, &&str)| {
        let number = word.trim_start_matches('(');
        let is_number = number.parse::<f64>().is_ok();
        if is_number && words.get(at + 1).is_some_and(&is_unit) {
            word.replace(number, "#")
        } else {
            (*word).to_owned()
        }
    };
    words.iter().enumerate().map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn times_differ_and_nothing_else() {
    let same = |expected: &[&str], output| {
        agrees(&expected.iter().map(ToString::to_string).collect::<Vec<_>>(), output)
    };
    assert!(same(&["filled event 1 (9.5 ms), used event 2"], "filled event 1 (10.25 ms), used event 2\n"));
    assert!(!same(&["filled event 1 (9.5 ms), used event 2"], "filled event 3 (9.5 ms), used event 2\n"));
    assert!(!same(&["PROVED"], "VIOLATED"));
    assert!(same(&["a", "…", "z"], "a\nb\nc\nz\n") && same(&["a", "…", "z"], "a\nz\n"));
    assert!(!same(&["a", "…", "z"], "a\nb\n") && !same(&["…", "z"], "z\nb\n"));
    assert!(
        same(&["cow … violated"], "cow   notify 12 violated")
            && !same(&["cow … violated"], "cow 12 coherent")
    );
    assert!(!same(&[], "a line that the page does not have"));
}
