//! What stands around every page: its head, its style, its script, and what a browser may do in it.
//!
//! Invariant: nothing is loaded, sent or run but what stands here. Source: Content Security Policy Level 3, 2.3.1, hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::markup::Markup;

const STYLE: &str = concat!(
    include_str!("../colours.css"),
    include_str!("../svg.css"),
    include_str!("../orders.css"),
    include_str!("../page.css")
);
const SCRIPT: &str = include_str!("../page.js");

/// What differs from page to page.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    /// Where it belongs to.
    pub(crate) home: Option<&'a str>,
    /// What has made the page.
    pub(crate) made: &'a str,
}

/// A whole page.
pub(crate) fn frame(frame: &Frame<'_>, inside: impl FnOnce(&mut Markup)) -> String {
    let mut markup = Markup::default();
    markup.verbatim("<!DOCTYPE html>\n");
    markup.element("html", &[("lang", &"en")], |markup| {
        markup.element("head", &[], |markup| head(markup, frame.title));
        markup.element("body", &[], |markup| {
            markup.leaf("a", &[("class", &"skip"), ("href", &"#main")], "To the content");
            markup.element("header", &[], |markup| {
                if let Some(home) = frame.home {
                    markup.leaf("a", &[("href", &home)], "The catalogue");
                }
                markup.leaf("h1", &[], frame.title);
            });
            markup.element("main", &[("id", &"main")], inside);
            markup.leaf("footer", &[], frame.made);
            markup.element("script", &[], |markup| markup.verbatim(SCRIPT));
        });
    });
    markup.line();
    markup.into_string()
}

fn head(markup: &mut Markup, title: &str) {
    markup.empty("meta", &[("charset", &"utf-8")]);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    markup.empty("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy)]);
    markup.empty("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
    markup.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
    markup.leaf("title", &[], title);
    markup.element("style", &[], |markup| markup.verbatim(STYLE));
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
