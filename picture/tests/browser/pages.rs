//! Pages for the tests: scenarios, reports, files.

use std::fs;
use std::path::PathBuf;

use ordering::engine::replay::{Move, State};
use ordering::engine::{self, Options, Step, Trace, Verdict};
use ordering::language::syntax::Scenario;
use ordering::lowering::{Lowered, load};
use picture::fair::fair;
use picture::page::Page;
use picture::report::{Place, Report, Text, Tone};
use picture::timeline::Timeline;

/// A file of the catalogue.
pub(crate) fn catalogue(path: &str) -> Text {
    let text = ordering::catalogue::text_of(path).expect("it is in the catalogue");
    Text { file: path.to_owned(), text: text.to_owned() }
}

/// The reports of a file's scenarios: counterexamples, and runs of what is proved.
pub(crate) fn reports(text: &Text) -> Vec<Report> {
    let loaded = load(&text.text).expect("it has no errors");
    loaded.iter().map(|(scenario, lowered)| report(&text.file, scenario, lowered)).collect()
}

fn report(file: &str, scenario: &Scenario, lowered: &Lowered) -> Report {
    let packed = engine::compile(&lowered.model).expect("it can be packed");
    match engine::explore(&packed, &Options::default()).verdict {
        Verdict::Violated { property, trace, .. } => {
            let run = Timeline::new(lowered, &trace, Some(property));
            of(file, scenario, Tone::Bad, Some(run))
        }
        Verdict::Proved => {
            let run = fair(&lowered.model).map(|trace| Timeline::new(lowered, &trace, None));
            of(file, scenario, Tone::Good, run)
        }
        Verdict::BoundHit { .. } => of(file, scenario, Tone::Open, None),
    }
}

/// A report with that run.
pub(crate) fn of(file: &str, scenario: &Scenario, tone: Tone, run: Option<Timeline>) -> Report {
    let verdict = match tone {
        Tone::Good => "PROVED",
        Tone::Bad => "VIOLATED",
        Tone::Open => "BOUND HIT",
    };
    Report {
        name: scenario.name.node.clone(),
        place: Some(Place { file: file.to_owned(), line: scenario.name.span.line }),
        about: scenario.about.clone(),
        source: scenario.source.clone(),
        like: scenario.like.as_ref().map(|like| like.node.clone()),
        verdict: verdict.to_owned(),
        tone,
        detail: "as expected".to_owned(),
        counts: vec![("states".to_owned(), "42".to_owned())],
        remarks: vec!["no order takes `x`, row 1 of y, line 2, as it says: by design".to_owned()],
        title: "A run".to_owned(),
        run,
    }
}

/// A page with these reports, as a file of the browser's folder.
pub(crate) fn written(folder: &std::path::Path, texts: &[Text], reports: &[Report]) -> PathBuf {
    let page = Page { title: "a page", reports, texts, chart: None, home: None, made: "" };
    let path = folder.join("page.html");
    fs::write(&path, page.html()).expect("the folder can be written");
    path
}

/// Eight agents, two pages, and a run of sixty rows in which everybody takes turns.
pub(crate) fn long() -> (Text, Report) {
    let mut text = "scenario long\nabout \"sixty rows, eight agents\"\npage A, B\nframe old = 0, new = 0\nmap A -> old rw\n\
                    map B -> old rw\ncpu T0, T1, T2, T3, T4, T5\ndevice DEV ats\ndevice NIC\n\
                    agent T0\n  lock ptl(A)\n  pte_clear A\n  flush_tlb A\n  notify A\n  set_pte A -> new rw\n  \
                    unlock ptl(A)\n  devtlb_inv B\n  store A = 1\n"
        .to_owned();
    for agent in ["T1", "T2", "T3", "T4", "T5"] {
        text.push_str(&format!("agent {agent}\n  repeat 4: load A\n  repeat 4: load B\n"));
    }
    for agent in ["DEV", "NIC"] {
        text.push_str(&format!("agent {agent}\n  repeat 4: dma_read A\n  repeat 4: dma_read B\n"));
    }
    let text = Text { file: "long.scn".to_owned(), text };
    let loaded = load(&text.text).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let (scenario, lowered) = &loaded[0];
    let trace = rows_of(lowered, 60);
    let run = Timeline::new(lowered, &trace, None);
    assert_eq!((run.rows.len(), run.agents.len()), (60, 8));
    (text, of("long.scn", scenario, Tone::Good, Some(run)))
}

/// The first so many rows of a run in which everybody takes turns.
fn rows_of(lowered: &Lowered, rows: usize) -> Trace {
    let model = &lowered.model;
    let (mut state, mut steps, mut last) = (State::initial(model), Vec::new(), vec![0; model.agents.len()]);
    while steps.len() < rows {
        let next = state.steps(model).into_iter().min_by_key(|(taken, _)| (last[taken.agent], taken.agent));
        let (Move { agent, pc, alternative }, way) = next.expect("somebody can go on");
        let after = state.after(agent, way);
        last[agent] = steps.len() + 1;
        steps.push(Step { agent, pc, alternative, changes: state.changes(&after) });
        state = after;
    }
    Trace { steps, last: state, round: None }
}
