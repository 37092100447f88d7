//! Names, comments and paths that somebody wrote to do harm.

use std::fs;

use ordering::lowering::load;
use picture::report::{Report, Text, Tone};
use picture::timeline::Timeline;
use serde_json::json;

use crate::chromium::{Chromium, is_there};
use crate::pages::{of, written};

/// Ends elements, attributes, scripts and styles; asks for what is not there; turns and hides text.
const HARM: &str = "</title></style></script></text><script>window.harm=1</script><img src=x onerror=window.harm=1>\
    '\"` onload=window.harm=1 <svg/onload=window.harm=1> &lt;b&gt; javascript:window.harm=1 \u{202e}desrever\u{2066}\u{200b} \
    ]]>--><!-- {{7*7}} \u{1b}[31m";

/// A report in which everything that somebody can write is harmful.
fn harmful() -> (Text, Report) {
    let text = format!(
        "scenario x # {HARM}\nabout \"{0}\"\nsource \"commit 0123456789ab, {0}\"\npage A\nframe old = 0, new = 0\nmap A -> old rw\ncpu T0\n\
         agent T0 \"{0}\"\n  pte_clear A # {HARM}\n  flush_tlb A\n",
        HARM.replace('"', "'").replace('\u{1b}', "")
    );
    let file = format!("{HARM}.scn");
    let loaded = load(&text).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let (scenario, lowered) = &loaded[0];
    let trace = picture::fair::fair(&lowered.model).expect("it ends");
    let mut run = Timeline::new(lowered, &trace, None);
    // What the language does not let through today may come from elsewhere tomorrow.
    run.agents[0].name = HARM.to_owned();
    run.agents[0].on = Some(HARM.to_owned());
    run.rows[0].text = HARM.to_owned();
    run.rows[0].changes = vec![HARM.to_owned()];
    run.why = vec![format!("why: row 1 {HARM}"), format!("missing: {HARM}")];
    run.lanes[0].name = HARM.to_owned();
    run.lanes[0].what = HARM.to_owned();
    run.lanes[0].segments[0].holds = HARM.to_owned();
    let report = Report {
        name: HARM.to_owned(),
        like: Some(HARM.to_owned()),
        detail: HARM.to_owned(),
        remarks: vec![HARM.to_owned()],
        counts: vec![(HARM.to_owned(), HARM.to_owned())],
        title: HARM.to_owned(),
        ..of(&file, scenario, Tone::Bad, Some(run))
    };
    (Text { file, text }, report)
}

/// What a page may not have: scripts beside its own, elements that load, attributes that act, links that leave the schemes.
const FOREIGN: &str = "[document.scripts.length, document.querySelectorAll('img, iframe, object, embed, link, base, form').length, \
    [...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith('on') || name === 'style').length, \
    [...document.querySelectorAll('a')].filter((one) => !['file:', 'https:'].includes(one.protocol)).length, typeof window.harm]";

#[test]
fn hostile_names_comments_and_paths_do_nothing_and_stay_in_their_place() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("hostile");
    let (text, report) = harmful();
    let page = written(browser.folder(), &[text], std::slice::from_ref(&report));
    browser.open(&page);
    assert_eq!(browser.value(FOREIGN), json!([1, 0, 0, 0, "undefined"]));
    let heading = browser.value("document.querySelector('h2').textContent");
    assert!(
        heading.as_str().is_some_and(|text| text.contains("<script>window.harm=1</script>")),
        "{heading}"
    );
    assert!(
        heading.as_str().is_some_and(|text| text.contains("⟨U+202E⟩desrever⟨U+2066⟩⟨U+200B⟩")),
        "{heading}"
    );
    assert_eq!(browser.value("document.documentElement.scrollWidth > innerWidth"), json!(false));
    browser.click("button[value=first]");
    assert_eq!(browser.value(FOREIGN), json!([1, 0, 0, 0, "undefined"]), "stepping makes none");
    let svg = browser.folder().join("page.svg");
    fs::write(&svg, picture::svg::svg(&[report])).expect("it can be written");
    browser.open(&svg);
    assert_eq!(
        browser.value("[document.querySelectorAll('script').length, typeof window.harm]"),
        json!([0, "undefined"])
    );
    for event in &browser.events {
        let url = event["params"]["request"]["url"].as_str().unwrap_or("file:");
        assert!(url.starts_with("file:"), "nothing is asked of a network: {url}");
    }
}

#[test]
fn a_script_that_got_in_all_the_same_does_not_run_and_a_style_does_nothing() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("policy");
    let (text, report) = harmful();
    let page = written(browser.folder(), &[text], &[report]);
    let html = fs::read_to_string(&page).expect("it was written");
    let foreign = "<script>window.harm=1</script><style>main{display:none}</style><img src=\"x\" onerror=\"window.harm=1\"/>\
                   <iframe src=\"page.svg\"></iframe></main>";
    fs::write(&page, html.replace("</main>", foreign)).expect("it can be written");
    browser.open(&page);
    assert_eq!(
        browser.value("[typeof window.harm, document.querySelector('main').offsetHeight > 0]"),
        json!(["undefined", true])
    );
    // It says so when it comes to it.
    browser.wait_for_many(3, |event| event["method"] == "Log.entryAdded");
}
