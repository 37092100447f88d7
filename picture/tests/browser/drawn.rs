//! What is drawn: texts have room, inside their picture and beside each other, in light and dark.

use serde_json::{Value, json};

use crate::chromium::{Chromium, is_there};
use crate::pages::{catalogue, long, reports, written};

/// The texts that leave their picture, and pairs of texts that overlap; boxes that share a border do not.
const MISPLACED: &str = "(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
      if (!inside) found.push('outside: ' + text);
      for (const [other, next] of texts.slice(index + 1)) {
        const wide = Math.min(box.right, next.right) - Math.max(box.left, next.left);
        const high = Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top);
        if (wide > 1 && high > 3) found.push('overlap: ' + text + ' | ' + other);
      }
    });
  }
  return found;
})()";

/// Puts a wider font in the place of the picture's own.
const WIDE_FONT: &str = "document.styleSheets[0].insertRule('svg text { letter-spacing: 4px !important; }', \
    document.styleSheets[0].cssRules.length)";

/// Whether the page itself must be scrolled sideways.
const WIDER: &str = "document.documentElement.scrollWidth > document.documentElement.clientWidth";

#[test]
fn texts_have_room_in_their_picture_and_beside_each_other() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("room");
    let mut looked_at = 0;
    for path in [
        "cow/notify-under-lock.scn",
        "ksm/orders-of-merge.scn",
        "kvm/shadow-page-tables.scn",
        "iommu/unanswered-invalidations.scn",
        "contpte/device-faults-for-ever.scn",
    ] {
        let text = catalogue(path);
        let page = written(browser.folder(), std::slice::from_ref(&text), &reports(&text));
        browser.open(&page);
        assert_eq!(browser.value(MISPLACED), json!([]), "{path}");
        browser.value(WIDE_FONT);
        assert_eq!(browser.value(MISPLACED), json!([]), "{path}, with a font that is half as wide again");
        looked_at +=
            browser.value("document.querySelectorAll('svg text').length").as_u64().expect("a number");
    }
    let (text, report) = long();
    let page = written(browser.folder(), &[text], &[report]);
    for width in [1400, 380] {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", &size);
        browser.open(&page);
        assert_eq!(browser.value(MISPLACED), json!([]), "sixty rows, {width} wide");
        assert_eq!(browser.value(WIDER), json!(false), "{width} wide");
    }
    assert!(looked_at > 1000, "{looked_at} texts");
}

#[test]
fn names_stay_above_their_columns_while_a_long_run_is_scrolled() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("names");
    let (text, report) = long();
    let page = written(browser.folder(), &[text], &[report]);
    browser.open(&page);
    let gap = "(() => { const scroll = document.querySelector('.scroll'); scroll.scrollTop = 500; scroll.scrollLeft = 200; \
               const head = scroll.querySelector('.head').getBoundingClientRect(); \
               return [scroll.scrollTop, Math.round(head.top - scroll.getBoundingClientRect().top)]; })()";
    let seen = browser.value(gap);
    assert!(seen[0].as_f64() > Some(400.0), "it is longer than its frame: {seen}");
    assert!(seen[1].as_f64().is_some_and(|gap| gap.abs() <= 2.0), "{seen}");
}

/// The contrast of each kind of text with what is behind it (WCAG 2.2, 1.4.3).
const CONTRASTS: &str = "(() => {
  const channels = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = (colour) => {
    const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const found = {};
  for (const [text, behind] of [
    ['.held.stale text', '.held.stale rect'], ['.held.cache text', '.held.cache rect'], ['.held.table text', '.held.table rect'],
    ['.row .step', '.row rect'], ['.row .number', null], ['svg .of', null],
  ]) {
    const back = behind ? getComputedStyle(document.querySelector(behind)).fill : paper;
    found[text] = contrast(getComputedStyle(document.querySelector(text)).fill, back);
  }
  for (const text of ['.verdict', '.quiet', '.where', 'td b', '.told .missing', 'body', 'a[href]', 'dt']) {
    const element = document.querySelector(text);
    const own = getComputedStyle(element).backgroundColor;
    found[text] = contrast(getComputedStyle(element).color, own === 'rgba(0, 0, 0, 0)' ? paper : own);
  }
  return [light(paper), found];
})()";

#[test]
fn what_is_written_can_be_read_in_light_and_in_dark() {
    if !is_there() {
        return;
    }
    let mut browser = Chromium::start("contrast");
    let text = catalogue("cow/notify-under-lock.scn");
    let page = written(browser.folder(), std::slice::from_ref(&text), &reports(&text));
    browser.open(&page);
    let mut papers = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.call("Emulation.setEmulatedMedia", &feature);
        let seen = browser.value(CONTRASTS);
        let contrasts = seen[1].as_object().expect("an object");
        let low: Vec<(&String, &Value)> =
            contrasts.iter().filter(|(_, contrast)| contrast.as_f64() < Some(4.5)).collect();
        assert!(low.is_empty(), "{scheme}: {low:?}");
        papers.push(seen[0].as_f64().expect("a number"));
    }
    assert!(papers[0] > 0.9 && papers[1] < 0.1, "{papers:?}");
}
