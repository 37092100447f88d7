//! What a scenario says twice, each with both of its places.

use super::{HEAD, shown};

/// The message, the place and the other place of each error.
fn places(source: &str) -> Vec<String> {
    let of_one = |one: &str| {
        let mut lines = one.lines().filter(|line| line.contains("a.scn:") || line.starts_with("error: "));
        let place = |line: &str| line.split("a.scn:").nth(1).map_or(line.to_owned(), str::to_owned);
        lines.by_ref().map(place).collect::<Vec<_>>().join(" @ ")
    };
    shown(source).split("\n\n").map(of_one).filter(|one| !one.is_empty()).collect()
}

#[test]
fn a_page_that_is_mapped_twice_is_shown_at_both_places() {
    let source = format!("{HEAD}frame g = 1\nmap A -> g ro\nagent p\n  fence\n");
    let expected = r"
error: `map A` is said twice
 --> a.scn:8:5
  |
8 | map A -> g ro
  |     ^
  |
 ::: a.scn:4:5
  |
4 | map A -> old rw
  |     - here too
  |
  = help: leave one of the two out
";
    assert_eq!(shown(&source), expected.trim_matches('\n'));
}

#[test]
fn whatever_is_said_twice_is_an_error() {
    for (first, second, what) in [
        ("expect proved", "expect violation", "`expect` is said twice"),
        ("option walk = split", "option walk = whole", "`option walk` is said twice"),
        ("about \"one\"", "about \"two\"", "`about` is said twice"),
        ("source \"one\"", "source \"two\"", "`source` is said twice"),
        ("refs old = 1", "refs old = 2", "`refs old` is said twice"),
        ("always old == 0", "always  old == 0", "`always old == 0` is said twice"),
        ("pasid X -> P", "pasid X", "`X` is declared already"),
        ("mm P", "mm P", "`P` is declared already"),
        ("page B in P", "page B in C", "`B` is declared already"),
        ("page B under M", "page B under N", "`B` is declared already"),
        ("pmd M -> none", "pmd M -> T", "`M` is declared already"),
        ("frame f", "swap f", "`f` is declared already"),
        ("table T", "frame T", "`T` is declared already"),
        ("var x = 0..1", "var x = 0..2", "`x` is declared already"),
        ("vcpu V", "device V", "`V` is declared already"),
        ("trace\np\nfence\n", "trace\np\nfence\n", "`trace` is said twice"),
        ("agent p\n  fence", "agent p\n  end", "`agent p` is said twice"),
        ("race\nU\nload A\n", "agent U\n  load A", "`agent U` is said twice"),
    ] {
        let base = "scenario r\npage A\nframe old = 0\nagent p\n  fence\n\n";
        let source = format!("{base}scenario s\nlike r\ncpu U\n{first}\n{second}\n");
        let found = places(&source);
        assert_eq!(found.len(), 1, "{first}, {second}: {found:?}");
        assert!(found[0].starts_with(&format!("error: {what} @ ")), "{first}, {second}: {found:?}");
        assert_eq!(found[0].matches(" @ ").count(), 2, "both places: {found:?}");
    }
}

#[test]
fn a_scenario_is_like_one_other_and_has_a_name_of_its_own() {
    let base = "scenario r\nagent p\n  fence\n\n";
    let found = places(&format!("{base}scenario s\nlike r\nlike r\n"));
    assert_eq!(found, ["error: `like` is said twice @ 7:1 @ 6:1"]);
    assert_eq!(places(&format!("{base}{base}")), ["error: there is a scenario `r` above @ 5:10 @ 1:10"]);
}

#[test]
fn two_columns_of_one_name_are_shown_at_both_places() {
    let found = places("scenario s\ncpu U\n\nrace\nU | U\nfence | fence\n");
    assert_eq!(found, ["error: `agent U` is said twice @ 5:5 @ 5:1"]);
}

#[test]
fn a_label_that_stands_twice_in_a_block_is_shown_at_both_places() {
    let found = places("scenario s\nagent p\n  goto out\nout:\n  fence\nout:\n");
    assert_eq!(found, ["error: the label `out` stands twice in this block @ 6:1 @ 4:1"]);
}

#[test]
fn a_variant_says_again_what_its_base_says() {
    let base = "scenario r\npage A\nframe f, g\nmap A -> f ro\noption walk = split\nabout \"one\"\nagent p\n  fence\n";
    let variant = "scenario s\nlike r\nmap A -> g rw\noption walk = whole\nabout \"two\"\nagent p\n  end\n";
    assert_eq!(shown(&format!("{base}{variant}")), "");
}

#[test]
fn a_variant_that_declares_twice_what_its_base_declares_is_shown_at_both_places() {
    let found = places("scenario r\nframe f\nagent p\n  fence\n\nscenario s\nlike r\nframe f = 1, f = 2\n");
    assert_eq!(found, ["error: `f` is declared already @ 8:14 @ 8:7"]);
    let found =
        places("scenario r\nagent p\n  fence\n\nscenario s\nlike r\nagent p\n  end\nagent p\n  end\n");
    assert_eq!(found, ["error: `agent p` is said twice @ 9:7 @ 7:7"]);
}

#[test]
fn a_name_that_stands_for_two_things_through_a_base_is_shown_at_both_places() {
    let found = places("scenario r\npage A\nagent p\n  fence\n\nscenario s\nlike r\nframe A\n");
    assert_eq!(found, ["error: `A` is declared already @ 8:7 @ 2:6"]);
}
