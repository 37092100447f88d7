//! Why an order is refused, as it is shown: a variant of the scenario with the trace of its violation, or a sentence.

use std::fmt;

use ordering::minimize::{Refusal, Refused};
use serde::Serialize;

/// What happens without a need.
#[derive(Serialize)]
pub(super) struct Without {
    /// An order that is refused, rows counted from 1.
    order: Vec<usize>,
    without: String,
    /// The name of the scenario with this order.
    counterexample: Option<String>,
    /// That scenario with its trace; none if it stands above.
    trace: Option<String>,
}

impl Without {
    pub(super) fn of(refused: &Refused) -> Self {
        let order = refused.order.iter().map(|row| row + 1).collect();
        let (without, trace) = match &refused.refusal {
            Refusal::Violated { property, trace } => (property.clone(), Some(trace)),
            Refusal::OtherJob(job) => (format!("it does something else: {job}"), None),
            Refusal::Meaningless(why) => (format!("the scenario says nothing any more: {why}"), None),
            Refusal::BoundHit => ("more states than were allowed".to_owned(), None),
        };
        let written = refused.variant.as_ref().zip(trace);
        Self {
            order,
            without,
            counterexample: trace.map(|_| refused.name.clone()),
            trace: written.map(|(variant, trace)| format!("{variant}{trace}")),
        }
    }

    /// The end of a sentence, and the variant below it.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.counterexample, &self.trace) {
            (Some(_), Some(trace)) => write!(f, "else: {}\n{trace}", self.without),
            (Some(name), None) => writeln!(f, "else: {}, as in {name} above", self.without),
            (None, _) => {
                let order: Vec<String> = self.order.iter().map(ToString::to_string).collect();
                writeln!(f, "else: {} (in the order {})", self.without, order.join(", "))
            }
        }
    }
}
