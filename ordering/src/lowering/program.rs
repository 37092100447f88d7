//! A program under construction: nodes with ways to go on, which become instructions.
//!
//! Invariant: jumps, choices and the ends of repeats are no steps of their own. They are taken together with the step
//! that follows, so a choice is made by who can take the first step of one of its branches.

use std::collections::HashMap;

use crate::language::span::Name;
use crate::language::{Code, Diagnostic, did_you_mean};
use crate::model::{Alternative, Guard, Instruction, MarkId, Pc, PropertyId, Update};

use super::deed::{ActId, Part, Rows};
use super::event::Happening;

/// Nodes of one program at most.
pub(super) const MOST_NODES: usize = 20_000;
/// Ways of all its nodes together at most.
pub(super) const MOST_WAYS: usize = 100_000;
/// Cases of one step that each of several agents or CPUs multiplies, at most.
pub(super) const MOST_CASES: usize = 1024;

/// Where a way leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// To the node behind this one.
    Next,
    /// To this one again.
    Stay,
    /// To where the label is bound.
    Label(usize),
    /// To the end of the program.
    End,
}

/// One way to take a step.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) guard: Vec<Guard>,
    pub(super) updates: Vec<Update>,
    pub(super) goal: Goal,
    pub(super) violates: Option<PropertyId>,
    pub(super) text: String,
    /// What an event of a property may name.
    pub(super) happens: Vec<Happening>,
    /// What has happened once it is taken.
    pub(super) marks: Vec<MarkId>,
    /// Which part of the step it is that is being lowered.
    pub(super) part: Part,
    /// What it does, one after the other, once that is known.
    pub(super) deeds: Vec<(ActId, Part)>,
}

/// A place of the program.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A step, from this line of the source.
    Step(Vec<Way>, u32),
    /// No step: goes on at each of these.
    Silent(Vec<Goal>),
}

/// The nodes of an agent.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) nodes: Vec<Place>,
    /// Where each label is bound.
    pub(super) labels: Vec<Option<usize>>,
    /// Names of labels, by block.
    scopes: Vec<HashMap<String, usize>>,
}

impl Way {
    /// A way on to the next node.
    pub(super) fn new(guard: Vec<Guard>, updates: Vec<Update>, text: impl Into<String>) -> Self {
        Self {
            guard,
            updates,
            goal: Goal::Next,
            violates: None,
            text: text.into(),
            happens: Vec::new(),
            marks: Vec::new(),
            part: Part::Whole,
            deeds: Vec::new(),
        }
    }

    pub(super) fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    pub(super) fn to(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    pub(super) fn violating(mut self, property: Option<PropertyId>) -> Self {
        self.violates = property;
        self
    }

    pub(super) fn happening(mut self, happens: Happening) -> Self {
        self.happens.push(happens);
        self
    }
}

impl Builder {
    /// A label that is not bound yet.
    pub(super) fn label(&mut self) -> usize {
        self.labels.push(None);
        self.labels.len() - 1
    }

    /// Binds the label to the node that comes next.
    pub(super) fn bind(&mut self, label: usize) {
        self.labels[label] = Some(self.nodes.len());
    }

    pub(super) fn open_block<'n>(&mut self, names: impl Iterator<Item = &'n Name>) {
        let scope = names.map(|name| (name.node.clone(), self.label())).collect();
        self.scopes.push(scope);
    }

    pub(super) fn close_block(&mut self) {
        self.scopes.pop();
    }

    /// The label with that name, of the innermost block that has one.
    pub(super) fn named(&self, name: &Name) -> Result<usize, Diagnostic> {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(&name.node));
        found.copied().ok_or_else(|| {
            let known: Vec<_> = self.scopes.iter().flat_map(HashMap::keys).map(String::as_str).collect();
            let help =
                did_you_mean(&name.node, &known, &format!("put `{}:` on a line of its own", name.node));
            Diagnostic::new(Code::UnknownLabel, name.span, format!("there is no label `{}`", name.node), help)
        })
    }

    /// The instructions, and what their alternatives do.
    pub(super) fn finish(&self, spontaneous: bool) -> (Vec<Instruction>, Rows) {
        let mut numbering = Numbering {
            builder: self,
            pcs: HashMap::new(),
            places: HashMap::new(),
            order: Vec::new(),
            spontaneous,
        };
        let start = numbering.place(0);
        let (mut found, mut deeds): (Vec<Instruction>, Vec<_>) = (Vec::new(), Vec::new());
        if start.is_none() {
            return (found, deeds);
        }
        let mut at = 0;
        while at < numbering.order.len() {
            let set = numbering.order[at].clone();
            found.push(numbering.instruction(&set));
            deeds.push(self.deeds(&set.0));
            at += 1;
        }
        let end = pc(found.len());
        for alternative in found.iter_mut().flat_map(|instruction| &mut instruction.alternatives) {
            if alternative.next == END {
                alternative.next = end;
            }
        }
        (found, deeds)
    }

    /// What the alternatives at these nodes do.
    fn deeds(&self, nodes: &[usize]) -> Vec<Vec<(ActId, Part)>> {
        let ways = |node: &usize| match self.nodes.get(*node) {
            Some(Place::Step(ways, _)) => ways.as_slice(),
            Some(Place::Silent(_)) | None => &[],
        };
        nodes.iter().flat_map(ways).map(|way| way.deeds.clone()).collect()
    }

    /// The steps that may come next at `node`, and whether the program may end there.
    fn resolve(&self, node: usize, steps: &mut Vec<usize>, ends: &mut bool, seen: &mut Vec<usize>) {
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            if seen.contains(&at) {
                continue;
            }
            seen.push(at);
            match self.nodes.get(at) {
                None => *ends = true,
                Some(Place::Step(..)) => steps.push(at),
                Some(Place::Silent(goals)) => {
                    open.extend(goals.iter().rev().map(|goal| self.target(at, *goal)));
                }
            }
        }
    }

    /// The node that `goal` of the node `at` leads to; one past the last is the end.
    pub(super) fn target(&self, at: usize, goal: Goal) -> usize {
        match goal {
            Goal::Next => at + 1,
            Goal::Stay => at,
            // A label that is not bound yet comes behind everything there is.
            Goal::Label(label) => self.labels[label].map_or(self.nodes.len(), |node| node),
            Goal::End => self.nodes.len(),
        }
    }
}

/// Stands for the end until its number is known.
const END: Pc = Pc(u16::MAX);

fn pc(index: usize) -> Pc {
    // A program that is longer is refused before it is explored.
    u16::try_from(index).map_or(END, Pc)
}

/// Instructions are numbered as they are reached; an instruction is a set of steps to choose from.
struct Numbering<'a> {
    builder: &'a Builder,
    pcs: HashMap<(Vec<usize>, bool), Pc>,
    /// What each node was found to begin; a loop over many steps comes back to one node from all of them.
    places: HashMap<usize, Option<Pc>>,
    order: Vec<(Vec<usize>, bool)>,
    spontaneous: bool,
}

impl Numbering<'_> {
    /// The instruction at `node`; none: the program ends.
    fn place(&mut self, node: usize) -> Option<Pc> {
        if let Some(known) = self.places.get(&node) {
            return *known;
        }
        let found = self.find_place(node);
        self.places.insert(node, found);
        found
    }

    fn find_place(&mut self, node: usize) -> Option<Pc> {
        let (mut steps, mut ends) = (Vec::new(), false);
        self.builder.resolve(node, &mut steps, &mut ends, &mut Vec::new());
        if steps.is_empty() && ends {
            return None;
        }
        steps.sort_unstable();
        // Hardware may stop anywhere.
        let set = (steps, ends && !self.spontaneous);
        if let Some(known) = self.pcs.get(&set) {
            return Some(*known);
        }
        let new = pc(self.order.len());
        self.pcs.insert(set.clone(), new);
        self.order.push(set);
        Some(new)
    }

    fn instruction(&mut self, (steps, may_end): &(Vec<usize>, bool)) -> Instruction {
        let mut alternatives = Vec::new();
        for step in steps {
            let builder = self.builder;
            let Some(Place::Step(ways, line)) = builder.nodes.get(*step) else { continue };
            for way in ways {
                let next = self.place(builder.target(*step, way.goal)).map_or(END, |place| place);
                alternatives.push(Alternative {
                    guard: way.guard.clone(),
                    updates: way.updates.clone(),
                    next,
                    violates: way.violates,
                    text: way.text.clone(),
                    line: *line,
                    marks: way.marks.clone(),
                });
            }
        }
        Instruction { alternatives, may_end: *may_end }
    }
}
