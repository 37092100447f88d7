//! Why a model cannot be explored.
//!
//! Invariant: it says what is too large, and by what the room is taken.

use std::fmt;

use thiserror::Error;

use super::options::Stop;
use crate::model::ModelError;

/// Why a model cannot be explored.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TooLarge {
    /// A state does not fit into the largest word.
    #[error(
        "a state takes {bits} bits of at most {limit}; the biggest parts are {biggest}: give them fewer values"
    )]
    Bits {
        /// Bits of a state.
        bits: u32,
        /// Bits that there are.
        limit: u32,
        /// What takes most of them.
        biggest: Biggest,
    },
    /// The model is not well formed.
    #[error(transparent)]
    Malformed(#[from] ModelError),
    /// It was told to stop before the model was packed.
    #[error("the time was over before the model was packed")]
    Stopped,
}

impl TooLarge {
    pub(super) fn unless_stopped(stop: Option<&Stop>) -> Result<(), Self> {
        if stop.is_some_and(Stop::is_set) { Err(Self::Stopped) } else { Ok(()) }
    }
}

/// The variables that take the most bits, with their bits, the biggest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Biggest(pub Vec<(String, u32)>);

impl fmt::Display for Biggest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(name, bits)| format!("{name} ({bits})")).collect();
        f.write_str(&parts.join(", "))
    }
}
