//! The orders of an operation as a lattice: a node for orders that no exchange which changes a verdict tells apart, an edge
//! for an exchange of neighbours that does.
//!
//! Invariant: a node is there if its orders are safe for somebody; who that is stands in it in words. What is not drawn,
//! as there is no room, is counted.
//!
//! Read in this order: `lattice` (what is drawn), `layout` (where the nodes stand), `drawn` (the picture), `sheet` (the page), `graph` (for `dot`).

mod drawn;
mod graph;
mod lattice;
mod layout;
mod sheet;

pub use lattice::Lattice;

impl Lattice {
    /// As a picture by itself.
    #[must_use]
    pub fn svg(&self) -> String {
        drawn::svg(self)
    }

    /// As a page by itself, with what the users need and a table of all orders; `made` says what has made it.
    #[must_use]
    pub fn html(&self, made: &str) -> String {
        sheet::page(self, made)
    }

    /// As a graph for Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        graph::dot(self)
    }
}

#[cfg(test)]
mod tests;
