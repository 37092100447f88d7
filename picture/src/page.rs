//! A page of scenarios: what was found of each, the picture of its run, the same rows as a table, and the files with
//! their lines.
//!
//! Invariant: a page needs nothing beside itself, neither a network nor a server. A browser runs no script in it but this
//! program's own and takes no style but this program's, since it is told their hashes. Without scripts all of it is there.

mod frame;
mod rows;

use std::fmt::Display;

use crate::chart::Chart;
use crate::layout::Layout;
use crate::links::pieces;
use crate::markup::Markup;
use crate::report::{Report, Text};
use crate::svg;
use crate::timeline::Timeline;

pub(crate) use frame::{Frame, frame};

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What it is called.
    pub title: &'a str,
    /// Its scenarios.
    pub reports: &'a [Report],
    /// The files that they stand in.
    pub texts: &'a [Text],
    /// Counts that stand above them, whose names lead to them.
    pub chart: Option<&'a Chart>,
    /// Where it belongs to, as a relative address.
    pub home: Option<&'a str>,
    /// What has made it: the program, its arguments, the machine.
    pub made: &'a str,
}

impl Page<'_> {
    /// The page as one file.
    #[must_use]
    pub fn html(&self) -> String {
        frame(&Frame { title: self.title, home: self.home, made: self.made }, |markup| {
            match self.chart {
                Some(chart) => chart.write(markup, &|name| self.place(name)),
                None if self.reports.len() > 1 => self.contents(markup),
                None => {}
            }
            for (index, report) in self.reports.iter().enumerate() {
                self.scenario(markup, index, report);
            }
            for (index, text) in self.texts.iter().enumerate() {
                listing(markup, index, text);
            }
        })
    }

    fn contents(&self, markup: &mut Markup) {
        markup.element("nav", &[("aria-label", &"scenarios of this page")], |markup| {
            markup.element("ul", &[("class", &"zoo")], |markup| {
                for (index, report) in self.reports.iter().enumerate() {
                    let address = format!("#{}", self.id(index));
                    entry(markup, report, &address, Sources::Left);
                }
            });
        });
    }

    /// The address of the scenario with that name, if there is one on the page.
    fn place(&self, name: &str) -> Option<String> {
        let index = self.reports.iter().position(|report| report.name == name)?;
        Some(format!("#{}", self.id(index)))
    }

    /// The place of a scenario: its name, unless one before it has the same.
    fn id(&self, index: usize) -> String {
        let name = &self.reports[index].name;
        let before = self.reports[..index].iter().filter(|report| report.name == *name).count();
        if before == 0 { anchor(name) } else { format!("{}~{before}", anchor(name)) }
    }

    fn scenario(&self, markup: &mut Markup, index: usize, report: &Report) {
        let id = self.id(index);
        markup.line();
        markup.element("article", &[("class", &"scenario"), ("id", &id)], |markup| {
            markup.element("h2", &[], |markup| {
                markup.text(&report.name);
                markup.verbatim(" ");
                verdict(markup, report);
                markup.verbatim(" ");
                markup.leaf("span", &[("class", &"detail")], &report.detail);
            });
            markup.leaf("p", &[("class", &"about")], report.about.as_deref().unwrap_or_default());
            self.origin(markup, report);
            told(markup, index, report);
            counts(markup, report);
            if let Some(run) = &report.run {
                self.run(markup, index, report, run);
            }
        });
    }

    /// Where it stands and where it is from.
    fn origin(&self, markup: &mut Markup, report: &Report) {
        let Some(place) = &report.place else { return };
        markup.element("p", &[("class", &"where")], |markup| {
            let told = format!("{}, line {}", place.file, place.line);
            match self.line(report, place.line) {
                Some(address) => markup.leaf("a", &[("href", &address)], told),
                None => markup.text(told),
            }
            if let Some(like) = &report.like {
                markup.text(" · like ");
                match self.place(like) {
                    Some(address) => markup.leaf("a", &[("href", &address)], like),
                    None => markup.text(like),
                }
            }
            if let Some(source) = &report.source {
                markup.text(" · source: ");
                linked(markup, source);
            }
        });
    }

    /// The address of a line of a scenario's file, if that is on the page.
    fn line(&self, report: &Report, line: u32) -> Option<String> {
        let place = report.place.as_ref()?;
        let file = self.texts.iter().position(|text| text.file == place.file)?;
        Some(format!("#f{file}-l{line}"))
    }

    fn run(&self, markup: &mut Markup, index: usize, report: &Report, run: &Timeline) {
        markup.leaf("h3", &[], &report.title);
        markup.element("div", &[("class", &"run")], |markup| {
            controls(markup);
            picture(markup, index, report, run);
            markup.verbatim(LEGEND);
            let line = |line: u32| self.line(report, line);
            rows::table(markup, index, run, &line);
        });
    }
}

/// The place of a scenario with that name on its page.
pub(crate) fn anchor(name: &str) -> String {
    format!("scenario-{name}")
}

fn verdict(markup: &mut Markup, report: &Report) {
    let class = format!("verdict {}", report.tone.class());
    markup.leaf("span", &[("class", &class)], &report.verdict);
}

/// Whether a list says where its scenarios are from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sources {
    Shown,
    Left,
}

/// A scenario in a list.
pub(crate) fn entry(markup: &mut Markup, report: &Report, address: &str, sources: Sources) {
    markup.element("li", &[("data-tone", &report.tone.class())], |markup| {
        verdict(markup, report);
        markup.leaf("a", &[("href", &address)], &report.name);
        markup.leaf("span", &[("class", &"quiet")], format_args!(" {}", report.detail));
        if let Some(about) = &report.about {
            markup.leaf("p", &[("class", &"quiet")], about);
        }
        if let Some(source) = report.source.as_ref().filter(|_| sources == Sources::Shown) {
            markup.element("p", &[("class", &"where")], |markup| linked(markup, source));
        }
    });
    markup.line();
}

/// What a scenario says of its source, with its links.
pub(crate) fn linked(markup: &mut Markup, source: &str) {
    for piece in pieces(source) {
        match &piece.address {
            Some(address) => {
                markup.leaf("a", &[("href", address), ("rel", &"noreferrer")], &piece.text);
            }
            None => markup.text(&piece.text),
        }
    }
}

/// Why it breaks, what a proof leaves open, what is not as expected.
fn told(markup: &mut Markup, index: usize, report: &Report) {
    let broken = report.run.iter().filter_map(|run| run.broken.as_ref());
    let broken = broken.map(|property| ("broken", format!("VIOLATION: {property}")));
    let why = report.run.iter().flat_map(|run| &run.why).map(|why| match why.starts_with("missing: ") {
        true => ("missing", why.clone()),
        false => ("why", why.clone()),
    });
    let remarks = report.remarks.iter().map(|remark| match remark.starts_with("NOT AS EXPECTED") {
        true => ("wrong", remark.clone()),
        false => ("why", remark.clone()),
    });
    let said: Vec<(&str, String)> = broken.chain(why).chain(remarks).collect();
    if said.is_empty() {
        return;
    }
    markup.element("ul", &[("class", &"told")], |markup| {
        for (class, text) in said {
            markup
                .element("li", &[("class", &class)], |markup| rows::with_links(markup, index, &text, report));
        }
    });
}

fn counts(markup: &mut Markup, report: &Report) {
    if report.counts.is_empty() {
        return;
    }
    markup.element("dl", &[], |markup| {
        for (name, count) in &report.counts {
            markup.element("div", &[], |markup| {
                markup.leaf("dt", &[], name);
                markup.leaf("dd", &[], count);
            });
        }
    });
}

fn controls(markup: &mut Markup) {
    let label = "step through the run; arrow keys do it, too";
    let attributes: [(&str, &dyn Display); 4] =
        [("class", &"controls"), ("role", &"group"), ("aria-label", &label), ("hidden", &"hidden")];
    markup.element("div", &attributes, |markup| {
        for (value, text) in
            [("first", "First"), ("back", "Back"), ("forth", "Forward"), ("last", "Last"), ("all", "All")]
        {
            markup.leaf("button", &[("type", &"button"), ("value", &value)], text);
        }
        markup.leaf("output", &[("aria-live", &"polite")], "");
    });
}

/// The picture; its names stay where they are while it is scrolled.
fn picture(markup: &mut Markup, index: usize, report: &Report, run: &Timeline) {
    let layout = Layout::below_text(run);
    let label = format!("picture of {}", report.name);
    let attributes: [(&str, &dyn Display); 4] =
        [("class", &"scroll"), ("tabindex", &0), ("role", &"region"), ("aria-label", &label)];
    markup.element("div", &attributes, |markup| {
        drawn(markup, "head", layout.width, crate::layout::HEAD, &[("aria-hidden", &"true")], |markup| {
            svg::head(markup, run, &layout);
        });
        let (title, desc) = (format!("s{index}-title"), format!("s{index}-desc"));
        let named = format!("{title} {desc}");
        let spoken: [(&'static str, &dyn Display); 2] = [("role", &"img"), ("aria-labelledby", &named)];
        drawn(markup, "body", layout.width, layout.height, &spoken, |markup| {
            markup.leaf("title", &[("id", &title)], &label);
            markup.leaf("desc", &[("id", &desc)], svg::told(report));
            svg::body(markup, run, &layout);
        });
    });
}

fn drawn(
    markup: &mut Markup,
    class: &'static str,
    width: usize,
    height: usize,
    more: &[(&'static str, &dyn Display)],
    inside: impl FnOnce(&mut Markup),
) {
    let view = format!("0 0 {width} {height}");
    let own: [(&'static str, &dyn Display); 4] =
        [("class", &class), ("viewBox", &view), ("width", &width), ("height", &height)];
    markup.element("svg", &[&own, more].concat(), inside);
}

const LEGEND: &str = "<ul class=\"legend\"><li><span></span>what a table says</li>\
    <li><span class=\"cache\"></span>what a cache holds</li><li><span class=\"way\"></span>read, and not in a cache yet</li>\
    <li><span class=\"stale\"></span>stale: the tables say something else</li>\
    <li><span class=\"use\"></span>used</li><li><span class=\"emptied\"></span>emptied</li></ul>";

/// A file with a place for each line.
fn listing(markup: &mut Markup, index: usize, text: &Text) {
    markup.line();
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], &text.file);
        markup.element("pre", &[("class", &"listing")], |markup| {
            for (line, number) in text.text.lines().zip(1..) {
                let id = format!("f{index}-l{number}");
                markup.leaf("span", &[("id", &id), ("data-line", &number)], line);
            }
        });
    });
}
