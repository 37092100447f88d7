//! Pages, pictures and graphs of the whole catalogue: XML that can be read, whose places are there once, whose links lead
//! somewhere.

use std::collections::HashSet;
use std::sync::OnceLock;

use ordering::catalogue::{FILES, entries};
use ordering::engine::{self, Options, Verdict};
use picture::fair::fair;
use picture::report::{Place, Report, Text, Tone};
use picture::site::{Written, site};
use picture::timeline::Timeline;
use picture::{dot, svg};
use roxmltree::{Document, ParsingOptions};

/// Everything of the catalogue, explored once.
fn catalogue() -> &'static (Vec<Text>, Vec<Report>) {
    static CATALOGUE: OnceLock<(Vec<Text>, Vec<Report>)> = OnceLock::new();
    CATALOGUE.get_or_init(explored)
}

fn explored() -> (Vec<Text>, Vec<Report>) {
    let texts =
        FILES.iter().map(|file| Text { file: file.path.to_owned(), text: file.text.to_owned() }).collect();
    let reports = entries().into_iter().map(|entry| {
        let packed = engine::compile(&entry.lowered.model).expect("it can be packed");
        let (tone, run) = match engine::explore(&packed, &Options::default()).verdict {
            Verdict::Violated { property, trace, .. } => {
                (Tone::Bad, Some(Timeline::new(&entry.lowered, &trace, Some(property))))
            }
            Verdict::Proved => {
                (Tone::Good, fair(&entry.lowered.model).map(|run| Timeline::new(&entry.lowered, &run, None)))
            }
            Verdict::BoundHit { .. } => (Tone::Open, None),
        };
        Report {
            name: entry.lowered.name.clone(),
            place: Some(Place { file: entry.file.path.to_owned(), line: entry.lowered.line }),
            about: entry.scenario.about.clone(),
            source: entry.scenario.source.clone(),
            like: entry.scenario.like.as_ref().map(|like| like.node.clone()),
            verdict: "VIOLATED".to_owned(),
            tone,
            detail: String::new(),
            counts: Vec::new(),
            remarks: Vec::new(),
            title: "A run".to_owned(),
            run,
        }
    });
    (texts, reports.collect())
}

fn read<'t>(name: &str, text: &'t str) -> Document<'t> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The places of a page, each there once.
fn places<'d>(name: &str, document: &'d Document<'_>) -> HashSet<&'d str> {
    let mut places = HashSet::new();
    for id in document.descendants().filter_map(|node| node.attribute("id")) {
        assert!(places.insert(id), "{name}: {id} is there twice");
    }
    places
}

/// Where a link of a page leads to: a page and a place of it.
fn target(from: &str, link: &str) -> (String, Option<String>) {
    let (path, place) =
        link.split_once('#').map_or((link, None), |(path, place)| (path, Some(place.to_owned())));
    if path.is_empty() {
        return (from.to_owned(), place);
    }
    let mut folders: Vec<&str> = from.split('/').collect();
    folders.pop();
    for part in path.split('/') {
        if part == ".." {
            folders.pop().expect("no link leads out of the site");
        } else {
            folders.push(part);
        }
    }
    (folders.join("/"), place)
}

#[test]
fn every_page_of_the_catalogue_can_be_read_and_every_link_leads_to_a_place() {
    let (texts, reports) = catalogue();
    let pages = site(texts, reports, "");
    assert_eq!(pages.len(), FILES.len() + 1);
    let documents: Vec<(&Written, Document<'_>)> =
        pages.iter().map(|page| (page, read(&page.path, &page.text))).collect();
    let known: HashSet<(String, Option<String>)> = documents
        .iter()
        .flat_map(|(page, document)| {
            let places = places(&page.path, document).into_iter().map(|place| Some(place.to_owned()));
            places.chain([None]).map(|place| (page.path.clone(), place)).collect::<Vec<_>>()
        })
        .collect();
    let mut links = 0;
    for (page, document) in &documents {
        for link in document.descendants().filter_map(|node| node.attribute("href")) {
            let hosts = [
                "https://git.kernel.org/",
                "https://www.cve.org/",
                "https://xenbits.xen.org/",
                "https://lore.kernel.org/",
            ];
            if hosts.iter().any(|host| link.starts_with(host)) {
                continue;
            }
            assert!(known.contains(&target(&page.path, link)), "{}: {link} leads nowhere", page.path);
            links += 1;
        }
    }
    assert!(links > 10_000, "{links} links");
    for scenario in reports {
        let listed = pages[0].text.contains(&format!("#scenario-{}\"", scenario.name));
        assert!(listed, "{} is not on the start page", scenario.name);
    }
}

#[test]
fn every_picture_can_be_read_and_is_told_in_words() {
    let (_, reports) = catalogue();
    for report in reports.chunks(20) {
        let text = svg::svg(report);
        let name = &report[0].name;
        let document = read(name, &text);
        let root = document.root_element();
        assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")));
        assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
        places(name, &document);
        let labelled = root.attribute("aria-labelledby").expect("it has a name");
        for id in labelled.split(' ') {
            let said = document
                .descendants()
                .find(|node| node.attribute("id") == Some(id))
                .and_then(|node| node.text());
            assert!(said.is_some_and(|said| said.contains(name)), "{id}: {said:?}");
        }
        let rows: usize = report.iter().filter_map(|report| Some(report.run.as_ref()?.rows.len())).sum();
        let drawn = document.descendants().filter(|node| {
            node.attribute("class").is_some_and(|class| class.split(' ').any(|word| word == "row"))
        });
        assert_eq!(drawn.count(), rows);
    }
}

#[test]
fn a_graph_has_a_node_for_each_row_and_an_edge_for_each_arrow() {
    let (_, reports) = catalogue();
    let report = reports.iter().find(|report| report.name == "cow-notify-before-clear").expect("it is there");
    let text = dot::dot(std::slice::from_ref(report));
    let run = report.run.as_ref().expect("it is refuted");
    assert_eq!(text.matches(" [label=").count(), run.rows.len(), "{text}");
    assert_eq!(text.matches("constraint=false").count(), run.arrows.len(), "{text}");
    assert!(
        text.contains(
            "r4 -> r10 [color=red, penwidth=2, constraint=false, label=\"relies on tlb[IOMMU][A]\"]"
        ),
        "{text}"
    );
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}
