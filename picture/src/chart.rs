//! Counts of many rows beside each other, to be compared by eye: a table with a bar in each cell.
//!
//! Invariant: a bar says nothing that the number in its cell does not say. Bars are logarithmic, since one count may be a
//! million times another; a count of 0 has none, and a count of 1 is seen.

use std::fmt::Display;

use crate::markup::Markup;
use crate::report::Tone;

/// Units that the longest bar takes.
const LONGEST: f64 = 84.0;
/// The shortest one that is still seen.
const SHORTEST: f64 = 3.0;
const THICK: f64 = 10.0;

/// A table of counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chart {
    /// What is counted, in a sentence.
    pub caption: String,
    /// What the counts of a row are.
    pub columns: Vec<Column>,
    /// From top to bottom.
    pub rows: Vec<Line>,
}

/// A column of a chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// What is counted.
    pub name: String,
    /// Whether that is as it should be.
    pub counted: Counted,
}

/// What a count is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// What was done.
    Work,
    /// What must not happen.
    Harm,
}

/// A row of a chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What its counts are of.
    pub name: String,
    /// What came of it, in a word.
    pub verdict: String,
    /// What that means for whoever reads it.
    pub tone: Tone,
    /// A count for each column.
    pub counts: Vec<u64>,
}

impl Chart {
    /// The table; `address` knows where more is said of a name.
    pub(crate) fn write(&self, markup: &mut Markup, address: &dyn Fn(&str) -> Option<String>) {
        let most = self.rows.iter().flat_map(|line| &line.counts).copied().fold(1, u64::max);
        markup.element("div", &[("class", &"rows chart")], |markup| {
            markup.element("table", &[], |markup| {
                markup.leaf("caption", &[], format_args!("{} Bars are logarithmic.", self.caption));
                self.head(markup);
                markup.element("tbody", &[], |markup| {
                    for line in &self.rows {
                        self.row(markup, line, most, address);
                    }
                });
            });
        });
    }

    fn head(&self, markup: &mut Markup) {
        markup.element("thead", &[], |markup| {
            markup.element("tr", &[], |markup| {
                let columns = self.columns.iter().map(|column| column.name.as_str());
                for name in ["order", "verdict"].into_iter().chain(columns) {
                    markup.leaf("th", &[("scope", &"col")], name);
                }
            });
        });
        markup.line();
    }

    fn row(&self, markup: &mut Markup, line: &Line, most: u64, address: &dyn Fn(&str) -> Option<String>) {
        markup.element("tr", &[], |markup| {
            markup.element("th", &[("scope", &"row")], |markup| match address(&line.name) {
                Some(address) => markup.leaf("a", &[("href", &address)], &line.name),
                None => markup.text(&line.name),
            });
            markup.element("td", &[], |markup| {
                let class = format!("verdict {}", line.tone.class());
                markup.leaf("span", &[("class", &class)], &line.verdict);
            });
            for (count, column) in line.counts.iter().zip(&self.columns) {
                markup.element("td", &[("class", &"count")], |markup| {
                    bar(markup, column.counted, *count, most);
                    markup.leaf("span", &[], count);
                });
            }
        });
        markup.line();
    }
}

impl Counted {
    /// Its word in the style sheet.
    const fn class(self) -> &'static str {
        match self {
            Self::Work => "bar work",
            Self::Harm => "bar harm",
        }
    }
}

/// The bar of a count, if it has one.
fn bar(markup: &mut Markup, counted: Counted, count: u64, most: u64) {
    let view = format!("0 0 {LONGEST} {THICK}");
    let attributes: [(&str, &dyn Display); 4] =
        [("viewBox", &view), ("width", &LONGEST), ("height", &THICK), ("aria-hidden", &"true")];
    markup.element("svg", &attributes, |markup| {
        if let Some(width) = length(count, most) {
            let width = format!("{width:.1}");
            markup.empty("rect", &[("class", &counted.class()), ("width", &width), ("height", &THICK)]);
        }
    });
}

/// How long the bar of a count is, in units.
fn length(count: u64, most: u64) -> Option<f64> {
    // Beyond 2^53 a bar is less exact than its number, and no eye sees that.
    let magnitude = |count: u64| (count.max(1) as f64).log10();
    let share = if most > 1 { magnitude(count) / magnitude(most) } else { 1.0 };
    (count > 0).then_some(SHORTEST + share * (LONGEST - SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_its_count_and_one_is_seen_and_none_is_not() {
        let all = [0, 1, 2, 10, 999, 1_000_000, u64::MAX];
        let bars: Vec<Option<f64>> = all.iter().map(|count| length(*count, u64::MAX)).collect();
        assert_eq!(bars[0], None);
        assert_eq!(bars[1], Some(SHORTEST));
        assert!(bars.is_sorted_by(|one, next| one < next), "{bars:?}");
        assert_eq!(bars[6], Some(LONGEST));
    }

    #[test]
    fn where_nothing_is_above_one_a_bar_is_whole() {
        assert_eq!(length(1, 1), Some(LONGEST));
    }
}
