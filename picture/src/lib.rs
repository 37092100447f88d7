//! Runs of scenarios to look at: a sequence diagram with who holds which translation, a page, a graph, a site.
//!
//! Invariant: nothing here touches a file or a clock, and a picture depends on the run alone. Who holds what is read from
//! the model's states, never from the words of a step. Whatever a scenario says is text in what is written here, and can
//! never be markup.
//!
//! Read in this order: [`timeline`] (rows, lanes and arrows as plain data), [`fair`] (a run of what is
//! proved), [`report`] (a scenario with what was found),
//! `escape` and `markup` (how text becomes XML), [`svg`] and `layout` (the picture), [`page`] (a page of scenarios),
//! [`chart`] (counts beside each other), [`plot`] (curves), [`dot`] (a graph), [`perfetto`] (tracks for Perfetto),
//! [`links`] (where a scenario is from), [`site`] (the catalogue), [`orders`] (the lattice of an operation's orders).

pub mod chart;
pub mod dot;
mod escape;
pub mod fair;
mod layout;
pub mod links;
mod markup;
pub mod orders;
pub mod page;
pub mod perfetto;
pub mod plot;
pub mod report;
pub mod site;
pub mod svg;
pub mod timeline;
