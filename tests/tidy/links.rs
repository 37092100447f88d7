//! Links between documents, and the book that they are.
//!
//! Invariant: a link leads to a file that is there, and to a heading that it has; a page of the book leads to no file outside of it,
//! and every page of `docs/` is in it. Source: GitHub's and mdBook's anchors; mdBook's `SUMMARY.md`.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use crate::{File, assert_none, fault, files};

const SUMMARY: &str = "docs/SUMMARY.md";

/// A link of a document.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    /// Before `#`; empty: the document itself.
    path: String,
    /// Behind `#`.
    anchor: Option<String>,
}

/// The lines that are no code.
fn prose(document: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    document.lines().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    })
}

/// Links to files and headings, not those to other hosts.
fn links(document: &File) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, text) in prose(document) {
        let text: String = text.split('`').step_by(2).collect();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let (target, _) = target;
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target, None), |(path, at)| (path, Some(at)));
            found.push(Link { line, path: path.to_owned(), anchor: anchor.map(str::to_owned) });
        }
    }
    found
}

/// What a link calls the headings of a document.
fn anchors(document: &File) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let headings = prose(document).filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
    });
    let slug = |text: &str| -> String {
        let kept = text.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings
        .map(|text| {
            let slug = slug(text);
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// Where a link of `document` leads, from the repository's root; none: out of it.
fn resolved(document: &File, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(document.path.clone());
    }
    let mut parts: Vec<&str> = document.path.split('/').collect();
    parts.pop();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (root, files) = (tests_support::repository(), files());
    let (mut faults, mut count) = (Vec::new(), 0);
    for document in files.iter().filter(|file| file.path.ends_with(".md")) {
        for Link { line, path, anchor } in links(document) {
            count += 1;
            let there = resolved(document, &path).filter(|path| root.join(path).exists());
            let Some(there) = there else {
                faults.push(fault(document, line, &format!("there is no {path}; name what it became")));
                continue;
            };
            let Some(anchor) = anchor else { continue };
            let target = files.iter().find(|file| file.path == there);
            if !target.is_some_and(|target| anchors(target).contains(&anchor)) {
                let told = format!("{there} has no heading #{anchor}; name one that it has");
                faults.push(fault(document, line, &told));
            }
        }
    }
    assert!(count > 100, "{count} links: not the repository's documents");
    assert_none(&faults);
}

#[test]
fn every_page_of_the_book_is_in_its_summary_once_and_leads_to_no_file_outside() {
    let files = files();
    let summary = files.iter().find(|file| file.path == SUMMARY).expect("the book has a summary");
    let listed: Vec<_> = links(summary).iter().filter_map(|link| resolved(summary, &link.path)).collect();
    let mut faults = Vec::new();
    let pages = files.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"));
    for page in pages.filter(|page| page.path != SUMMARY) {
        let times = listed.iter().filter(|path| **path == page.path).count();
        if times != 1 {
            faults.push(fault(page, 1, &format!("stands {times} times in {SUMMARY}; list it once")));
        }
        for link in links(page) {
            let is_inside = resolved(page, &link.path).is_some_and(|path| path.starts_with("docs/"));
            if !is_inside {
                let told = format!("{} is outside of the book; name it between backticks", link.path);
                faults.push(fault(page, link.line, &told));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn a_link_and_its_heading_are_told_from_other_text() {
    let text = "# A `b` c, d\n[x](y.md#z) `[no](link)` [w](https://example.org)\n```text\n[no](link)\n```\n## E\n## E\n";
    let file = File { path: "docs/a/b.md".to_owned(), text: text.to_owned() };
    assert_eq!(links(&file), [Link { line: 2, path: "y.md".to_owned(), anchor: Some("z".to_owned()) }]);
    assert_eq!(anchors(&file), ["a-b-c-d", "e", "e-1"]);
    assert_eq!(resolved(&file, "../c.md").as_deref(), Some("docs/c.md"));
    assert_eq!(resolved(&file, "../../../c.md"), None);
    assert_eq!(resolved(&file, "").as_deref(), Some("docs/a/b.md"));
}
