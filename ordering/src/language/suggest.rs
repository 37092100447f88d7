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

/// Letters put in, left out, replaced or exchanged with their neighbour between two words, of their first 64: what is
/// written may be long.
fn distance(one: &str, other: &str) -> usize {
    let short = |word: &str| word.chars().take(64).collect::<String>();
    strsim::osa_distance(&short(one), &short(other))
}
