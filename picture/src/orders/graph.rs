//! The lattice as a graph for `dot`, and the words for verdicts.
//!
//! Invariant: names of nodes are numbers; whatever is said stands in quotes.

use std::fmt::Write;

use ordering::generate::Kind;

use super::lattice::{Extent, Lattice, Node};
use crate::escape::quoted;

/// The graph.
pub(super) fn dot(lattice: &Lattice) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = written(&mut out, lattice);
    out
}

fn written(out: &mut String, lattice: &Lattice) -> std::fmt::Result {
    writeln!(out, "graph {} {{", quoted(&lattice.title))?;
    let label: Vec<&str> = lattice.told.iter().chain(&lattice.needs).map(String::as_str).collect();
    writeln!(out, "  label={}; labelloc=t; rankdir=TB;", quoted(&label.join("\n")))?;
    writeln!(out, "  node [shape=box, fontname=monospace]; edge [color=gray];")?;
    for (group, index) in lattice.groups.iter().zip(0..) {
        writeln!(out, "  subgraph cluster_{index} {{")?;
        writeln!(out, "    label={};", quoted(&group.title))?;
        for node in &group.nodes {
            let peripheries = match node.extent() {
                Extent::All => ", color=darkgreen, peripheries=2",
                Extent::Some => ", color=goldenrod",
            };
            writeln!(out, "    n{} [label={}{peripheries}];", node.number, quoted(&told(lattice, node)))?;
        }
        writeln!(out, "  }}")?;
    }
    for (one, other) in &lattice.edges {
        writeln!(out, "  n{one} -- n{other};")?;
    }
    if lattice.left > 0 {
        writeln!(out, "  // {} more nodes have no room here", lattice.left)?;
    }
    writeln!(out, "}}")
}

/// A node in words.
pub(super) fn told(lattice: &Lattice, node: &Node) -> String {
    let verdicts = lattice.users.iter().zip(&node.verdicts);
    let verdicts: Vec<String> = verdicts.map(|(user, kind)| format!("{user}: {}", kind.name())).collect();
    let orders = if node.orders == 1 { "1 order".to_owned() } else { format!("{} orders", node.orders) };
    format!("{}\n{}\n{orders}", node.order, verdicts.join(", "))
}

/// A verdict as a sign.
pub(super) const fn mark(kind: Kind) -> char {
    match kind {
        Kind::Safe => '\u{2713}',
        Kind::Broken => '\u{2717}',
        Kind::Vacuous => '\u{2205}',
        Kind::BoundHit => '?',
    }
}

/// Its word in the style sheet.
pub(super) const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Safe => "good",
        Kind::Broken => "bad",
        Kind::Vacuous | Kind::BoundHit => "open",
    }
}
