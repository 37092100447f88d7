//! Each order of the demonstration as a scenario: what `check` explores, `race` makes happen, and a trace is a run of.
//!
//! Invariant: the operation is the very program that the live machine executes, by its name; around it stand the users,
//! who load and store as they like, and what the operator does.

use std::fmt::Write;

use mmu::trace::Agent;
use steps::operation::Verdict;

use super::options::{Operation, Trial};

/// The CPU by which the operator looks at a page.
pub const OPERATOR: Agent = Agent::Cpu(0);

/// One user of each kind.
pub const USERS: [Agent; 3] = [Agent::Cpu(1), Agent::Vcpu(0), Agent::Device(0)];

/// The agent that executes the operation.
pub const MM: &str = "mm";
/// The agent that breaks COW on a page that was merged.
pub const FAULT: &str = "fault";
/// The agent that gives up the other mapping of a shared page.
pub const CHILD: &str = "child";

/// The frames of a merge and what breaks it: the two of the operation, and the copy.
pub const COPY: &str = "copy";

/// The scenario of an order, without what is expected of it.
#[derive(Clone, Debug)]
pub struct OrderScenario<'a> {
    trial: &'a Trial,
    users: Vec<Agent>,
    reader: Option<Agent>,
    freed_frames: FreedFrames,
}

/// Whether the use of a freed frame is a violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FreedFrames {
    Forbidden,
    Allowed,
}

impl<'a> OrderScenario<'a> {
    /// Of an order with one user of each kind, none of whom may be stale.
    #[must_use]
    pub fn new(trial: &'a Trial) -> Self {
        Self::of(trial, &USERS)
    }

    /// Of an order with these users, none of whom may be stale.
    #[must_use]
    pub fn of(trial: &'a Trial, users: &[Agent]) -> Self {
        Self { trial, users: users.to_vec(), reader: None, freed_frames: FreedFrames::Forbidden }
    }

    /// The same with these users beside those who are there.
    #[must_use]
    pub fn with(mut self, users: impl IntoIterator<Item = Agent>) -> Self {
        self.users.extend(users);
        self.users.sort_by_key(|user| name(*user));
        self.users.dedup();
        self
    }

    /// The same, and only this user may not be stale.
    #[must_use]
    pub fn for_reader(mut self, reader: Agent) -> Self {
        self.reader = Some(reader);
        self.with([reader])
    }

    /// The same, and whoever uses a freed frame harms nobody: what is stale is asked alone.
    #[must_use]
    pub fn where_freed_frames_are_used(mut self) -> Self {
        self.freed_frames = FreedFrames::Allowed;
        self
    }

    /// Its name: that of the operation and that of the order.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.trial.operation.name(), self.trial.order.name)
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> &[Agent] {
        &self.users
    }

    /// Its text, with the verdict that the order is held to have.
    #[must_use]
    pub fn text(&self) -> String {
        let expect = match self.trial.order.expected {
            Verdict::Coherent => "proved",
            Verdict::Violated => "violation",
        };
        format!("{}expect  {expect}\n", self.body())
    }

    /// Its text, with this property as the one that breaks.
    #[must_use]
    pub fn violating(&self, property: &str) -> String {
        format!("{}expect  violation of {property}\n", self.body())
    }

    /// All but what is expected.
    fn body(&self) -> String {
        let order = &self.trial.order;
        let mut text = format!("scenario {}\nabout   \"{}\"\n", self.name(), order.story);
        let frames = match self.trial.operation {
            // The child's entry holds the other reference.
            Operation::Cow | Operation::Control => {
                "frame   old = 0, new = 9 free\nmap     A -> old ro\nrefs    old = 2\n"
            }
            Operation::Ksm => "frame   old = 0, new = 0, copy = 9 free\nmap     A -> old rw\n",
        };
        text.push_str(&format!("page    A\n{frames}"));
        for (kind, of) in [("cpu", Kind::Cpu), ("vcpu", Kind::Vcpu), ("device", Kind::Device)] {
            let names = self.users.iter().filter(|user| Kind::of(**user) == of).map(|user| name(*user));
            let ats = if of == Kind::Device { " ats" } else { "" };
            let names: Vec<String> = names.map(|name| format!("{name}{ats}")).collect();
            if !names.is_empty() {
                line(&mut text, format_args!("{kind:7} {}", names.join(", ")));
            }
        }
        if self.freed_frames == FreedFrames::Allowed {
            text.push_str("option  use_after_free = off\n");
        }
        text.push('\n');
        text.push_str(&self.programs());
        let reader = self.reader.map(|reader| format!("{} ", name(reader))).unwrap_or_default();
        line(&mut text, format_args!("never   {reader}reads A == 0 after writes A"));
        text
    }

    fn programs(&self) -> String {
        let order = match self.trial.operation {
            Operation::Cow | Operation::Ksm => format!("\"{}\" ", self.trial.order.name),
            // Its order is the right one, by another name.
            Operation::Control => String::new(),
        };
        let mut text = match self.trial.operation {
            Operation::Cow | Operation::Control => {
                format!("agent {MM}\n  wp_page_copy {order}A old -> new\nagent {CHILD}\n  put old\n")
            }
            Operation::Ksm => format!(
                "agent {MM}\n  ksm_merge {order}A old -> new\nagent {FAULT}\n  wp_page_copy A new -> {COPY}\n"
            ),
        };
        for user in &self.users {
            // Devices may always stop.
            let spontaneous = if Kind::of(*user) == Kind::Device { "" } else { " spontaneous" };
            let [load, store] = accesses(*user);
            line(&mut text, format_args!("agent {}{spontaneous}", name(*user)));
            line(&mut text, format_args!("  repeat 0..2: {load} | {store} = 1"));
        }
        text.push('\n');
        text
    }
}

/// The rows by which a user loads and stores, without the value.
#[must_use]
pub fn accesses(user: Agent) -> [&'static str; 2] {
    match Kind::of(user) {
        Kind::Cpu | Kind::Vcpu => ["load A", "store A"],
        Kind::Device => ["dma_read A", "dma_write A"],
    }
}

/// A user's name in a scenario.
#[must_use]
pub fn name(user: Agent) -> String {
    match user {
        Agent::Mm => MM.to_owned(),
        Agent::Cpu(number) => format!("CPU{number}"),
        Agent::Vcpu(number) => format!("VCPU{number}"),
        Agent::Device(number) => format!("DEV{number}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cpu,
    Vcpu,
    Device,
}

impl Kind {
    fn of(user: Agent) -> Self {
        match user {
            Agent::Mm | Agent::Cpu(_) => Self::Cpu,
            Agent::Vcpu(_) => Self::Vcpu,
            Agent::Device(_) => Self::Device,
        }
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{line}");
    written.expect("a text takes whatever is written");
}
