//! What a scenario says of page-table entries: nothing else gets into their domain.
//!
//! Invariant: whatever an entry, a change of bits or a condition names is found, wherever it stands.

use steps::EntryOf;
use steps::entry::{Bits, Change, Feature, Kind};

use crate::language::entry::{Base, Written};
use crate::language::syntax::{Condition, Node, Operand, Question, Scenario, Step, Term};

use super::visit::visit;

/// What programs and properties say of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mentioned {
    pub(super) bits: Bits,
    pub(super) marker: bool,
    pub(super) migration: bool,
}

impl Mentioned {
    /// By all of `scenario`.
    pub(super) fn by(scenario: &Scenario) -> Self {
        let mut found = Self::default();
        scenario.maps.iter().for_each(|mapping| found.written(&mapping.entry));
        scenario.pmds.iter().for_each(|(_, entry)| found.written(entry));
        scenario.shadows.iter().for_each(|(_, entry)| found.written(entry));
        for property in &scenario.properties {
            if let Question::Always(condition) | Question::Finally(condition) = &property.node {
                found.condition(condition);
            }
        }
        for agent in &scenario.agents {
            visit(&agent.body, 1, &mut |statement, _| match &statement.node {
                Node::Step(spoken) => found.step(&spoken.step),
                Node::If(condition, ..) | Node::When(condition, _) | Node::Check(condition, _) => {
                    found.condition(condition);
                }
                Node::Operation(_)
                | Node::Assign(..)
                | Node::Repeat(..)
                | Node::Choice(_)
                | Node::Goto(_)
                | Node::Label(_)
                | Node::Atomic(_)
                | Node::End => {}
            });
        }
        found
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Entry(_, EntryOf::Set(entry)) | Step::SetSpte(_, entry) | Step::SetSpmd(_, entry) => {
                self.written(entry);
            }
            Step::Entry(_, EntryOf::Modify(change)) => self.change(*change),
            Step::Entry(_, EntryOf::Read | EntryOf::Clear)
            | Step::Lock(..)
            | Step::Trylock(..)
            | Step::Unlock(_)
            | Step::Fence
            | Step::Enter(_)
            | Step::Leave(_)
            | Step::IpiSync
            | Step::SynchronizeRcu
            | Step::Invalidate(_)
            | Step::SetPasid(..)
            | Step::Switch(..)
            | Step::SetPasidHalf(..)
            | Step::InvWait(..)
            | Step::ZapSpmd(_)
            | Step::Unplug(_)
            | Step::PageRequest(_)
            | Step::PageResponse(_)
            | Step::DrainRequests
            | Step::NotifyStart(_)
            | Step::NotifyEnd(_)
            | Step::ChangePte(_)
            | Step::ZapSpte(_)
            | Step::Walk(_)
            | Step::Load(_)
            | Step::Store(..)
            | Step::DmaRead(_)
            | Step::DmaWrite(..)
            | Step::GupFast { .. }
            | Step::TryGet { .. }
            | Step::Peek { .. }
            | Step::Forget(_)
            | Step::Write(..)
            | Step::Read(_)
            | Step::Copy(..)
            | Step::Count(..) => {}
        }
    }

    fn written(&mut self, written: &Written) {
        self.change(written.change);
        self.marker |= written.base == Base::Marker;
        self.migration |= written.migration;
    }

    fn change(&mut self, change: Change) {
        self.bits = self.bits.or(change.said());
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::And(left, right) | Condition::Or(left, right) => {
                self.condition(left);
                self.condition(right);
            }
            Condition::Not(inner) => self.condition(inner),
            Condition::Compare(left, _, right) => {
                [left, right].into_iter().for_each(|side| self.operand(side));
            }
            Condition::Truth(operand) => self.operand(operand),
            Condition::Has(operand, features) => {
                self.operand(operand);
                features.iter().for_each(|feature| self.feature(*feature));
            }
        }
    }

    fn operand(&mut self, operand: &Operand) {
        if let Term::Entry(entry) = &operand.term {
            self.written(entry);
        }
    }

    fn feature(&mut self, feature: Feature) {
        match feature {
            Feature::Bit(bit) => self.bits = self.bits.with(bit),
            Feature::Kind(kind) => {
                self.marker |= kind == Kind::Marker;
                self.migration |= kind == Kind::Migration;
            }
        }
    }
}
