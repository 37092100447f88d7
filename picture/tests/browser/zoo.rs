//! The catalogue's site: search, filter, and the way to a scenario and back.

use std::fs;

use picture::site::site;
use serde_json::json;

use crate::chromium::{Chromium, is_there};
use crate::pages::{catalogue, reports};

/// The scenarios that are shown.
const SHOWN: &str = "[...document.querySelectorAll('.zoo li')].filter((item) => item.offsetHeight > 0).map((item) => item.querySelector('a').textContent)";

#[test]
fn a_scenario_is_found_by_words_and_by_verdict_and_has_its_page() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("zoo");
    let texts =
        ["cow/notify-under-lock.scn", "litmus/store-buffers.scn", "zap/madv-dontneed.scn"].map(catalogue);
    let reports: Vec<_> = texts.iter().flat_map(reports).collect();
    for page in site(&texts, &reports, "") {
        let path = browser.folder().join("site").join(&page.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(path, page.text).expect("it can be written");
    }
    let start = browser.folder().join("site/index.html");
    browser.open(&start);
    assert_eq!(browser.value(SHOWN).as_array().map(Vec::len), Some(reports.len()));
    browser.click("input[type=search]");
    browser.call("Input.insertText", &json!({ "text": "Notify before CLEAR device" }));
    assert_eq!(browser.value(SHOWN), json!(["cow-notify-before-clear"]));
    assert_eq!(browser.value("document.querySelector('.find output').textContent.split(' ')[0]"), json!("1"));
    assert_eq!(
        browser
            .value("[...document.querySelectorAll('.file')].filter((file) => file.offsetHeight > 0).length"),
        json!(1)
    );
    browser.click("input[value=good]");
    assert_eq!(browser.value(SHOWN), json!([]), "it is not proved");
    browser.click("input[value=all]");
    browser.follow("li:not([hidden]) a");
    let at = browser.value("location.pathname.split('/').slice(-2).join('/') + location.hash");
    assert_eq!(at, json!("cow/notify-under-lock.html#scenario-cow-notify-before-clear"));
    let target = "document.querySelector(':target h2').textContent";
    assert!(
        browser
            .value(target)
            .as_str()
            .is_some_and(|text| text.starts_with("cow-notify-before-clear VIOLATED"))
    );
    browser.follow("header a");
    assert_eq!(browser.value("document.title"), json!("The catalogue of scenarios"));
}
