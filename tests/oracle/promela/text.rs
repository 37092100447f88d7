//! The commands as text of Promela.
//!
//! Invariant: every check is a branch that takes one transition and then fails an assertion.

use std::fmt::Write as _;

use super::command::Command;
use super::{Mistake, Promela};
use crate::oracle::entry::{Target, Things};
use crate::oracle::setting::{Property, Scenario};

/// Who looks for a property: no agent, who sees memory.
const PROPERTY: usize = usize::MAX;

/// The scenario in Promela.
pub(in crate::oracle) fn translate(scenario: &Scenario, mistake: Mistake) -> String {
    let mut promela = Promela::new(scenario, mistake);
    promela.agents();
    promela.answers();
    promela.queue();
    promela.buffers();
    promela.speculation();
    let mut text = promela.variables();
    text += &promela.process();
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes it");
}

impl Promela<'_> {
    fn variables(&self) -> String {
        let scenario = self.scenario;
        let (agents, pages, pmds) = (scenario.agents.len(), scenario.pages.len(), scenario.pmds.len());
        let (cpus, devices, vcpus) = (scenario.cpus, scenario.devices.len(), scenario.vcpus);
        let mut text = String::from("bit bad;\nshort tmp;\n");
        for agent in 0..agents {
            line(&mut text, &format!("byte pc{agent} = {};", self.flows[agent].start));
        }
        let arrays = [
            ("short", "pte", pages),
            ("short", "spte", pages),
            ("short", "orig", agents * pages),
            ("short", "tlb", cpus * pages),
            ("short", "tt", cpus * scenario.tags * pages),
            ("byte", "tw", cpus * scenario.tags * pages),
            ("byte", "mm", cpus),
            ("byte", "tg", cpus),
            ("short", "iotlb", devices * pages),
            ("short", "devtlb", devices * pages),
            ("short", "vtlb", vcpus * pages),
            ("short", "pmd", pmds),
            ("short", "origm", agents * pmds),
            ("short", "pwc", cpus * pmds),
            ("short", "pwd", devices * pmds),
            ("short", "wk", (cpus + devices + vcpus) * pages),
            ("short", "ak", devices * pages),
            ("byte", "refs", 16),
            ("byte", "mapc", 16),
            ("byte", "pins", 16),
            ("byte", "content", 16),
            ("byte", "stable", 16),
            ("byte", "lkx", 8),
            ("byte", "lks", 8),
            ("byte", "inprog", pages),
            ("byte", "req", pages),
            ("short", "x", scenario.vars.len()),
            ("byte", "h", 4),
            ("byte", "hp", 4),
            ("byte", "ioff", agents),
            ("byte", "rcu", agents),
            ("short", "ipi", agents),
            ("byte", "ipiw", agents),
            ("short", "gp", agents),
            ("byte", "spl", agents),
            ("byte", "q", self.posts.len().max(6)),
            ("byte", "qo", agents),
            ("byte", "pasidc", devices),
            ("byte", "bk", agents * 4),
            ("short", "bv", agents * 4),
            ("byte", "bn", agents),
        ];
        for (kind, name, length) in arrays {
            line(&mut text, &format!("{kind} {name}[{}];", length.max(1)));
        }
        line(&mut text, "byte qn;\nbyte pasid;");
        for (number, _) in scenario.properties.iter().enumerate() {
            line(&mut text, &format!("bit arm{number}; bit on{number}; bit off{number};"));
        }
        text
    }

    /// What is there at the start.
    fn start(&self) -> Vec<String> {
        let scenario = self.scenario;
        let things = self.things();
        let mut lines = Vec::new();
        let mut refs = [0_u8; 16];
        for (number, page) in scenario.pages.iter().enumerate() {
            let Some(entry) = &page.map else { continue };
            let value = things.expression(entry, "0", &|_| "0".to_owned());
            lines.push(format!("{} = {value}", self.pte(number)));
            if let Some(target) = things.number(entry.target).filter(|_| !entry.migration) {
                refs[usize::from(target)] += 1;
            }
        }
        for page in 0..scenario.pages.len() {
            let agents = 0..scenario.agents.len();
            lines.extend(agents.map(|agent| format!("{} = {}", self.orig(agent, page), self.pte(page))));
        }
        for (number, entry) in scenario.pmds.iter().enumerate() {
            let value = things.expression(entry, "0", &|_| "0".to_owned());
            lines.push(format!("pmd[{number}] = {value}"));
            lines.extend(
                (0..scenario.agents.len())
                    .map(|agent| format!("{} = pmd[{number}]", self.orig_pmd(agent, number))),
            );
            // Behind `migration` nothing is mapped.
            if let Some(target) = things.number(entry.target) {
                refs[usize::from(target)] += 1;
            }
        }
        for (number, frame) in scenario.frames.iter().enumerate() {
            let index = usize::from(Things::frame(number));
            let mapped = refs[index];
            let held = if frame.free { 0 } else { frame.refs.map_or(mapped.max(1), |refs| refs) };
            lines.push(format!("refs[{index}] = {held}; mapc[{index}] = {mapped}"));
            lines.push(format!("content[{index}] = {}", frame.content));
        }
        for (number, free) in scenario.slots.iter().enumerate() {
            let index = things.number(Target::Slot(number)).expect("a slot has a number");
            let held = if *free { 0 } else { refs[usize::from(index)].max(1) };
            lines.push(format!("refs[{index}] = {held}"));
        }
        for (number, free) in scenario.tables.iter().enumerate() {
            let index = things.number(Target::Table(number)).expect("a table has a number");
            let held = if *free { 0 } else { refs[usize::from(index)].max(1) };
            lines.push(format!("refs[{index}] = {held}"));
        }
        if let Some(Some(mm)) = scenario.pasid {
            lines.push(format!("pasid = {}", mm.0 + 1));
        }
        for (number, var) in scenario.vars.iter().enumerate() {
            lines.push(format!("x[{number}] = {}", var.start));
        }
        lines.extend((0..scenario.cpus).filter_map(|cpu| self.begins_in(cpu)));
        if scenario.tags > 0 {
            // What is never read is no array to Spin, which then cannot compile what writes it.
            lines.push("tmp = tt[0] + tw[0]; tmp = 0".to_owned());
        }
        lines
    }

    fn is_at(agent: usize, places: &[usize]) -> String {
        let all: Vec<_> = places.iter().map(|place| format!("pc{agent} == {place}")).collect();
        format!("({})", all.join(" || "))
    }

    fn ended(&self) -> String {
        let mut all = vec!["true".to_owned()];
        for agent in (0..self.scenario.agents.len()).filter(|agent| self.is_awaited(*agent)) {
            all.push(Self::is_at(agent, &self.flows[agent].ended()));
            all.push(format!("ipi[{agent}] == 0 && gp[{agent}] == 0"));
        }
        format!("({})", all.join(" && "))
    }

    fn guard(&self, command: &Command) -> String {
        let mut all = command.guards.clone();
        if let Some(agent) = command.agent {
            all.push(Self::is_at(agent, &command.from));
            all.push(format!("ipi[{agent}] == 0 && gp[{agent}] == 0"));
        }
        all.join(" && ")
    }

    fn branch(&self, command: &Command) -> String {
        let mut lines = self.effects(command);
        if let (Some(agent), Some(to)) = (command.agent, command.to) {
            lines.push(format!("pc{agent} = {to}"));
        }
        format!(":: d_step {{ ({}) -> {} }}", self.guard(command), lines.join("; "))
    }

    fn process(&self) -> String {
        let mut text = String::from("active proctype scenario() {\nd_step { skip");
        self.start().iter().for_each(|effect| text += &format!(";\n{effect}"));
        line(&mut text, " };\ndo\n:: (bad) -> assert(false)");
        let ended = self.ended();
        for property in &self.scenario.properties {
            match property {
                Property::Always(condition) => {
                    line(
                        &mut text,
                        &format!(":: (!{}) -> assert(false)", self.condition(PROPERTY, condition)),
                    );
                }
                Property::Finally(condition) => {
                    let empty =
                        (0..self.scenario.agents.len()).map(Self::is_empty).collect::<Vec<_>>().join(" && ");
                    let broken = format!("{ended} && {empty} && !{}", self.condition(PROPERTY, condition));
                    line(&mut text, &format!(":: ({broken}) -> assert(false)"));
                }
                Property::Never { .. } => {}
            }
        }
        for command in &self.commands {
            line(&mut text, &self.branch(command));
        }
        let unseen = self.mistake == Mistake::DeadlockUnseen || self.option("deadlock", "off");
        let stuck = if unseen { "true".to_owned() } else { ended };
        line(&mut text, &format!(":: else -> assert({stuck}); break\nod\n}}"));
        text
    }
}
