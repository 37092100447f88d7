//! CPUs with tags: where they run, and what their TLBs hold under which tag.
//!
//! Invariant: a place of the TLB is of a CPU, a tag and an address, and no address space; beside it stands to which page the
//! walk went that filled it. Source: docs/language.md, "Tags".

use super::command::Command;
use super::{Mistake, Promela};
use crate::oracle::setting::Place as Where;
use crate::oracle::step::{Mm, Step, Tag};

impl Promela<'_> {
    /// A place of such a table; `tag` is an expression.
    fn place_under(&self, table: &str, cpu: usize, tag: &str, page: usize) -> String {
        let (tags, pages) = (self.scenario.tags, self.scenario.pages.len());
        format!("{table}[({} + {tag}) * {pages} + {}]", cpu * tags, self.scenario.address(page))
    }

    /// What the CPU finds at the address of the page.
    pub(super) fn under_tag(&self, cpu: usize, page: usize) -> String {
        self.place_under("tt", cpu, &format!("tg[{cpu}]"), page)
    }

    /// What was walked to the page and is there under the tag.
    pub(super) fn walked_to(&self, cpu: usize, page: usize, tag: Tag) -> String {
        let [holds, of] = ["tt", "tw"].map(|table| self.place_under(table, cpu, &tag.0.to_string(), page));
        format!("({of} == {} -> {holds} : 0)", page + 1)
    }

    /// Where a CPU with tags begins.
    pub(super) fn begins_in(&self, cpu: usize) -> Option<String> {
        let (mm, tag) = self.scenario.context(cpu)?;
        Some(format!("mm[{cpu}] = {}; tg[{cpu}] = {}", mm.0 + 1, tag.0))
    }

    /// What a fill writes beside the entry.
    pub(super) fn filled_for(&self, place: Where, page: usize) -> Vec<String> {
        let cpu = if let Where::Cpu(cpu) = place { self.scenario.context(cpu).map(|_| cpu) } else { None };
        cpu.map(|cpu| format!("{} = {}", self.place_under("tw", cpu, &format!("tg[{cpu}]"), page), page + 1))
            .into_iter()
            .collect()
    }

    /// Whether a walk to `entry` would change what the cache holds.
    pub(super) fn is_new(&self, place: Where, page: usize, filled: &str, entry: &str) -> String {
        let other = format!("{filled} != {entry}");
        match place {
            Where::Cpu(cpu) if self.scenario.context(cpu).is_some() => {
                let of = self.place_under("tw", cpu, &format!("tg[{cpu}]"), page);
                format!("({other} || {of} != {})", page + 1)
            }
            Where::Cpu(_) | Where::Vcpu(_) | Where::Device(_) | Where::Nowhere => other,
        }
    }

    /// The commands of whoever goes to the page: a CPU with tags must run where the page is.
    pub(super) fn where_it_runs(&self, place: Where, page: usize, commands: Vec<Command>) -> Vec<Command> {
        let Where::Cpu(cpu) = place else { return commands };
        if self.scenario.context(cpu).is_none() {
            return commands;
        }
        let home = self.scenario.pages[page].mm.expect("a CPU with tags goes to pages of address spaces");
        let runs = format!("mm[{cpu}] == {}", home.0 + 1);
        commands.into_iter().map(|command| command.when(&runs)).collect()
    }

    /// What a CPU forgets of the addresses of `pages`, under a tag or under the one that it uses.
    pub(super) fn forgotten_under(&self, cpu: usize, pages: &[usize], tag: Option<Tag>) -> Vec<String> {
        let used = format!("tg[{cpu}]");
        let named = tag.filter(|_| self.mistake != Mistake::TagIgnored);
        let under = named.map_or_else(|| used.clone(), |tag| tag.0.to_string());
        let mut lines: Vec<String> =
            pages.iter().map(|page| format!("{} = 0", self.place_under("tt", cpu, &under, *page))).collect();
        let at_the_address =
            |page: &usize| pages.iter().any(|of| self.scenario.address(*of) == self.scenario.address(*page));
        for page in (0..self.scenario.pages.len()).filter(at_the_address) {
            // What is on its way is under the tag that is used.
            let way = self.way(Where::Cpu(cpu), page);
            lines.push(match named {
                Some(tag) => format!("{way} = ({used} == {} -> 0 : {way})", tag.0),
                None => format!("{way} = 0"),
            });
        }
        lines
    }

    /// Whether a CPU can ever use the tag.
    pub(super) fn uses(&self, cpu: usize, tag: Tag) -> bool {
        let switches = |step: &Step| matches!(step, Step::Switch(_, to, _) if *to == tag);
        self.scenario.context(cpu).is_some_and(|(_, first)| first == tag)
            || (0..self.scenario.agents.len())
                .any(|agent| self.place(agent) == Where::Cpu(cpu) && self.does(agent, &switches))
    }

    pub(super) fn switch(
        &self,
        command: Command,
        agent: usize,
        (mm, tag, flush): (Mm, Tag, bool),
    ) -> Command {
        let Where::Cpu(cpu) = self.place(agent) else { panic!("a CPU switches") };
        let pages = 0..self.scenario.pages.len();
        let mut command =
            command.effect(&format!("mm[{cpu}] = {}", mm.0 + 1)).effect(&format!("tg[{cpu}] = {}", tag.0));
        let empties = flush && self.mistake != Mistake::SwitchForgets;
        for page in pages {
            command = command.effect(&format!("{} = 0", self.way(Where::Cpu(cpu), page)));
            if empties {
                command =
                    command.effect(&format!("{} = 0", self.place_under("tt", cpu, &tag.0.to_string(), page)));
            }
        }
        command
    }
}
