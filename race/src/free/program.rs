//! The program of an agent as a machine runs it by itself: at each place the questions that it may ask next, and where each
//! answer leads.
//!
//! Invariant: nothing of what a step does is in it. Ways of one question differ in what comes of it, which the machine
//! says; what is only looked at has guards, which are held against what the machine shows.

use ordering::lowering::{Act, Deed, Key, Lowered, PageId, Part};
use ordering::model::{Guard, Instruction, Update, Var};
use steps::{EntryAt, Step};

use crate::class::{Class, class};

/// An agent's program.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) places: Vec<Place<'a>>,
    /// Whether it may stop anywhere.
    pub(super) spontaneous: bool,
    /// Whether it is hardware that lets stores reach memory.
    pub(super) is_buffer: bool,
}

/// A place of a program.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) questions: Vec<Question<'a>>,
    /// Whether the program may end here.
    pub(super) may_end: bool,
}

/// A step that may be taken next.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) kind: Kind,
    pub(super) ways: Vec<Way<'a>>,
    /// Whether nobody else may take a step meanwhile: the model has it as one, and the machine does it in several.
    pub(super) alone: bool,
}

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// By a step of the machine, which says what came of it.
    Step,
    /// By a walk or another thing that hardware does before the step itself.
    Hardware,
    /// By a look at what the guards of the ways name.
    Look,
    /// By a look, and then several steps at once.
    Atomic,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) deeds: Vec<Deed<'a>>,
    pub(super) guard: &'a [Guard],
    /// Where the program goes on.
    pub(super) next: usize,
    /// The register that keeps what it returns, as an index of the outcome's places.
    pub(super) register: Option<usize>,
    /// Whether the step breaks a property by being taken.
    pub(super) violates: bool,
}

impl<'a> Program<'a> {
    /// That of the agent with this index; `registers` are the variables that keep what is returned.
    pub(super) fn new(lowered: &'a Lowered, index: usize, registers: &[Var]) -> Self {
        let agent = &lowered.model.agents[index];
        let deeds = &lowered.deeds[index];
        let place = |(pc, instruction): (usize, &'a Instruction)| {
            let mut questions: Vec<(Vec<(*const Act, Class)>, Question<'a>)> = Vec::new();
            let is_one = (0..instruction.alternatives.len()).any(|number| deeds.of(pc, number).count() > 1);
            for (number, alternative) in instruction.alternatives.iter().enumerate() {
                let deeds: Vec<Deed<'a>> = deeds.of(pc, number).collect();
                let register = alternative.updates.iter().find_map(|update| match update {
                    Update::Set(var, _) => registers.iter().position(|register| register == var),
                    Update::Copy { .. } | Update::Increment(_) | Update::Decrement(_) => None,
                });
                let next = usize::from(alternative.next.0);
                let violates = alternative.violates.is_some();
                // Steps that are taken as one are not begun to find out that the first of them breaks something.
                let key = if violates && is_one { Vec::new() } else { key(&deeds) };
                let way = Way { deeds, guard: &alternative.guard, next, register, violates };
                match questions.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, question)) => question.ways.push(way),
                    None => {
                        let question = Question::new(lowered, way, key.is_empty());
                        questions.push((key, question));
                    }
                }
            }
            let mut questions: Vec<Question<'a>> =
                questions.into_iter().map(|(_, question)| question).collect();
            questions.iter_mut().for_each(Question::settle);
            Place { questions, may_end: instruction.may_end }
        };
        let places = agent.program.iter().enumerate().map(place).collect();
        let is_buffer = deeds.acts().all(|act| *act == Act::Hardware) && agent.name.ends_with("_buffer");
        Self { places, spontaneous: agent.spontaneous, is_buffer }
    }
}

/// Which question a row answers.
fn key(deeds: &[Deed<'_>]) -> Vec<(*const Act, Class)> {
    if deeds.len() == 1 {
        return deeds.iter().map(|deed| (std::ptr::from_ref(deed.act), class(deed.part))).collect();
    }
    // Steps that are taken as one are one question, however they go on.
    Vec::new()
}

impl<'a> Question<'a> {
    /// `is_one`: whether its steps are taken as one.
    fn new(lowered: &Lowered, way: Way<'a>, is_one: bool) -> Self {
        let kind = match way.deeds.as_slice() {
            [_] if is_one => Kind::Atomic,
            [one] => match (one.act, one.part) {
                (Act::Decide, _) => Kind::Look,
                (_, Part::Walk(..) | Part::Dirty(..) | Part::NotDirty(..)) => Kind::Hardware,
                (Act::Step(_) | Act::Assign(_) | Act::Hardware, _) => Kind::Step,
            },
            [] | [_, _, ..] => Kind::Atomic,
        };
        let alone = match kind {
            Kind::Atomic => true,
            Kind::Look | Kind::Hardware => false,
            Kind::Step => way.deeds.iter().any(|deed| is_several(lowered, *deed)),
        };
        Self { kind, ways: vec![way], alone }
    }

    /// What is looked at at several places is looked at alone.
    fn settle(&mut self) {
        if self.kind == Kind::Look {
            let mut read: Vec<_> =
                self.ways.iter().flat_map(|way| way.guard).flat_map(Guard::reads).flatten().collect();
            read.sort_unstable();
            read.dedup();
            self.alone = read.len() > 1;
        }
    }
}

/// Whether the machine does the step in several, where others could come between.
fn is_several(lowered: &Lowered, deed: Deed<'_>) -> bool {
    let step = match deed.act {
        Act::Step(step) => step,
        // A variable is read, and then another one, or the same, is written.
        Act::Assign(assigned) if assigned.to.of.is_some() => return true,
        Act::Assign(_) | Act::Decide | Act::Hardware => {
            return matches!(deed.part, Part::Perform(..) | Part::TimesOut(..));
        }
    };
    let has_table = |page: PageId| lowered.scene.pages[page.0].above.is_some();
    match **step {
        Step::Invalidate(_)
        | Step::SetPasid(..)
        | Step::SetPasidHalf(..)
        | Step::InvWait(..)
        | Step::Unplug(_)
        | Step::IpiSync
        | Step::SynchronizeRcu
        | Step::Count(..)
        | Step::Copy(..)
        | Step::TryGet { .. }
        | Step::GupFast { .. }
        | Step::Peek { .. }
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::Switch(..)
        | Step::Enter(_)
        | Step::Leave(_) => true,
        Step::Entry(EntryAt::Pte(page), _) => has_table(page),
        Step::ZapSpte(page) | Step::SetSpte(page, _) => lowered.scene.pages[page.0].shadow_table.is_some(),
        Step::Lock(..)
        | Step::Trylock(..)
        | Step::Unlock(_)
        | Step::Fence
        | Step::Entry(EntryAt::Pmd(_), _)
        | Step::ZapSpmd(_)
        | Step::SetSpmd(..)
        | Step::Forget(_)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::Walk(_)
        | Step::Load(_)
        | Step::Store(..)
        | Step::DmaRead(_)
        | Step::DmaWrite(..)
        | Step::Write(..)
        | Step::Read(_) => false,
    }
}

/// The variables that keep what statements return, in the order of the outcome's places.
pub(super) fn registers(lowered: &Lowered) -> Vec<Var> {
    let observed = lowered.observed.iter().flat_map(|observed| &observed.returning);
    observed.map(|(_, register)| *register).collect()
}

/// What the variable stands for.
pub(super) fn key_of(lowered: &Lowered, var: Var) -> &Key {
    &lowered.keys[usize::from(var.0)]
}
