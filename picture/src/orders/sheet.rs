//! The lattice as a page: what was looked at, what each user needs, the picture, and a table of all orders.
//!
//! Invariant: the table has every order, also those that are safe for nobody.

use super::drawn;
use super::graph::class;
use super::lattice::{Lattice, Row};
use crate::markup::Markup;
use crate::page::{Frame, frame};

/// The page.
pub(super) fn page(lattice: &Lattice, made: &str) -> String {
    frame(&Frame { title: &lattice.title, home: None, made }, |markup| {
        markup.element("section", &[("class", &"scenario")], |markup| {
            for line in &lattice.told {
                markup.leaf("p", &[], line);
            }
            markup.leaf("h2", &[], "What each user needs");
            markup.leaf("pre", &[], lattice.needs.join("\n"));
            markup.leaf("h2", &[], "Orders that are safe for somebody");
            let region: [(&str, &dyn std::fmt::Display); 4] = [
                ("class", &"scroll"),
                ("tabindex", &0),
                ("role", &"region"),
                ("aria-label", &"picture of the orders"),
            ];
            markup.element("div", &region, |markup| {
                drawn::picture(markup, lattice, None);
            });
            markup.leaf("h2", &[], "All orders");
            markup.element("div", &[("class", &"rows")], |markup| table(markup, lattice));
        });
    })
}

fn table(markup: &mut Markup, lattice: &Lattice) {
    markup.element("table", &[], |markup| {
        markup.leaf("caption", &[], "Each order, and for whom it is safe.");
        markup.element("thead", &[], |markup| {
            markup.element("tr", &[], |markup| {
                let heads = ["order", "moved"].into_iter().chain(lattice.users.iter().map(String::as_str));
                heads
                    .chain(["fewest steps moved"])
                    .for_each(|head| markup.leaf("th", &[("scope", &"col")], head));
            });
        });
        markup.element("tbody", &[], |markup| lattice.rows.iter().for_each(|one| row(markup, one)));
    });
}

fn row(markup: &mut Markup, row: &Row) {
    markup.element("tr", &[], |markup| {
        markup.leaf("td", &[("class", &"step")], &row.order);
        markup.leaf("td", &[], row.moved);
        for kind in &row.verdicts {
            markup.element("td", &[], |markup| {
                let class = format!("verdict {}", class(*kind));
                markup.leaf("span", &[("class", &class)], kind.name());
            });
        }
        markup.leaf("td", &[], if row.minimal { "minimal" } else { "" });
    });
}
