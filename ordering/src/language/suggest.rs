//! "Did you mean": the nearest of the words that would have been right.
//!
//! Invariant: a suggestion differs from what was written in at most a third of its letters.

/// The nearest of `candidates` to `word`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (edits, found) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= word.chars().count() / 3).then_some(found)
}

/// The help for a word that is none of `candidates`: the nearest, or all of them.
#[must_use]
pub fn did_you_mean(word: &str, candidates: &[&str], otherwise: &str) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(found) => format!("did you mean `{found}`?"),
        None => otherwise.to_owned(),
    }
}

/// Letters put in, left out, replaced or exchanged with their neighbour between two words, of their first 64.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let other: Vec<char> = other.chars().take(64).collect();
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let exchanged = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            let best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            row.push(if exchanged { best.min(rows[i - 2][j - 2] + 1) } else { best });
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}
