//! The catalogue as a site: a start page that can be searched, and a page for each file.
//!
//! Invariant: it works from a folder, without a server; a file `cow/x.scn` has the page `cow/x.html`, and every link
//! between pages is relative.

use crate::markup::Markup;
use crate::page::{Frame, Page, Sources, anchor, entry, frame};
use crate::report::{Report, Text, Tone};

/// A file of the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its path below the site's folder.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The site of these files, with what was found of the scenarios in them.
#[must_use]
pub fn site(texts: &[Text], reports: &[Report], made: &str) -> Vec<Written> {
    let mut written = vec![Written { path: "index.html".to_owned(), text: start(texts, reports, made) }];
    for text in texts {
        let own: Vec<Report> = of(text, reports).cloned().collect();
        let home = format!("{}index.html", "../".repeat(text.file.matches('/').count()));
        let page = Page {
            title: &text.file,
            reports: &own,
            texts: std::slice::from_ref(text),
            chart: None,
            home: Some(&home),
            made,
        };
        written.push(Written { path: path(&text.file), text: page.html() });
    }
    written
}

fn of<'r>(text: &'r Text, reports: &'r [Report]) -> impl Iterator<Item = &'r Report> {
    let is_of = |report: &&Report| report.place.as_ref().is_some_and(|place| place.file == text.file);
    reports.iter().filter(is_of)
}

/// The page of a file.
fn path(file: &str) -> String {
    format!("{}.html", file.strip_suffix(".scn").unwrap_or(file))
}

fn start(texts: &[Text], reports: &[Report], made: &str) -> String {
    frame(&Frame { title: "The catalogue of scenarios", home: None, made }, |markup| {
        markup.leaf(
            "p",
            &[],
            "Orders of kernel steps, each proved or refuted over every interleaving. A scenario that is refuted has the \
             shortest run in which somebody uses the old page too late, and says which invalidation is missing.",
        );
        find(markup, reports);
        for text in texts {
            markup.element("section", &[("class", &"file")], |markup| {
                let page = path(&text.file);
                markup.element("h2", &[], |markup| markup.leaf("a", &[("href", &page)], &text.file));
                markup.element("ul", &[("class", &"zoo")], |markup| {
                    for report in of(text, reports) {
                        entry(markup, report, &format!("{page}#{}", anchor(&report.name)), Sources::Shown);
                    }
                });
            });
        }
    })
}

/// The search, for whoever has scripts.
fn find(markup: &mut Markup, reports: &[Report]) {
    markup.element("div", &[("class", &"find"), ("role", &"search"), ("hidden", &"hidden")], |markup| {
        let attributes: [(&str, &dyn std::fmt::Display); 3] = [
            ("type", &"search"),
            ("aria-label", &"search the scenarios"),
            ("placeholder", &"search: cow notify, CVE, try_to_unmap …"),
        ];
        markup.empty("input", &attributes);
        let count = |tone: Tone| reports.iter().filter(|report| report.tone == tone).count();
        let choices = [
            ("all", format!("all {}", reports.len())),
            ("good", format!("proved {}", count(Tone::Good))),
            ("bad", format!("violated {}", count(Tone::Bad))),
            ("open", format!("open {}", count(Tone::Open))),
        ];
        let group: [(&str, &dyn std::fmt::Display); 2] =
            [("role", &"radiogroup"), ("aria-label", &"which of them are shown")];
        markup.element("div", &group, |markup| {
            for (value, text) in choices {
                markup.element("label", &[], |markup| {
                    let mut attributes: Vec<(&str, &dyn std::fmt::Display)> =
                        vec![("type", &"radio"), ("name", &"tone"), ("value", &value)];
                    let checked =
                        (value == "all").then_some(("checked", &"checked" as &dyn std::fmt::Display));
                    attributes.extend(checked);
                    markup.empty("input", &attributes);
                    markup.text(format_args!(" {text}"));
                });
            }
        });
        markup.leaf("output", &[("aria-live", &"polite"), ("class", &"quiet")], "");
    });
}
