//! Conditions and looks.
//!
//! Invariant: a look changes nothing and breaks nothing. Source: docs/language.md, "Programs" and "Entries".

use super::Promela;
use super::buffer::Cell;
use crate::oracle::entry::{Entry, MIGRATION, Target, Things};
use crate::oracle::program::{Condition, Feature, Look};
use crate::oracle::step::Page;

impl Promela<'_> {
    pub(super) fn orig(&self, agent: usize, page: usize) -> String {
        format!("orig[{}]", agent * self.scenario.pages.len() + page)
    }

    /// The page's entry. Where two upper entries name one table, their pages have the same.
    pub(super) fn pte(&self, page: usize) -> String {
        self.pte_cell(Page(page)).memory()
    }

    pub(super) fn pte_cell(&self, page: Page) -> Cell {
        Cell::Pte(self.scenario.entry_of(page.0))
    }

    pub(super) fn orig_pmd(&self, agent: usize, pmd: usize) -> String {
        format!("origm[{}]", agent * self.scenario.pmds.len() + pmd)
    }

    /// One of a table of caches, each with an entry for every page.
    pub(super) fn cached(&self, cache: &str, owner: usize, page: usize) -> String {
        format!("{cache}[{}]", owner * self.scenario.pages.len() + page)
    }

    pub(super) fn look(&self, agent: usize, look: &Look) -> String {
        let table =
            |number: usize| self.things().number(Target::Table(number)).expect("a table has a number");
        match look {
            Look::Var(var) => self.seen(agent, Cell::Var(*var)),
            Look::Handle(handle) => format!("h[{handle}]"),
            Look::Pte(page) => self.seen(agent, self.pte_cell(*page)),
            Look::Pmd(pmd) => self.seen(agent, Cell::Pmd(*pmd)),
            Look::Spte(page) => format!("spte[{}]", page.0),
            Look::Tlb(cpu, page) => self.cached("tlb", *cpu, page.0),
            Look::Tagged(cpu, page, tag) => self.walked_to(*cpu, page.0, *tag),
            Look::Iotlb(device, page) => self.cached("iotlb", *device, page.0),
            // Where it is not apart, the IOTLB stands for both.
            Look::Devtlb(device, page) if !self.is_apart(*device) => self.cached("iotlb", *device, page.0),
            Look::Devtlb(device, page) => self.cached("devtlb", *device, page.0),
            Look::Vtlb(vcpu, page) => self.cached("vtlb", *vcpu, page.0),
            Look::Orig(page) => self.orig(agent, page.0),
            Look::Content(frame) => format!("content[{}]", Things::frame(*frame)),
            Look::Refs(frame) => format!("refs[{}]", Things::frame(*frame)),
            Look::TableRefs(number) => format!("refs[{}]", table(*number)),
            Look::Mapcount(frame) => format!("mapc[{}]", Things::frame(*frame)),
            Look::Pins(frame) => format!("pins[{}]", Things::frame(*frame)),
            Look::Stable(frame) => format!("stable[{}]", Things::frame(*frame)),
            Look::InProgress(page) => format!("inprog[{}]", page.0),
            Look::Requested(page) => format!("req[{}]", page.0),
            Look::PteSame(page) => {
                format!("({} == {})", self.seen(agent, self.pte_cell(*page)), self.orig(agent, page.0))
            }
            Look::PmdSame(pmd) => {
                format!("({} == {})", self.seen(agent, Cell::Pmd(*pmd)), self.orig_pmd(agent, *pmd))
            }
        }
    }

    pub(super) fn things(&self) -> Things {
        self.scenario.things()
    }

    /// Equal as far as the entry says.
    fn equals(&self, look: &str, entry: &Entry) -> String {
        let target = match entry.target {
            Target::Handle(handle) => format!("(({look} & 15) == h[{handle}])"),
            Target::Orig => panic!("orig is compared by pte_same"),
            Target::Nothing | Target::Marker | Target::Frame(_) | Target::Slot(_) | Target::Table(_) => {
                let number = self.things().number(entry.target).expect("it is known");
                format!("(({look} & 15) == {number})")
            }
        };
        let moving = format!("(({look} & {MIGRATION}) {} 0)", if entry.migration { "!=" } else { "==" });
        let bits = entry
            .bits
            .iter()
            .map(|(bit, set)| format!("(({look} & {}) {} 0)", bit.mask(), if *set { "!=" } else { "==" }));
        [target, moving].into_iter().chain(bits).collect::<Vec<_>>().join(" && ")
    }

    fn has(&self, look: &str, feature: Feature) -> String {
        match feature {
            Feature::Bit(bit) => format!("(({look} & {}) != 0)", bit.mask()),
            Feature::Present => self.things().present(look),
            Feature::Swap => self.things().is_slot(look),
            Feature::Migration => format!("(({look} & {MIGRATION}) != 0)"),
            Feature::Marker => format!("(({look} & 15) == 15)"),
            Feature::Table => self.things().is_table(look),
        }
    }

    pub(super) fn condition(&self, agent: usize, condition: &Condition) -> String {
        match condition {
            Condition::Holds(look) => format!("({} != 0)", self.look(agent, look)),
            Condition::Number(look, sign, number) => format!("({} {sign} {number})", self.look(agent, look)),
            Condition::Numbers(look, sign, other) => {
                format!("({} {sign} {})", self.look(agent, look), self.look(agent, other))
            }
            Condition::Entry(look, same, entry) => {
                let equal = self.equals(&self.look(agent, look), entry);
                if *same { format!("({equal})") } else { format!("(!({equal}))") }
            }
            Condition::Has(look, features) => {
                let look = self.look(agent, look);
                let all: Vec<_> = features.iter().map(|feature| self.has(&look, *feature)).collect();
                format!("({})", all.join(" && "))
            }
            Condition::Runs(cpu, same, mm) => {
                format!("(mm[{cpu}] {} {})", if *same { "==" } else { "!=" }, mm.0 + 1)
            }
            Condition::Not(inner) => format!("(!{})", self.condition(agent, inner)),
            Condition::And(one, other) => {
                format!("({} && {})", self.condition(agent, one), self.condition(agent, other))
            }
            Condition::Or(one, other) => {
                format!("({} || {})", self.condition(agent, one), self.condition(agent, other))
            }
        }
    }
}
