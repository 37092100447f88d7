//! The model's side: one scenario in which everybody may do anything at any time, and a state of it.
//!
//! Invariant: a step is found by its text alone, and what may happen then is certain: of several ways that are open, all
//! lead to the same state. Each access of a user is an agent of its own on the user's CPU, so that the walk before a
//! store is not taken for another.

use std::collections::HashMap;
use std::fmt::Write as _;

use ordering::engine::replay::State;
use ordering::lowering;
use ordering::model::{Alternative, Model};
use steps::one_page::Protection;

use super::act::{Access, Answer, Row};
use super::setting::{FRAMES, Frame, KERNELS, Kernel, PAGES, Page, Setting, USERS, User, VALUES};

/// The scenario of a setting.
pub(super) struct Scenario {
    model: Model,
    variables: HashMap<String, usize>,
    agents: HashMap<String, usize>,
}

/// A state of it, and how it came about.
pub(super) struct Modelled<'s> {
    scenario: &'s Scenario,
    state: State,
    /// Every step taken, as a trace shows it.
    pub(super) taken: Vec<Row>,
}

impl Scenario {
    pub(super) fn new(setting: &Setting) -> Self {
        let source = format!("{}{}", declarations(setting), programs());
        let mut loaded = match lowering::load(&source) {
            Ok(loaded) => loaded,
            Err(found) => panic!("{}", ordering::language::render_all(&found, "everything", &source)),
        };
        let model = loaded.remove(0).1.model;
        let variables = model.variables.iter().map(|variable| variable.name.clone()).zip(0..).collect();
        let agents = model.agents.iter().map(|agent| agent.name.clone()).zip(0..).collect();
        Self { model, variables, agents }
    }

    pub(super) fn start(&self) -> Modelled<'_> {
        Modelled { scenario: self, state: State::initial(&self.model), taken: Vec::new() }
    }
}

impl<'s> Modelled<'s> {
    /// What taking the step would come to.
    pub(super) fn foresee(&self, row: &Row) -> Answer {
        let mut tried = Modelled { scenario: self.scenario, state: self.state.clone(), taken: Vec::new() };
        tried.take(row)
    }

    /// Whether the agent would have to walk first.
    pub(super) fn would_walk(&self, row: &Row) -> bool {
        let agent = self.agent(&row.agent);
        self.way(agent, is_walk).is_some_and(|way| !way.updates.is_empty())
    }

    /// Takes the step, with the walks that go before it.
    pub(super) fn take(&mut self, row: &Row) -> Answer {
        let agent = self.agent(&row.agent);
        let home = self.state.at[agent];
        loop {
            let inside = self.state.at[agent] != home;
            let Some(way) = self.way(agent, |text| inside || is_walk(text) || says(text, &row.text)) else {
                return Answer::Waits;
            };
            let said = says(&way.text, &row.text) || inside;
            self.state = self.state.after(agent, way);
            self.taken.push(Row::new(&row.agent, way.text.as_str()));
            if let Some(property) = way.violates {
                return self.broken(usize::from(property.0));
            }
            if said && self.state.at[agent] == home {
                return answer(&way.text, &row.text);
            }
        }
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> &'s str {
        let Some(&index) = self.scenario.variables.get(name) else {
            panic!("the model has no variable {name}")
        };
        let variable = &self.scenario.model.variables[index];
        &variable.values[self.state.values[index] as usize]
    }

    fn agent(&self, name: &str) -> usize {
        let Some(&index) = self.scenario.agents.get(name) else { panic!("the model has no agent {name}") };
        index
    }

    /// The way that is open to the agent among those whose text is asked for.
    fn way(&self, agent: usize, asked: impl Fn(&str) -> bool) -> Option<&'s Alternative> {
        let mut open = self
            .state
            .steps_of(agent, &self.scenario.model)
            .map(|(_, way)| way)
            .filter(|way| asked(&way.text));
        let first = open.next()?;
        let leads = |way: &Alternative| (self.state.after(agent, way), way.violates);
        for other in open {
            assert_eq!(leads(first), leads(other), "`{}` and `{}` are both open", first.text, other.text);
        }
        Some(first)
    }

    fn broken(&self, property: usize) -> Answer {
        let text = &self.scenario.model.properties[property].text;
        if text.contains("freed") { Answer::Freed } else { Answer::Breaks(text.clone()) }
    }
}

fn is_walk(text: &str) -> bool {
    text.starts_with("walk ")
}

/// Whether a way says this step, with what it met behind it.
fn says(way: &str, step: &str) -> bool {
    let rest = way.strip_prefix(step);
    rest.is_some_and(|rest| {
        rest.is_empty() || [" = ", ": ", " in "].iter().any(|mark| rest.starts_with(mark))
    })
}

fn answer(way: &str, step: &str) -> Answer {
    let met = way.strip_prefix(step).unwrap_or_default();
    match met.strip_prefix(" = ").map(str::parse) {
        Some(Ok(value)) => Answer::Value(value),
        _ if step.starts_with("check ") => Answer::Holds(met.is_empty()),
        _ => Answer::Done,
    }
}

/// What there is, in the scenario language.
pub(super) fn declarations(setting: &Setting) -> String {
    let mut text =
        "scenario differential\npage A, B\ncpu T0, T1\nvcpu V0\ndevice D0\noption deadlock = off\noption evict = off\n"
            .to_owned();
    for frame in FRAMES {
        let free = if frame == super::setting::FREE_AT_FIRST { " free" } else { "" };
        writeln!(text, "frame {frame} = {}{free}", frame.0).expect("a string takes it");
    }
    for (page, mapped) in PAGES.iter().zip(&setting.entries) {
        if let Some(mapped) = mapped {
            writeln!(text, "map {page} -> {} {}", mapped.frame, mapped.permission)
                .expect("a string takes it");
        }
    }
    text
}

/// The agent that makes this access.
pub(super) fn agent_of(user: User, page: Page, access: Access) -> String {
    format!("{user}_{}_{page}", access.name())
}

/// The agent that takes pages without a lock for a thread of the kernel: what it remembers of entries is its own.
pub(super) fn gup_agent(kernel: Kernel) -> String {
    format!("{kernel}_gup")
}

pub(super) fn gup_fast(page: Page) -> String {
    format!("gup_fast {page} => h")
}

pub(super) const PUT_HANDLE: &str = "put h";

fn programs() -> String {
    let mut text = String::new();
    for kernel in KERNELS {
        text += &forever(&kernel.to_string(), &kernel_steps());
        let mut gets: Vec<_> = PAGES.into_iter().map(gup_fast).collect();
        gets.push(PUT_HANDLE.to_owned());
        text += &forever(&gup_agent(kernel), &gets);
    }
    let accesses = || [Access::Walk, Access::Load].into_iter().chain((0..VALUES).map(Access::Store));
    for user in USERS {
        for (page, access) in PAGES.into_iter().flat_map(|page| accesses().map(move |access| (page, access)))
        {
            text +=
                &forever(&format!("{} on {user}", agent_of(user, page, access)), &[access.text(user, page)]);
        }
    }
    text
}

fn forever(head: &str, steps: &[String]) -> String {
    format!("agent {head}\n  again:\n  {}\n  goto again\n", steps.join(" | "))
}

fn kernel_steps() -> Vec<String> {
    let mut steps = Vec::new();
    for page in PAGES {
        let verbs = [
            "lock ptl(A)",
            "unlock ptl(A)",
            "pte_read A",
            "pte_clear A",
            "set_pte A -> orig",
            "flush_tlb A",
            "notify A",
            "notify_start A",
            "notify_end A",
            "change_pte A",
            "check pte_same A else again",
        ];
        steps.extend(verbs.iter().map(|verb| at_page(verb, page)));
        for frame in FRAMES {
            for permission in [Protection::ReadOnly, Protection::ReadWrite] {
                steps.push(format!("set_pte {page} -> {frame} {permission}"));
            }
        }
    }
    for frame in FRAMES {
        steps.extend(frame_steps(frame));
    }
    steps
}

/// The step with this page in the place of `A`.
fn at_page(verb: &str, page: Page) -> String {
    verb.replace('A', &page.to_string())
}

fn frame_steps(frame: Frame) -> Vec<String> {
    let verbs = ["alloc", "get", "put", "map", "unmap", "mark_stable"];
    let mut steps: Vec<_> = verbs.iter().map(|verb| format!("{verb} {frame}")).collect();
    steps.push(format!("lock page({frame})"));
    steps.push(format!("unlock page({frame})"));
    steps.push(format!("check refs({frame}) == mapcount({frame}) + 1 else again"));
    steps.extend((0..VALUES).map(|value| format!("write {frame} = {value}")));
    for other in FRAMES.into_iter().filter(|other| *other != frame) {
        steps.push(format!("copy {frame} -> {other}"));
        steps.push(format!("check content({frame}) == content({other}) else again"));
    }
    steps
}
