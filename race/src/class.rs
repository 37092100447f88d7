//! Questions: parts of a step that differ only in what comes of them are one.
//!
//! Invariant: who asks a question takes the step once, and the machine says which part it was.

use ordering::lowering::{Hop, Part, Party};

/// Which question a part of a step answers: parts of one class differ only in what comes of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// The step is taken, whatever it returns or comes to.
    Taken,
    /// The entry is made dirty, or not.
    Dirty,
    /// The reference is looked at again.
    Again,
    /// Somebody answers.
    Answer(Party),
    /// The upper entry is read.
    Pmd,
    /// The entry is read.
    Pte,
    /// This very part.
    Part(Part),
}

pub(crate) const fn class(part: Part) -> Class {
    match part {
        Part::Whole | Part::Returns(_) | Part::Nothing | Part::Get(_) => Class::Taken,
        Part::Dirty(..) | Part::NotDirty(..) => Class::Dirty,
        Part::Again | Part::Drop => Class::Again,
        Part::Answer(party, _) => Class::Answer(party),
        Part::Walk(user, page, target, Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent) => {
            Class::Part(Part::Walk(user, page, target, Hop::PasidRest))
        }
        Part::ReadPmd(_) => Class::Pmd,
        Part::ReadPte(_) => Class::Pte,
        Part::Walk(..)
        | Part::Flush(_)
        | Part::Send(_)
        | Part::Translated
        | Part::Answered
        | Part::Sent
        | Part::Perform(..)
        | Part::TimesOut(..)
        | Part::ReachesMemory(_) => Class::Part(part),
    }
}
