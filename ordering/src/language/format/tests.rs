//! The form: what it is, that it means the same, and that it is its own form.

use super::{Unformed, format};
use crate::catalogue;

fn formed(source: &str) -> String {
    format(source).unwrap_or_else(|wrong| panic!("{source}\nhas no form: {wrong:?}"))
}

#[test]
fn every_file_of_the_catalogue_stands_in_its_form() {
    let mut files: Vec<_> =
        catalogue::entries().iter().map(|entry| (entry.file.path, entry.file.text)).collect();
    files.dedup();
    assert!(files.len() > 50, "{} files", files.len());
    for (path, text) in files {
        assert!(formed(text) == text, "{path} is not as `afterimage fmt` writes it");
    }
}

#[test]
fn whatever_the_blanks_were_the_form_is_the_same() {
    let wild = "\n\n# why\nscenario   s   # a remark\nabout \"two  blanks\"\npage A , B\nframe old=0,new = 0 free\nvar x=0 .. 3 from 1\n\
                map A->old   ro -dirty,B -> old rw\ncpu CPU,K\n\n\n\nrace # columns\nCPU|K\nlock ptl( A )|   repeat 0..2 :\npte_clear A|      load A # late\n# between\nunlock ptl(A)  |\n\n\
                agent p \"does\" on CPU\n     if pte(A)==none&&!(refs(old)-1 == 2):\n\n          x+=1;goto out\n     # to the right\n     atomic{put old;load A}\nout:\n     x = 1\n\
                never  CPU reads A==0 after CPU  store A\nexpect violation of never CPU reads A == 0 after CPU store A in 3 steps\n\n\n";
    let form = "# why
scenario s                          # a remark
about   \"two  blanks\"
page    A, B
frame   old = 0, new = 0 free
var     x = 0..3 from 1
map     A -> old ro -dirty, B -> old rw
cpu     CPU, K

race                                # columns
";
    let got = formed(wild);
    for line in form.lines().filter(|line| !line.starts_with("race")) {
        assert!(got.lines().any(|found| found == line), "no `{line}` in\n{got}");
    }
    for part in [
        "CPU           | K\nlock ptl(A)   | repeat 0..2:\npte_clear A   |   load A     # late\n# between\nunlock ptl(A) |\n",
        "agent p \"does\" on CPU\n  if pte(A) == none && !(refs(old) - 1 == 2):\n\n    x += 1; goto out\n  # to the right\n  atomic { put old; load A }\nout:\n  x = 1\n",
        "never   CPU reads A == 0 after CPU store A\nexpect  violation of never CPU reads A == 0 after CPU store A in 3 steps\n",
    ] {
        let squeezed = |text: &str| text.replace("     # late", " # late");
        let found = got.split('\n').map(|line| match line.split_once("# late") {
            Some((before, _)) => format!("{} # late", before.trim_end()),
            None => line.to_owned(),
        });
        let got = found.collect::<Vec<_>>().join("\n");
        assert!(got.contains(&squeezed(part)), "no\n{part}\nin\n{got}");
    }
    assert_eq!(formed(&got), got);
    assert!(got.ends_with("3 steps\n") && !got.contains("\n\n\n"), "{got}");
}

#[test]
fn what_is_subtracted_from_a_parameter_stands_as_far_away_as_it_was_written() {
    let source = "scenario s\nsweep n = 2\nvar x = 0..3\nfor i in n - n..n-1:\n  agent p[i]\n    x = i\nfinally x < 3\n";
    let got = formed(source);
    assert!(got.contains("for i in n - n..n - 1:\n"), "{got}");
    assert_eq!(formed(&got), got);
}

/// Puts up to three blanks more wherever one stands, behind lines and into rows, and lines between others.
fn stretched(text: &str, mut seed: u64) -> String {
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let mut stretched = String::new();
    for line in text.lines() {
        let (mut quoted, mut begun) = (false, false);
        for letter in line.chars() {
            quoted ^= letter == '"';
            stretched.push(letter);
            // How far a row stands to the right has a meaning, in a cell, too; a remark keeps its blanks.
            if letter == '#' && !quoted {
                begun = false;
                quoted = true;
            }
            if letter == ' ' && begun && !quoted {
                (0..below(4)).for_each(|_| stretched.push(' '));
            }
            begun = letter != '|' && (begun || letter != ' ');
        }
        (0..below(3)).for_each(|_| stretched.push(' '));
        stretched.push_str(if below(4) == 0 { "\r\n" } else { "\n" });
        if line.is_empty() {
            (0..below(3)).for_each(|_| stretched.push('\n'));
        }
    }
    stretched
}

#[test]
fn blanks_put_into_every_file_of_the_catalogue_are_taken_out_again() {
    let mut files: Vec<_> =
        catalogue::entries().iter().map(|entry| (entry.file.path, entry.file.text)).collect();
    files.dedup();
    let mut changed = 0;
    for (seed, (path, text)) in (1..).zip(files) {
        let wild = stretched(text, seed);
        changed += usize::from(wild != text);
        assert!(formed(&wild) == text, "{path}, seed {seed}:\n{}", formed(&wild));
    }
    assert!(changed > 50, "{changed} files");
}

#[test]
fn a_text_that_cannot_be_read_has_no_form() {
    assert!(
        matches!(format("scenario s\nagent p\n  laod A\n"), Err(Unformed::Wrong(found)) if found.len() == 1)
    );
    assert!(matches!(format(""), Err(Unformed::Wrong(_))));
}

#[test]
fn other_line_ends_and_tabs_become_the_usual_ones() {
    let source = "\u{feff}scenario s\r\nvar x = 0..1\r\nagent p\r\n\trepeat 0..2:\r\n\t\tx = 1\r\n";
    assert_eq!(formed(source), "scenario s\nvar     x = 0..1\nagent p\n  repeat 0..2:\n    x = 1\n");
}

#[test]
fn rows_that_replace_others_and_would_come_into_another_block_are_refused() {
    let base =
        "scenario s\nvar x = 0..1\nagent p\n  repeat 0..2:\n     x = 1\n  x = 0\n\nscenario t\nlike s\n";
    // `x = 1` belongs to the inner `repeat`, which is one blank further to the right than the row that both replace: in the
    // form it would be two, and `x = 1` no further.
    let source = format!("{base}replace p.1\n  repeat 0..2:\n   repeat 0..2:\n");
    assert_eq!(crate::language::parse(&source).diagnostics, []);
    assert_eq!(format(&source), Err(Unformed::Differs));
}
