//! Rows in places of every width.

use super::{Place, blocks, laid_out};

fn rows() -> Vec<Vec<String>> {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    vec![
        row([
            "cow-notify-before-clear",
            "violation",
            "a device walks between the notification and the clear",
        ]),
        row(["é", "proved", ""]),
    ]
}

/// Letters without blanks and lines' ends, in their order by cell.
fn letters(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    letters.sort_unstable();
    letters
}

#[test]
fn a_pipe_gets_a_line_a_row_as_wide_as_its_cells() {
    let text = laid_out(&rows(), Place::Unbounded);
    let (first, second) = text.split_once('\n').expect("there are two rows");
    assert_eq!(
        first,
        "cow-notify-before-clear  violation  a device walks between the notification and the clear"
    );
    assert_eq!(second, "é                        proved");
    assert_eq!(blocks(&rows(), Place::Unbounded)[0], format!("  {first}"));
    assert_eq!(laid_out(&[], Place::Unbounded), "");
}

#[test]
fn a_terminal_of_80_columns_gets_no_line_that_is_longer_and_words_stay_whole() {
    for text in [laid_out(&rows(), Place::Columns(80)), blocks(&rows(), Place::Columns(80)).join("\n")] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("cow-notify-before-clear") && text.contains("notification"), "{text}");
        assert!(text.lines().count() > 2, "{text}");
    }
}

#[test]
fn however_narrow_a_terminal_is_nothing_is_lost() {
    let whole = letters(&laid_out(&rows(), Place::Unbounded));
    for columns in (1..=200).chain([u16::MAX]) {
        let text = laid_out(&rows(), Place::Columns(columns));
        assert_eq!(letters(&text), whole, "{columns} columns:\n{text}");
        assert_eq!(blocks(&rows(), Place::Columns(columns)).len(), 2, "{columns} columns");
    }
}
