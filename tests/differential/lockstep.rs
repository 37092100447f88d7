//! Side by side: one act after the other on the model and on the machine, and a comparison after each.
//!
//! Invariant: an act that would break a rule is done on neither side, except an access to a freed frame, which both
//! sides must find out. What the machine does not do as the model does stands here, each with its reason, and in
//! docs/language.md, "The live machine".

use std::fmt;

use steps::one_page::{ALLOCATE, CHANGE_PTE, Condition, RANGE_END, RANGE_START, Step};

use super::act::{Access, Act, Answer, Deed, Row};
use super::machine::{Machine, Stage};
use super::model::{Modelled, PUT_HANDLE, Scenario, agent_of, gup_agent, gup_fast};
use super::operation::Operation;
use super::setting::{FRAMES, Frame, Kernel, PAGES, Page, Setting, User};

/// Both sides.
struct Lockstep<'s> {
    modelled: Modelled<'s>,
    machine: Machine<'s>,
    operations: [Option<Operation>; 2],
    /// Pages over which a range was open since none was open at all.
    blocked: [bool; 2],
}

/// How a program went.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Acts that were done on both sides, or answered alike.
    pub(super) compared: usize,
    /// The steps of the model.
    pub(super) rows: Vec<Row>,
    /// What differs, if anything does.
    pub(super) difference: Option<Difference>,
}

/// The two sides do not agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Difference {
    /// After which act.
    pub(super) act: Act,
    /// What differs.
    pub(super) what: String,
    pub(super) model: String,
    pub(super) machine: String,
}

/// Runs a program on both sides, to its end or to the first difference. The machine leaves out the step that is
/// `omitted`.
pub(super) fn run(setting: &Setting, scenario: &Scenario, program: &[Act], omitted: Option<Step>) -> Ran {
    let stage = Stage::new(setting);
    let mut lockstep = Lockstep {
        modelled: scenario.start(),
        machine: Machine::new(&stage, omitted),
        operations: [None, None],
        blocked: [false; 2],
    };
    let mut ran = Ran::default();
    for &act in program {
        let done = lockstep.act(act).and_then(|compared| lockstep.compare(act).map(|()| compared));
        match done {
            Ok(compared) => ran.compared += usize::from(compared),
            Err(difference) => {
                ran.difference = Some(difference);
                break;
            }
        }
    }
    ran.rows = lockstep.modelled.taken;
    ran
}

impl Lockstep<'_> {
    /// Does an act on both sides; false if it cannot be done at all.
    fn act(&mut self, act: Act) -> Result<bool, Difference> {
        match act {
            Act::User(user, page, access) => self.access(act, user, page, access),
            Act::Kernel(kernel, deed) => match (deed, self.operations[kernel.0]) {
                (Deed::Begin { page, old, new }, None) => Ok(self.begin(kernel, page, old, new)),
                (Deed::Step(step), Some(operation)) => self.step(act, operation, step),
                (Deed::Check(condition), Some(operation)) => self.check(act, &operation, condition),
                (Deed::End, Some(operation)) => Ok(self.end(&operation)),
                (Deed::GupFast(page), _) => self.gup_fast(act, kernel, page),
                (Deed::PutHandle, _) if self.machine.has_handle(kernel) => {
                    let answer = self.machine.put_handle(kernel);
                    self.on_both(act, &Row::new(&*gup_agent(kernel), PUT_HANDLE), &answer)
                }
                (Deed::Write(frame, value), _) => self.write(act, kernel, frame, value),
                _ => Ok(false),
            },
        }
    }

    /// Takes the step on the model and holds its answer against the machine's.
    fn on_both(&mut self, act: Act, row: &Row, machine: &Answer) -> Result<bool, Difference> {
        let model = self.modelled.take(row);
        if model == *machine {
            return Ok(true);
        }
        Err(Difference {
            act,
            what: format!("the answer to `{}`", row.text),
            model: format!("{model:?}"),
            machine: format!("{machine:?}"),
        })
    }

    fn begin(&mut self, kernel: Kernel, page: Page, old: Frame, new: Option<Frame>) -> bool {
        let gets: Vec<_> =
            std::iter::once(old).chain(new).map(|frame| Row::new(kernel, format!("get {frame}"))).collect();
        if gets.iter().any(|row| self.modelled.foresee(row) != Answer::Done) {
            return false;
        }
        self.machine.begin(kernel, page, old, new);
        self.operations[kernel.0] = Some(Operation::new(kernel, page, old, new));
        self.modelled.take(&Row::new(kernel, format!("pte_read {page}")));
        gets.iter().for_each(|row| drop(self.modelled.take(row)));
        true
    }

    fn end(&mut self, operation: &Operation) -> bool {
        for row in operation.ending() {
            self.modelled.take(&row);
        }
        self.machine.end(operation.kernel);
        self.operations[operation.kernel.0] = None;
        self.forget_ranges();
        true
    }

    fn step(&mut self, act: Act, operation: Operation, step: Step) -> Result<bool, Difference> {
        if !operation.may(step) || self.rewrites_the_shadow(&operation, step) {
            return Ok(false);
        }
        if step == ALLOCATE {
            return self.allocate(act, operation);
        }
        let row = operation.row(step);
        if matches!(self.modelled.foresee(&row), Answer::Freed | Answer::Breaks(_)) {
            return Ok(false);
        }
        let answer = self.machine.step(&operation, step);
        if answer == Answer::Done {
            self.note(operation, step);
        }
        self.on_both(act, &row, &answer)
    }

    fn note(&mut self, mut operation: Operation, step: Step) {
        operation.took(step);
        self.operations[operation.kernel.0] = Some(operation);
        match step {
            RANGE_START => self.blocked[operation.page.0] = true,
            RANGE_END => self.forget_ranges(),
            _ => {}
        }
    }

    fn forget_ranges(&mut self) {
        if !self.operations.iter().flatten().any(|operation| operation.range_open) {
            self.blocked = [false; 2];
        }
    }

    /// `change_pte` of a read-only entry: the model's shadow takes it over, as KVM's did; the machine's drops what it
    /// has, for its stub writes entries only in answer to a fault.
    fn rewrites_the_shadow(&self, operation: &Operation, step: Step) -> bool {
        let Operation { kernel, page, .. } = operation;
        step == CHANGE_PTE
            && self.modelled.value(&format!("spte[{page}]")) != "none"
            && self.modelled.value(&format!("{kernel}.orig[{page}]")).ends_with(" ro")
    }

    /// Which frame it is, is the machine's choice; it comes with zeroes, which the model's kernel writes.
    fn allocate(&mut self, act: Act, mut operation: Operation) -> Result<bool, Difference> {
        let kernel = operation.kernel;
        let row = |frame: Frame| Row::new(kernel, format!("alloc {frame}"));
        if self.machine.step(&operation, ALLOCATE) == Answer::Waits {
            let first = FRAMES.into_iter().map(row).find(|row| self.modelled.foresee(row) != Answer::Waits);
            return first.map_or(Ok(true), |row| self.on_both(act, &row, &Answer::Waits));
        }
        let new = self.machine.allocated(kernel);
        operation.allocated(new);
        self.operations[kernel.0] = Some(operation);
        self.on_both(act, &row(new), &Answer::Done)?;
        self.on_both(act, &Row::new(kernel, format!("write {new} = 0")), &Answer::Done)
    }

    fn check(&mut self, act: Act, operation: &Operation, condition: Condition) -> Result<bool, Difference> {
        if !operation.may_check(condition) || self.reads_a_freed_frame(operation, condition) {
            return Ok(false);
        }
        let answer = self.machine.check(operation.kernel, condition);
        self.on_both(act, &operation.check_row(condition), &answer)
    }

    /// The machine poisons a frame when it is freed; the model leaves its content, and asks nobody not to compare it.
    fn reads_a_freed_frame(&self, operation: &Operation, condition: Condition) -> bool {
        let free = |frame| self.modelled.value(&format!("refs[{frame}]")) == "0";
        condition == Condition::SameContent
            && [Some(operation.old), operation.new].into_iter().flatten().any(free)
    }

    fn gup_fast(&mut self, act: Act, kernel: Kernel, page: Page) -> Result<bool, Difference> {
        if self.machine.has_handle(kernel) || self.machine.maps_a_freed_frame(page) {
            return Ok(false);
        }
        let answer = self.machine.gup_fast(kernel, page);
        self.on_both(act, &Row::new(&*gup_agent(kernel), gup_fast(page)), &answer)
    }

    fn write(&mut self, act: Act, kernel: Kernel, frame: Frame, value: u64) -> Result<bool, Difference> {
        let row = Row::new(kernel, format!("write {frame} = {value}"));
        if self.modelled.foresee(&row) != Answer::Done {
            return Ok(false);
        }
        let answer = self.machine.write(frame, value);
        self.on_both(act, &row, &answer)
    }

    fn access(&mut self, act: Act, user: User, page: Page, access: Access) -> Result<bool, Difference> {
        let row = Row::new(&*agent_of(user, page, access), access.text(user, page));
        if user == User::Vcpu && self.machine.maps_a_freed_frame(page) {
            return Ok(false);
        }
        let answer = self.machine.access(user, page, access);
        if user == User::Vcpu && self.waits_for_another_range(&row, page) && answer == Answer::Waits {
            return Ok(true);
        }
        self.on_both(act, &row, &answer)
    }

    /// Ranges that overlap in time are one on the machine, as in KVM, until the last of them ends: the vCPU's fault waits
    /// for longer than the model's.
    fn waits_for_another_range(&self, row: &Row, page: Page) -> bool {
        let over = |operation: &&Operation| operation.range_open && operation.page == page;
        let own = self.operations.iter().flatten().any(|operation| over(&operation));
        self.blocked[page.0] && !own && self.modelled.would_walk(row)
    }

    fn compare(&self, act: Act) -> Result<(), Difference> {
        let ranges = |page: Page| self.modelled.value(&format!("in_progress[{page}]")).parse::<u64>();
        let open: u64 = PAGES.into_iter().map(|page| ranges(page).expect("a count")).sum();
        let looks = self.machine.look(&self.operations);
        let counted =
            std::iter::once(("in_progress".to_owned(), open.to_string(), self.machine.ranges().to_string()));
        let looked = looks.into_iter().map(|(name, machine)| {
            let model = self.modelled.value(&name).to_owned();
            (name, model, machine)
        });
        let differs = |(_, model, machine): &(String, String, String)| model != machine;
        match counted.chain(looked).find(differs) {
            Some((what, model, machine)) => Err(Difference { act, what, model, machine }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { act, what, model, machine } = self;
        write!(f, "after {act:?}, {what} is {model} in the model and {machine} on the machine")
    }
}
