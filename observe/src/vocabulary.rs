//! What lines of a trace say in the language of scenarios: a table, as data.
//!
//! Invariant: every row is read or reported with its line; a row that somebody adds comes before those that are built in.
//! Source: mm/, arch/x86/mm/tlb.c, virt/kvm/kvm_main.c, arch/x86/kvm/mmu/, drivers/iommu/intel/ of 5.15 to 7.x.

mod parse;
mod row;

use std::collections::HashMap;

use thiserror::Error;

use crate::line::Event;

pub use parse::parse;
pub use row::{Kernel, Meaning, Operation, Row, Shape, Shows, Spoken};

/// The table that is built in.
pub const BUILT_IN: &str = include_str!("vocabulary.txt");

/// A row that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}: {what}")]
pub struct Wrong {
    /// Of the text, 1-based.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// All rows, by name.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    rows: Vec<Row>,
    operations: Vec<Operation>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Vocabulary {
    /// The table that is built in, behind what `added` says, if there is any.
    ///
    /// # Errors
    /// The first row that cannot be read.
    pub fn with(added: Option<&str>) -> Result<Self, Wrong> {
        let (mut rows, mut operations) = (Vec::new(), Vec::new());
        for text in added.into_iter().chain([BUILT_IN]) {
            parse(text, &mut rows, &mut operations)?;
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_name.entry(row.name.clone()).or_default().push(index);
        }
        let known =
            |row: &&Row| row.operation.as_ref().is_some_and(|id| !operations.iter().any(|one| one.id == *id));
        if let Some(row) = rows.iter().find(known) {
            let id = row.operation.as_deref().unwrap_or_default();
            return Err(Wrong { line: row.line, what: format!("no line says what the operation `{id}` is") });
        }
        Ok(Self { rows, operations, by_name })
    }

    /// All rows, in their order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The operation with that id.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// What a text that somebody has written into a trace names, by whole words.
    #[must_use]
    pub fn named_in(&self, text: &str) -> Option<&Operation> {
        let words = |text: &str| -> Vec<String> {
            let parts = text.split(|character: char| !character.is_alphanumeric());
            parts.filter(|part| !part.is_empty()).map(str::to_lowercase).collect()
        };
        let text = words(text);
        let names = |word: &String| {
            let word = words(word);
            !word.is_empty() && text.windows(word.len()).any(|part| part == word)
        };
        self.operations.iter().find(|operation| operation.words.iter().any(names))
    }

    /// The index of the row for an event of a kernel; of an unknown kernel the oldest row counts.
    #[must_use]
    pub fn find(&self, event: &Event<'_>, kernel: Option<Kernel>) -> Option<usize> {
        let indices = self.by_name.get(&*event.name).or_else(|| {
            let (kind, _) = event.name.split_once('@')?;
            self.by_name.get(&format!("{kind}@*"))
        })?;
        let fits = |index: &&usize| {
            let row = &self.rows[**index];
            row.holds(event) && kernel.is_none_or(|kernel| row.has(kernel))
        };
        let mut fitting = indices.iter().filter(fits);
        let first = fitting.next()?;
        // Rows that differ in nothing but their kernels stand side by side, the oldest first.
        Some(*first)
    }

    /// The operation that a function belongs to.
    #[must_use]
    pub fn operation_of(&self, function: &str) -> Option<&str> {
        let index = self.by_name.get(function)?.first()?;
        self.rows[*index].operation.as_deref()
    }
}

#[cfg(test)]
mod tests;
