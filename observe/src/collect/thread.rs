//! What is known of one thread: the operation that it is in.
//!
//! Invariant: an operation ends where its thread does something that no operation does: it enters the kernel anew, it
//! begins another operation or another range when nothing is left to flush, or the trace ends.

use ordering::glimpse::whatever_level;
use steps::table::Verb;

use super::open::Operation;
use crate::line::Event;
use crate::vocabulary::{Meaning, Row, Shape, Spoken, Vocabulary};

/// The function that begins the second half of KSM's merge.
const SECOND_HALF: &str = "replace_page";

/// Operations that have ended, and steps that belong to none.
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) ended: Vec<Operation>,
    pub(super) stray: u64,
}

/// A row with its event.
pub(super) struct Taken<'a> {
    pub(super) event: &'a Event<'a>,
    pub(super) row: &'a Row,
    /// The operation that the row or its caller belongs to.
    pub(super) operation: Option<&'a str>,
    pub(super) line: u64,
    /// The page all of whose writes are shown.
    pub(super) watched: Option<u64>,
    pub(super) label: Option<String>,
}

#[derive(Debug)]
pub(super) struct Thread {
    name: String,
    /// The operation whose function was entered, or that its last fault suggests.
    operation: Option<String>,
    by_fault: bool,
    open: Option<Operation>,
    /// KSM's first half, which the second may follow.
    held: Option<Operation>,
    /// What it did before was not recorded, and it has begun nothing since.
    torn: bool,
    /// When it was met last, in whatever unit.
    last: Option<f64>,
}

impl Thread {
    pub(super) fn new(name: String, torn: bool) -> Self {
        Self { name, operation: None, by_fault: false, open: None, held: None, torn, last: None }
    }

    /// It does something at that time; whether it has been later already.
    pub(super) fn passes(&mut self, time: f64) -> bool {
        self.last.replace(time).is_some_and(|last| last > time)
    }

    /// It enters the kernel anew, for an operation perhaps.
    pub(super) fn enter(&mut self, operation: Option<&str>, vocabulary: &Vocabulary) -> Closed {
        self.operation = operation.map(str::to_owned);
        self.by_fault = true;
        self.torn = false;
        let mut closed = self.close(vocabulary);
        closed.ended.extend(self.held.take());
        closed
    }

    /// A function of an operation was entered: what it does is in the trace from its first step on.
    pub(super) fn call(&mut self, row: &Row, starts_shown: bool, vocabulary: &Vocabulary) -> Closed {
        let Some(operation) = &row.operation else { return Closed::default() };
        let closed = match &self.open {
            Some(open) if open.is_settled() && !open.is_inside(starts_shown) => self.close(vocabulary),
            Some(_) | None => Closed::default(),
        };
        self.torn &= row.name == SECOND_HALF;
        self.operation = Some(operation.clone());
        self.by_fault = false;
        self.belongs(Some(operation));
        closed
    }

    /// The operation that is open belongs to this one, unless it is known already.
    pub(super) fn belongs(&mut self, operation: Option<&str>) {
        if let (Some(open), Some(operation)) = (&mut self.open, operation) {
            open.belongs(operation);
        }
    }

    pub(super) fn unsure(&mut self) {
        if let Some(open) = &mut self.open {
            open.unsure = true;
        }
    }

    /// The line of the last step of the operation whose page a vCPU maps again; none if it is none of its own.
    pub(super) fn meets_walk(&self, gfn: Option<u64>, watched: Option<u64>) -> Option<u64> {
        self.open.as_ref().filter(|open| open.meets_walk(gfn, watched)).map(Operation::last)
    }

    /// A vCPU maps the page of the operation again.
    pub(super) fn walked(&mut self, function: &str) {
        if let Some(open) = &mut self.open {
            open.walked(function);
        }
    }

    /// The trace ends here, or leaves something out.
    pub(super) fn cut(&mut self, vocabulary: &Vocabulary) -> Vec<Operation> {
        if let Some(open) = &mut self.open {
            open.cut = true;
        }
        self.enter(None, vocabulary).ended
    }

    /// Ends what is open. The halves of KSM's merge of one page are one.
    fn close(&mut self, vocabulary: &Vocabulary) -> Closed {
        let mut closed = Closed::default();
        let Some(open) = self.open.take() else { return closed };
        match self.held.take() {
            Some(held) if held.goes_on_with(&open) => closed.ended.push(held.joined(open)),
            held => {
                closed.ended.extend(held);
                if open.is_ksm(vocabulary) {
                    self.held = Some(open);
                } else {
                    closed.ended.push(open);
                }
            }
        }
        closed
    }

    /// The steps of a row are taken.
    pub(super) fn take(&mut self, taken: &Taken<'_>, vocabulary: &Vocabulary) -> Closed {
        let mut closed = Closed::default();
        let range = taken.row.range(taken.event);
        let (steps, around): (Vec<&Spoken>, Option<Verb>) = match &taken.row.meaning {
            Meaning::Steps(steps) => (steps.iter().collect(), None),
            Meaning::Around(step, inside) => (vec![step], Some(whatever_level(inside.verb))),
            Meaning::Fault | Meaning::Mark | Meaning::Nothing => return closed,
        };
        let Some(first) = steps.first().map(|step| whatever_level(step.verb)) else { return closed };
        if self.ends_before(first, range, vocabulary) {
            closed = self.close(vocabulary);
        }
        if self.open.is_none() && !self.begins_with(first, taken.operation) {
            closed.stray += 1;
            return closed;
        }
        let name = &self.name;
        let entered = self.operation.as_deref();
        let torn = std::mem::take(&mut self.torn);
        let open = self.open.get_or_insert_with(|| {
            let mut open = Operation::new(taken.line, name, taken.label.clone());
            open.torn = torn && first != Verb::NotifyStart;
            open
        });
        match (taken.operation, entered) {
            (Some(operation), _) => open.belongs(operation),
            (None, Some(operation)) if self.by_fault => open.may_belong(operation),
            (None, Some(operation)) => open.belongs(operation),
            (None, None) => {}
        }
        open.steps(&steps, around, range, taken);
        // The second half of a merge begins with a range, too.
        open.torn |= torn && first == Verb::NotifyStart && open.is_ksm(vocabulary);
        closed
    }

    /// Whether the operation that is open is over when such a step comes.
    fn ends_before(&self, verb: Verb, range: Option<(u64, u64)>, vocabulary: &Vocabulary) -> bool {
        let Some(open) = &self.open else { return false };
        if verb == Verb::NotifyStart {
            return open.is_settled() && !open.is_in_start_of(range);
        }
        // Who zaps sets nothing: a fault does, afterwards.
        let shape = open.operation().and_then(|id| vocabulary.operation(id)).map(|one| one.shape);
        verb == Verb::SetPte && shape == Some(Shape::Zap) && open.is_settled()
    }

    /// Whether an operation can begin with it.
    fn begins_with(&self, verb: Verb, operation: Option<&str>) -> bool {
        let known = operation.is_some() || self.operation.is_some();
        let alone = matches!(verb, Verb::NotifyStart | Verb::PteClear | Verb::PteModify);
        alone || known && matches!(verb, Verb::FlushTlb | Verb::SetPte | Verb::IotlbInv | Verb::DevtlbInv)
    }
}
