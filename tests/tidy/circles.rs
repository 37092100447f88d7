//! Circles of files that import each other: what is in one is read, moved and understood only as a whole.
//!
//! Invariant: a path in code counts, wherever it stands, if it begins with `crate`, `self`, `super` or a module below; it
//! leads to the file of the longest module on it. Tests do not count: they may know everything.

use std::collections::{BTreeMap, BTreeSet};

use crate::{File, MAY_IMPORT, assert_none, sources};

/// The circles that there are, by a file of each and how many it has. They may only shrink: a parent that hands out what
/// its children hold, and children that use it, are the rule here; anything wider wants opening.
const ACCEPTED: [(&str, usize); 23] = [
    ("devices/src/pci.rs", 8),
    ("devices/src/pci_engine.rs", 3),
    ("devices/src/upstream.rs", 3),
    ("guest-images/driver/src/checks.rs", 12),
    ("guest-images/driver/src/hostile.rs", 8),
    ("guest-images/driver/src/unit.rs", 4),
    ("guest-images/src/bare.rs", 11),
    ("iommu/src/stale.rs", 6),
    ("iommu/src/stale/watch.rs", 5),
    ("iommu/src/sva.rs", 3),
    ("iommu/src/vtd.rs", 10),
    ("mmu/src/address_space.rs", 4),
    ("mmu/src/cache.rs", 5),
    ("ordering/src/engine/cases.rs", 8),
    ("ordering/src/engine/coverage.rs", 7),
    ("ordering/src/lowering.rs", 30),
    ("ordering/src/why.rs", 6),
    ("vmm/src/boot.rs", 10),
    ("vmm/src/command.rs", 17),
    ("vmm/src/demo/guest.rs", 3),
    ("vmm/src/kvm.rs", 14),
    ("vmm/src/machine/acpi.rs", 7),
    ("vmm/src/sandbox.rs", 4),
];

/// A parent and a child need not be listed.
const FREE: usize = 2;

const THIS: &str = "tests/tidy/circles.rs";

/// Imports of a circle that a failure names.
const MOST_NAMED: usize = 8;

/// A module, by its names from the crate's root on.
type Module = Vec<String>;

/// The files of a crate, with the modules that they are.
struct Crate {
    files: BTreeMap<Module, String>,
}

/// Which file needs which, by path, and in which line first.
type Imports = BTreeMap<String, BTreeMap<String, usize>>;

/// A word or a sign of a source, with its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The module of the file at `path` in the sources of a crate; none of a program's, whose root is another.
fn module(path: &str) -> Option<Module> {
    let inside = path.strip_suffix(".rs")?;
    match inside {
        "lib" => Some(Vec::new()),
        "main" => None,
        _ => Some(inside.split('/').map(str::to_owned).collect()),
    }
}

/// The words and signs of a source, `::` as one, without comments and strings.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let (piece, behind) = match silent_len(rest) {
            Some(len) => rest.split_at(len),
            None => {
                let (word, behind) = rest.split_at(word_len(rest));
                found.push(Token { text: word, line });
                (word, behind)
            }
        };
        line += piece.matches('\n').count();
        rest = behind;
    }
    found
}

/// Bytes of what says nothing of imports at the start of `text`: space, a comment, a string, a character.
fn silent_len(text: &str) -> Option<usize> {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let first = text.chars().next()?;
    match first {
        _ if first.is_whitespace() => Some(first.len_utf8()),
        '/' if text.starts_with("//") => Some(until("\n", 2)),
        '/' if text.starts_with("/*") => Some(until("*/", 2)),
        '"' => Some(string_len(text)),
        '\'' => character_len(text),
        'r' | 'b' | 'c' => {
            let inside = text.trim_start_matches(['r', 'b', 'c']);
            let quoted = inside.trim_start_matches('#');
            let is_raw = text[..text.len() - inside.len()].ends_with('r') && quoted.starts_with('"');
            let end = format!("\"{}", "#".repeat(inside.len() - quoted.len()));
            is_raw.then(|| until(&end, text.len() - quoted.len() + 1))
        }
        _ => None,
    }
}

/// Bytes of a string, up to the next `"` that nothing escapes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    let mut ends = text.char_indices().skip(1).filter(|(_, letter)| {
        let ends = *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        ends
    });
    ends.next().map_or(text.len(), |(at, _)| at + 1)
}

/// Bytes of a character in quotes; a lifetime is none.
fn character_len(text: &str) -> Option<usize> {
    let inside = &text[1..];
    let len = match inside.strip_prefix('\\') {
        Some(escaped) => 1 + escaped.char_indices().skip(1).find(|(_, letter)| *letter == '\'')?.0,
        None => inside.chars().next()?.len_utf8(),
    };
    inside[len..].starts_with('\'').then_some(len + 2)
}

fn word_len(text: &str) -> usize {
    let is_part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
    match text.chars().take_while(is_part).map(char::len_utf8).sum() {
        0 if text.starts_with("::") => 2,
        0 => text.chars().next().map_or(0, char::len_utf8),
        len => len,
    }
}

impl Crate {
    /// What is below `root`, "iommu/src/".
    fn new<'a>(root: &str, files: impl Iterator<Item = &'a File>) -> Self {
        let named =
            files.filter_map(|file| Some((module(file.path.strip_prefix(root)?)?, file.path.clone())));
        Self { files: named.collect() }
    }

    /// The file that a path leads to.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        (0..=path.len()).rev().find_map(|len| self.files.get(&path[..len])).map(String::as_str)
    }

    /// Notes what the file of `module` needs.
    fn look_at(&self, file: &File, module: &Module, imports: &mut BTreeMap<String, usize>) {
        let text: String = file.code().flat_map(|(_, line)| [line, "\n"]).collect();
        let tokens = tokens(&text);
        let mut here = module.clone();
        // Inside which modules of the file itself, each with the braces that were open before.
        let mut inner = Vec::new();
        let mut depth = 0_usize;
        for at in 0..tokens.len() {
            let text = |offset: usize| tokens.get(at + offset).map_or("", |token| token.text);
            match text(0) {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inner.last() == Some(&depth) {
                        inner.pop();
                        here.pop();
                    }
                }
                "mod" if text(2) == "{" => {
                    inner.push(depth);
                    here.push(text(1).to_owned());
                }
                _ => {}
            }
            let is_visibility = at > 1 && tokens[at - 2].text == "(" && tokens[at - 1].text == "in";
            let is_start = !is_visibility && (at == 0 || !matches!(tokens[at - 1].text, "::" | "$"));
            if is_start
                && text(1) == "::"
                && let Some(base) = self.base(&here, text(0))
            {
                self.follow(&tokens, at + 2, base, &mut |path, line| {
                    if let Some(other) = self.file_of(path).filter(|other| *other != file.path) {
                        imports.entry(other.to_owned()).or_insert(line);
                    }
                });
            }
        }
    }

    /// Where a path leads that begins with `word` in the module `here`.
    fn base(&self, here: &Module, word: &str) -> Option<Module> {
        match word {
            "crate" => Some(Vec::new()),
            "self" => Some(here.clone()),
            "super" => here.split_last().map(|(_, above)| above.to_vec()),
            child => {
                let below = [&here[..], &[child.to_owned()]].concat();
                self.files.contains_key(&below).then_some(below)
            }
        }
    }

    /// Tells of every path that begins with `base` and goes on at the token `at`; returns where it ends.
    fn follow(
        &self,
        tokens: &[Token<'_>],
        mut at: usize,
        mut base: Module,
        tell: &mut dyn FnMut(&[String], usize),
    ) -> usize {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        loop {
            match text(at) {
                "super" => {
                    base.pop();
                }
                "self" | "*" => {}
                "{" => {
                    at += 1;
                    while !matches!(text(at), "}" | "") {
                        at = if text(at) == "," {
                            at + 1
                        } else {
                            self.follow(tokens, at, base.clone(), tell)
                        };
                    }
                    return at + 1;
                }
                word => base.push(word.to_owned()),
            }
            let is_over = text(at + 1) != "::";
            if is_over {
                tell(&base, tokens.get(at).map_or(0, |token| token.line));
                // `as` and its name.
                return if text(at + 1) == "as" { at + 3 } else { at + 1 };
            }
            at += 2;
        }
    }
}

/// Who needs whom in a crate whose sources lie below `root`.
fn imports_of(root: &str, files: &[File]) -> Imports {
    let own = || files.iter().filter(|file| file.path.starts_with(root) && !file.is_test());
    let known = Crate::new(root, own());
    let mut imports = Imports::new();
    for file in own() {
        if let Some(module) = file.path.strip_prefix(root).and_then(module) {
            known.look_at(file, &module, imports.entry(file.path.clone()).or_default());
        }
    }
    imports
}

/// The circles: files each of which is reached from each other one. The largest first.
fn circles(imports: &Imports) -> Vec<BTreeSet<&str>> {
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reached(imports, file))).collect();
    for (file, others) in &reached {
        let is_in = |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(file));
        let circle: BTreeSet<&str> = others.iter().filter(is_in).copied().collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    found
}

/// What is imported by `file`, by what it imports, and so on.
fn reached<'a>(imports: &'a Imports, file: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        let others = imports.get(next).into_iter().flatten().map(|(other, _)| other.as_str());
        open.extend(others.filter(|other| found.insert(*other)));
    }
    found
}

/// What is wrong with the circles of one crate.
fn faults_of(imports: &Imports, accepted: &[(&str, usize)]) -> Vec<String> {
    let found = circles(imports);
    let too_large = found.iter().filter_map(|circle| {
        let most = accepted.iter().filter(|(anchor, _)| circle.contains(anchor)).map(|(_, most)| *most).max();
        let most = most.unwrap_or(FREE);
        (circle.len() > most).then(|| describe(imports, circle, most))
    });
    let shrunk =
        accepted.iter().filter(|(anchor, _)| imports.contains_key(*anchor)).filter_map(|(anchor, most)| {
            let now = found.iter().find(|circle| circle.contains(anchor)).map_or(0, BTreeSet::len);
            (now < *most).then(|| {
                format!(
                    "{THIS}:1: the circle of {anchor} has {now} files by now, not {most}; write that down"
                )
            })
        });
    too_large.chain(shrunk).collect()
}

fn describe(imports: &Imports, circle: &BTreeSet<&str>, most: usize) -> String {
    let inside = |file: &str| {
        let others = imports.get(file)?;
        others
            .iter()
            .find(|(other, _)| circle.contains(other.as_str()))
            .map(|(other, line)| (other.clone(), *line))
    };
    let edges = circle
        .iter()
        .filter_map(|file| inside(file).map(|(other, line)| format!("{file}:{line} imports {other}")));
    let edges: Vec<_> = edges.take(MOST_NAMED).collect();
    let first = circle.first().copied().unwrap_or_default();
    format!(
        "{first}:1: in a circle of {} files, where {most} are accepted; move what both sides need below them:\n    {}",
        circle.len(),
        edges.join("\n    ")
    )
}

#[test]
fn no_circle_of_files_grows() {
    let files = sources();
    let roots: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| Some(&file.path[..file.path.find("/src/")? + "/src/".len()]))
        .collect();
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let gone = ACCEPTED.iter().filter(|(anchor, _)| !known.contains(anchor));
    let mut faults: Vec<_> =
        gone.map(|(anchor, _)| format!("{THIS}:1: there is no {anchor}; take it off")).collect();
    for root in roots {
        faults.extend(faults_of(&imports_of(root, &files), &ACCEPTED));
    }
    assert_none(&faults);
}

#[test]
fn crates_are_listed_below_what_they_import() {
    for (at, (name, imports)) in MAY_IMPORT.iter().enumerate() {
        let above: Vec<_> = MAY_IMPORT[..at].iter().map(|(above, _)| *above).collect();
        assert!(imports.iter().all(|import| above.contains(import)), "{name} imports what stands below it");
    }
}

/// A crate of these files, of which "lib" is the root.
fn crate_of(files: &[(&str, &str)]) -> Imports {
    let file =
        |(name, text): &(&str, &str)| File { path: format!("a/src/{name}.rs"), text: (*text).to_owned() };
    imports_of("a/src/", &files.iter().map(file).collect::<Vec<_>>())
}

fn sizes(files: &[(&str, &str)]) -> Vec<usize> {
    circles(&crate_of(files)).iter().map(BTreeSet::len).collect()
}

#[test]
fn a_circle_is_found_however_its_paths_are_written() {
    for closing in [
        "use crate::one::One;",
        "pub(crate) use super::one::{self, One};",
        "use crate::{\n    four,\n    one::{One, Other as Another},\n};",
        "fn f() { let _ = \"'\"; crate::one::f(r#\"\"\"#, '\"') }",
        "fn f<'a>(one: &'a super::one::One) {}",
        "fn f() { for _ in crate::one::all() {} }",
        "mod inner { use super::super::one::One; }",
    ] {
        let files = [
            ("lib", "mod one; mod two; mod three; mod four;"),
            ("one", "mod below;\nuse crate::two::Two;"),
            ("one/below", ""),
            ("two", "use crate::three::*;"),
            ("three", closing),
            ("four", ""),
        ];
        assert_eq!(sizes(&files), [3], "{closing}");
        let faults = faults_of(&crate_of(&files), &[]);
        assert!(faults[0].starts_with("a/src/one.rs:1: in a circle of 3 files, where 2"), "{faults:?}");
        assert!(faults[0].contains("a/src/one.rs:2 imports a/src/two.rs"), "{faults:?}");
    }
}

#[test]
fn what_only_looks_like_an_import_closes_no_circle() {
    for beside in [
        "// use crate::one::One;",
        "/* crate::one */ /// crate::one::One",
        "const A: &str = \"\\\" crate::one::One\";\nconst B: &str = r#\"\" crate::one::One\"#;",
        "mod tests {\n    use crate::one::One;\n}",
        "pub(in crate::one) fn f() {}",
        "use other::crate_of::one; use ::one::One;",
        "macro_rules! m { () => { $crate::one::One } }",
        "mod inner { use super::One; }",
    ] {
        let files = [("lib", ""), ("one", "use crate::two::Two;"), ("two", beside)];
        assert_eq!(sizes(&files), [0; 0], "{beside}");
    }
}

#[test]
fn a_parent_that_uses_its_child_by_its_name_alone_is_in_a_circle_with_it() {
    let files = |parent| [("lib", ""), ("one", parent), ("one/below", "use super::One;")];
    assert_eq!(sizes(&files("mod below;\npub use below::Below;")), [2]);
    assert_eq!(sizes(&files("mod below;\nfn f() { below::f() }")), [2]);
    assert_eq!(sizes(&files("mod below;")), [0; 0]);
}

#[test]
fn an_accepted_circle_may_neither_grow_nor_be_forgotten() {
    let files =
        [("lib", ""), ("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "use crate::a::A;")];
    let faults = |accepted: usize| faults_of(&crate_of(&files), &[("a/src/b.rs", accepted)]).len();
    assert_eq!([2, 3, 4].map(faults), [1, 0, 1]);
}
