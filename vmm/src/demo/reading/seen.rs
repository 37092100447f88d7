//! What the recorder kept, as sightings of a scenario's agents.
//!
//! Invariant: of the executions that found the page changed under them, which change nothing, none is a row; a row has the
//! words of the scenario, and the times of its event.

use std::time::Instant;

use mmu::address::Pfn;
use mmu::trace::{Action, Agent, Event, Run};
use ordering::lowering::Lowered;
use ordering::sighting::{MOST, Sighting, Stands};
use steps::one_page::{Condition, Protection};
use steps::program::Line;

use super::window::Window;
use crate::demo::options::Operation;
use crate::demo::recorder::Violation;
use crate::demo::scenario::{CHILD, COPY, FAULT, MM, accesses, name};

/// Whose sightings they are, and of what.
pub(super) struct Scene<'a> {
    pub(super) operation: Operation,
    pub(super) lowered: &'a Lowered,
    pub(super) victim: Agent,
    /// Whose walks matter.
    pub(super) walkers: Vec<Agent>,
    pub(super) violation: &'a Violation,
    pub(super) window: &'a Window<'a>,
}

/// When: in nanoseconds from the beginning of the window.
type When = (u64, u64);

impl Scene<'_> {
    /// All that was seen of the agents, the violation last.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let mut found = Vec::new();
        for (agent, run) in self.runs() {
            found.extend(self.of_run(agent, run));
        }
        found.extend(self.exit());
        let stored = self.store();
        // Whoever has read what was published reads the page after that was stored.
        let known_ns = stored.as_ref().map_or(0, |stored| match stored.stands {
            Stands::Always => stored.ended_ns,
            Stands::Perhaps => stored.began_ns,
        });
        found.extend(stored);
        let names = self.frames();
        let walks = self.window.events.iter().rev().filter_map(|event| self.walk(event, &names));
        found.extend(walks.take(MOST.saturating_sub(found.len() + 1)));
        found.push(self.end(known_ns));
        found
    }

    /// The executions that do something, each with the agent of the scenario that it is.
    fn runs(&self) -> Vec<(&'static str, Run)> {
        let mut found: Vec<(&'static str, Run)> = Vec::new();
        for event in &self.window.events {
            let Action::Line { run, line: Line::Check(Condition::PteSame, _), held: true } = event.action
            else {
                continue;
            };
            let agent = match (self.operation, run.program) {
                (Operation::Cow | Operation::Control, _) | (Operation::Ksm, "ksm_merge") => MM,
                (Operation::Ksm, "wp_page_copy") => FAULT,
                (Operation::Ksm, _) => continue,
            };
            if found.iter().all(|(known, of)| *known != agent && *of != run) {
                found.push((agent, run));
            }
        }
        found
    }

    /// The rows of an execution, with the look before it.
    fn of_run(&self, agent: &'static str, run: Run) -> Vec<Sighting> {
        let lines = self.window.events.iter().filter_map(|event| match event.action {
            Action::Line { run: of, line, held } if of == run => Some((event, row(&line, held)?)),
            _ => None,
        });
        let rows: Vec<Sighting> = lines
            .map(|(event, row)| {
                self.sighting(agent, under_its_names(agent, &row), Stands::Always, self.when(event))
            })
            .collect();
        let Some(first) = rows.first() else { return rows };
        let holds = if agent == MM && self.operation == Operation::Ksm { "; get new" } else { "" };
        let look = under_its_names(agent, &format!("pte_read A; check pte(A) == old; get old{holds}"));
        let look = self.sighting(agent, look, Stands::Perhaps, (0, first.ended_ns));
        std::iter::once(look).chain(rows).collect()
    }

    /// What the frames are called.
    fn frames(&self) -> Vec<(Pfn, &'static str)> {
        let mut found = Vec::new();
        for (agent, run) in self.runs() {
            let of_run = |event: &&&Event| matches!(event.action, Action::Line { run: of, .. } if of == run);
            let Some(last) = self.window.events.iter().rfind(of_run) else { continue };
            let [old, new] = if agent == FAULT { ["new", COPY] } else { ["old", "new"] };
            found.extend(last.frame.map(|frame| (frame, old)));
            found.extend(last.new_frame.map(|frame| (frame, new)));
        }
        found
    }

    fn walk(&self, event: &Event, names: &[(Pfn, &'static str)]) -> Option<Sighting> {
        let Action::Walk(permission) = event.action else { return None };
        let matters = self.walkers.contains(&event.agent);
        let (_, frame) = names.iter().find(|(frame, _)| matters && event.frame == Some(*frame))?;
        let permission = match permission {
            Protection::ReadOnly => "ro",
            Protection::ReadWrite => "rw",
        };
        let walk = self.sighting(&name(event.agent), "walk A".to_owned(), Stands::Perhaps, self.when(event));
        Some(Sighting { leads_to: Some(format!("{frame} {permission}")), ..walk })
    }

    fn exit(&self) -> Option<Sighting> {
        let exit = self.window.events.iter().find(|event| event.action == Action::Exit)?;
        Some(self.sighting(CHILD, "put old".to_owned(), Stands::Perhaps, self.since(exit)))
    }

    /// The store of what should have been read: seen, or announced by the turn.
    fn store(&self) -> Option<Sighting> {
        let turn = self.window.turn?;
        let Action::Turn(value) = turn.action else { return None };
        let [_, store] = accesses(turn.agent);
        let stored = self.violation.before.iter().rfind(|event| event.action == Action::Store(value));
        let when = stored.map_or_else(|| self.since(turn), |event| self.when(event));
        // Who uses a freed frame needs no store before.
        let is_needed = stored.is_some() && self.violation.event.action != Action::FreedUse;
        let stands = if is_needed { Stands::Always } else { Stands::Perhaps };
        Some(self.sighting(&name(turn.agent), format!("{store} = 1"), stands, when))
    }

    /// The violation itself: the first access that is known to be wrong.
    fn end(&self, known_ns: u64) -> Sighting {
        let [load, store] = accesses(self.victim);
        let freed =
            |frame: &str| [format!("{load} in freed {frame}"), format!("{store} = 1 in freed {frame}")];
        let rows = if self.violation.event.action == Action::FreedUse {
            ["old", "new", COPY].into_iter().flat_map(freed).collect()
        } else {
            vec![format!("{load} = 0")]
        };
        let when = (known_ns, self.ns(self.violation.event.ended).max(known_ns));
        let end = self.sighting(&name(self.victim), String::new(), Stands::Always, when);
        Sighting { rows, ..end }
    }

    fn sighting(&self, agent: &str, row: String, stands: Stands, (began_ns, ended_ns): When) -> Sighting {
        let agents = &self.lowered.model.agents;
        let agent = agents.iter().position(|one| one.name == agent);
        let agent = agent.expect("the scenario has whoever is seen");
        Sighting { agent, rows: vec![row], leads_to: None, began_ns, ended_ns, stands }
    }

    fn ns(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.window.began).as_nanos();
        u64::try_from(passed).expect("a run ends within centuries")
    }

    fn when(&self, event: &Event) -> When {
        (self.ns(event.began), self.ns(event.ended))
    }

    /// Of what is announced.
    fn since(&self, event: &Event) -> When {
        (self.ns(event.began), u64::MAX)
    }
}

/// The row of a line; none of a jump.
fn row(line: &Line, held: bool) -> Option<String> {
    match line {
        Line::Step(step) => Some(step.to_string()),
        Line::Check(condition, _) if held => Some(format!("check {condition}")),
        Line::Check(condition, _) => Some(format!("check {condition}: no")),
        Line::Goto(_) | Line::Label(_) => None,
    }
}

/// The frames that a fault finds and puts in place are other ones than the merge's.
fn under_its_names(agent: &str, row: &str) -> String {
    if agent != FAULT {
        return row.to_owned();
    }
    let words = row.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let renamed = words.map(|word| {
        let name = word.trim_end_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let end = &word[name.len()..];
        let name = match name {
            "old" => "new",
            "new" => COPY,
            other => other,
        };
        format!("{name}{end}")
    });
    renamed.collect()
}
