//! Going through a run by clicks and keys, and without scripts; what is told to those who do not see it.

use serde_json::json;

use crate::chromium::{Chromium, is_there};
use crate::pages::{catalogue, reports, written};

/// Opens the page of the refuted order of COW, alone.
fn opened(name: &str) -> Chromium {
    let mut browser = Chromium::start(name);
    let text = catalogue("cow/notify-under-lock.scn");
    let refuted: Vec<_> =
        reports(&text).into_iter().filter(|report| report.name == "cow-notify-before-clear").collect();
    assert_eq!(refuted.len(), 1);
    let page = written(browser.folder(), &[text], &refuted);
    browser.open(&page);
    browser
}

/// The row that is marked in the table and the one in the picture, how many parts of the picture are still to come, and
/// what is said.
const STATE: &str = "(() => { const now = (where) => [...document.querySelectorAll(where)].map((one) => one.dataset.row).join(); \
    return [now('tr.now'), now('svg g.row.now'), document.querySelectorAll('svg .row.later').length, \
    document.querySelector('.controls output').textContent]; })()";

#[test]
fn clicks_and_keys_go_through_a_run() {
    if !is_there() {
        return;
    }
    let mut browser = opened("stepping");
    assert_eq!(browser.value(STATE), json!(["", "", 0, "all 10 rows"]));
    browser.click("button[value=first]");
    let first = browser.value(STATE);
    assert_eq!((&first[0], &first[1], &first[2]), (&json!("1"), &json!("1"), &json!(9)), "{first}");
    let said = first[3].as_str().expect("it is said");
    assert!(
        said.starts_with("row 1 of 10: CPU: lock ptl(A); changes ptl(A): CPU; nothing is held"),
        "{said}"
    );
    for _ in 0..3 {
        browser.press("ArrowRight");
    }
    let fourth = browser.value(STATE);
    assert_eq!((&fourth[0], &fourth[1]), (&json!("4"), &json!("4")), "{fourth}");
    let said = fourth[3].as_str().expect("it is said");
    assert!(said.contains("held now: tlb[IOMMU][A] = old ro stale"), "{said}");
    browser.press("ArrowLeft");
    assert_eq!(browser.value(STATE)[0], json!("3"));
    browser.press("End");
    assert_eq!(browser.value(STATE)[1], json!("10"));
    browser.press("Escape");
    assert_eq!(browser.value(STATE), json!(["", "", 0, "all 10 rows"]));
    browser.click("#s0-r6 a");
    assert_eq!(browser.value(STATE)[1], json!("6"), "a row of the table is a way to it");
}

#[test]
fn whoever_has_no_mouse_reaches_every_control() {
    if !is_there() {
        return;
    }
    let mut browser = opened("keys");
    let mut reached = Vec::new();
    for _ in 0..30 {
        browser.press("Tab");
        let focused = "(() => { const one = document.activeElement; return one.value || one.getAttribute('href') || one.className; })()";
        reached.push(browser.value(focused).as_str().unwrap_or_default().to_owned());
    }
    for control in
        ["#main", "#s0-r10", "first", "back", "forth", "last", "all", "scroll", "#s0-r1", "#f0-l14"]
    {
        assert!(reached.iter().any(|one| one == control), "{control} is not reached: {reached:?}");
    }
}

#[test]
fn a_line_of_the_source_unfolds_its_file() {
    if !is_there() {
        return;
    }
    let mut browser = opened("unfolds");
    assert_eq!(browser.value("document.querySelector('details').open"), json!(false));
    browser.click("#s0-r4 a[href='#f0-l15']");
    // A page whose details stay folded ends the browser's patience.
    browser.until("document.querySelector('details').open");
    let line = browser.value("document.querySelector('#f0-l15').textContent");
    assert!(line.as_str().is_some_and(|line| line.contains("pte_clear A")), "{line}");
}

#[test]
fn everything_is_there_without_scripts_and_told_to_those_who_do_not_see() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("without");
    browser.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    let text = catalogue("cow/notify-under-lock.scn");
    let page = written(browser.folder(), std::slice::from_ref(&text), &reports(&text));
    browser.open(&page);
    let tree = browser.call("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().expect("a list");
    let named = |role: &str| {
        let is = nodes.iter().filter(|node| node["role"]["value"] == role && node["ignored"] == false);
        is.filter_map(|node| node["name"]["value"].as_str()).filter(|name| !name.is_empty()).count()
    };
    assert_eq!(named("image"), 8, "a picture has a name");
    assert!(named("columnheader") >= 48 && named("heading") > 8, "{} headers", named("columnheader"));
    assert_eq!(named("button"), 0, "a control that does nothing is not there");
    let described = nodes.iter().filter(|node| {
        let told = node["name"]["value"].as_str().unwrap_or_default();
        node["role"]["value"] == "image" && told.contains("row 1: CPU: lock ptl(A)")
    });
    assert!(described.count() >= 6, "a picture is told in words");
}
