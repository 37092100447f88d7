//! What is too much, and what must not pass for the wrong reason.

use super::{Bounds, Counted, counted};

fn counts(rows: &[(&str, f64)]) -> Vec<Counted> {
    rows.iter()
        .map(|(name, instructions)| Counted { name: (*name).to_owned(), instructions: *instructions })
        .collect()
}

fn held(bound: f64, now: f64) -> (bool, String) {
    let told = Bounds(counts(&[("hit", bound)])).hold(&counts(&[("hit", now)]));
    (told.is_over, told.text)
}

#[test]
fn five_percent_over_fails_and_says_how_to_raise_it() {
    let (is_over, text) = held(100.0, 105.1);
    assert!(is_over && text.contains("OVER") && text.contains("--write"), "{text}");
    let (is_over, text) = held(100.0, 104.9);
    assert!(!is_over && text.contains("as committed"), "{text}");
}

#[test]
fn five_percent_under_asks_to_lower_it() {
    let (is_over, text) = held(100.0, 94.0);
    assert!(!is_over && text.contains("under") && text.contains("--write"), "{text}");
}

#[test]
fn a_row_without_a_bound_and_a_bound_without_a_row_fail() {
    assert!(Bounds(counts(&[])).hold(&counts(&[("hit", 1.0)])).is_over);
    assert!(Bounds(counts(&[("hit", 1.0)])).hold(&[]).is_over);
}

#[test]
fn a_count_of_nothing_is_an_error() {
    let collected = "==7== Events    : Ir\n==7== Collected : 5000\n";
    assert_eq!(counted("hit", "operations 100\n", collected), Ok(counts(&[("hit", 50.0)]).remove(0)));
    assert!(counted("hit", "operations 100\n", "==7== Collected : 0\n").is_err());
    assert!(counted("hit", "operations 0\n", collected).is_err());
    assert!(counted("hit", "", collected).is_err());
}

#[test]
fn bounds_are_read_as_they_were_written() {
    let bounds = Bounds(counts(&[("hit", 48.5), ("walk", 60.0)]));
    assert_eq!(Bounds::read(&bounds.text()), Ok(bounds));
    assert!(Bounds::read("hit many").unwrap_err().contains("--write"));
}
