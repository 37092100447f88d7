//! The scenario language: text in, scenarios and diagnostics out.
//!
//! Invariant: no text makes it panic, and every error of a file is reported in one go. It resolves no names; what a
//! scenario means is [`crate::lowering`]'s. Reading order: [`steps::table`], [`entry`], [`syntax`], [`parse`].
//! Reference: docs/language.md.

mod code;
pub mod diagnostic;
pub mod entry;
pub mod explain;
pub mod format;
mod line;
mod parser;
mod show;
pub mod span;
mod suggest;
pub mod syntax;
pub mod token;
mod variant;
pub mod vocabulary;

pub use code::Code;
pub use diagnostic::{Diagnostic, Second, render_all, render_all_coloured};
pub(crate) use parser::{BUILT_IN, declared_twice};
pub use parser::{File, OPTIONS, parse};
pub use suggest::{did_you_mean, nearest};
pub(crate) use variant::Blamed;

#[cfg(test)]
mod tests;
