//! Invalidations: what they reach, at once, one after the other, by interrupts, or from the queue.
//!
//! Source: docs/language.md, "Steps" and "Options".

use super::command::Command;
use super::{Mistake, Promela};
use crate::oracle::flow::Place;
use crate::oracle::setting::Place as Where;
use crate::oracle::step::{Invalidation, Page, Scope, Step};

/// The most that the queue holds.
const QUEUE: usize = 6;

impl<'s> Promela<'s> {
    fn pages_of(&self, what: Invalidation) -> Vec<usize> {
        let all = 0..self.scenario.pages.len();
        let page = |page: Page| vec![page.0];
        match what {
            Invalidation::FlushTlb(of)
            | Invalidation::FlushScoped(of, _)
            | Invalidation::FlushUnder(of, _)
            | Invalidation::Notify(of)
            | Invalidation::IotlbInv(of)
            | Invalidation::DevtlbInv(of)
            | Invalidation::FlushVcpus(of) => page(of),
            Invalidation::FlushTlbMm(mm) | Invalidation::NotifyMm(mm) => {
                all.filter(|page| self.scenario.pages[*page].mm == Some(mm)).collect()
            }
            Invalidation::FlushPmd(pmd) | Invalidation::NotifyPmd(pmd) => {
                all.filter(|page| self.scenario.pages[*page].pmd == Some(pmd)).collect()
            }
            Invalidation::FlushTag(_) => all.filter(|page| self.scenario.pages[*page].mm.is_some()).collect(),
            Invalidation::PasidInv | Invalidation::IotlbInvPasid | Invalidation::DevtlbInvPasid => {
                all.collect()
            }
        }
    }

    fn upper(&self, what: Invalidation, pages: &[usize]) -> Vec<usize> {
        match what {
            Invalidation::FlushPmd(pmd) | Invalidation::NotifyPmd(pmd) => vec![pmd],
            // What is kept of upper entries has no tags.
            Invalidation::PasidInv | Invalidation::FlushTag(_) | Invalidation::FlushUnder(..) => Vec::new(),
            Invalidation::FlushTlb(_)
            | Invalidation::FlushScoped(..)
            | Invalidation::Notify(_)
            | Invalidation::IotlbInv(_)
            | Invalidation::DevtlbInv(_)
            | Invalidation::FlushTlbMm(_)
            | Invalidation::NotifyMm(_)
            | Invalidation::IotlbInvPasid
            | Invalidation::DevtlbInvPasid
            | Invalidation::FlushVcpus(_) => {
                pages.iter().filter_map(|page| self.scenario.pages[*page].pmd).collect()
            }
        }
    }

    fn reach_cpu(&self, cpu: usize, what: Invalidation, leaf: bool) -> Vec<String> {
        let pages = self.pages_of(what);
        if self.scenario.context(cpu).is_some() {
            return self.forgotten_under(cpu, &pages, what.tag());
        }
        let mut lines: Vec<_> =
            pages.iter().map(|page| format!("{} = 0", self.cached("tlb", cpu, *page))).collect();
        lines.extend(pages.iter().map(|page| format!("{} = 0", self.way(Where::Cpu(cpu), *page))));
        if !leaf {
            let count = self.scenario.pmds.len();
            lines
                .extend(self.upper(what, &pages).iter().map(|pmd| format!("pwc[{}] = 0", cpu * count + pmd)));
        }
        lines
    }

    fn reach_device(&self, device: usize, what: Invalidation, leaf: bool) -> Vec<String> {
        let (iotlb, devtlb) = match what {
            Invalidation::Notify(_) | Invalidation::NotifyMm(_) | Invalidation::NotifyPmd(_) => (true, true),
            Invalidation::IotlbInv(_) | Invalidation::IotlbInvPasid => (true, false),
            Invalidation::DevtlbInv(_) | Invalidation::DevtlbInvPasid => (false, true),
            Invalidation::PasidInv => return vec![format!("pasidc[{device}] = 0")],
            Invalidation::FlushTlb(_)
            | Invalidation::FlushScoped(..)
            | Invalidation::FlushUnder(..)
            | Invalidation::FlushTag(_)
            | Invalidation::FlushTlbMm(_)
            | Invalidation::FlushPmd(_)
            | Invalidation::FlushVcpus(_) => panic!("it reaches no device"),
        };
        let pages = self.pages_of(what);
        let mut lines = Vec::new();
        let drains =
            [iotlb && !self.option("inv_drains", "off"), devtlb && !self.option("ats_drains", "off")];
        for page in &pages {
            if iotlb {
                lines.push(format!("{} = 0", self.cached("iotlb", device, *page)));
            }
            if devtlb {
                lines.push(format!("{} = 0", self.cached("devtlb", device, *page)));
            }
            if drains[0] {
                lines.push(format!("{} = 0", self.way(Where::Device(device), *page)));
            }
            if drains[1] {
                lines.push(format!("{} = 0", self.cached("ak", device, *page)));
            }
        }
        if iotlb && !leaf {
            let count = self.scenario.pmds.len();
            lines.extend(
                self.upper(what, &pages).iter().map(|pmd| format!("pwd[{}] = 0", device * count + pmd)),
            );
        }
        lines
    }

    /// The CPUs that a flush of this agent reaches.
    pub(super) fn reached(&self, agent: usize, what: Invalidation) -> Vec<usize> {
        let all = 0..self.scenario.cpus;
        let own = || match self.place(agent) {
            Where::Cpu(cpu) => cpu,
            Where::Vcpu(_) | Where::Device(_) | Where::Nowhere => {
                panic!("{what} is said by who runs on a CPU")
            }
        };
        let Invalidation::FlushScoped(_, scope) = what else {
            return all.filter(|cpu| what.tag().is_none() || self.scenario.context(*cpu).is_some()).collect();
        };
        match scope {
            Scope::On(cpu) => vec![cpu],
            Scope::Own => vec![own()],
            Scope::Others => all.filter(|cpu| *cpu != own()).collect(),
        }
    }

    /// What the invalidation of this agent does, on one CPU only if that is given.
    pub(super) fn reach(
        &self,
        agent: usize,
        what: Invalidation,
        leaf: bool,
        only: Option<usize>,
    ) -> Vec<String> {
        let mut lines = vec!["skip".to_owned()];
        match what {
            Invalidation::FlushTlb(_)
            | Invalidation::FlushScoped(..)
            | Invalidation::FlushUnder(..)
            | Invalidation::FlushTag(_)
            | Invalidation::FlushTlbMm(_)
            | Invalidation::FlushPmd(_) => {
                if self.mistake != Mistake::FlushForgets {
                    let cpus = self.reached(agent, what).into_iter();
                    let cpus = cpus.filter(|cpu| only.is_none_or(|only| only == *cpu));
                    cpus.for_each(|cpu| lines.extend(self.reach_cpu(cpu, what, leaf)));
                }
            }
            Invalidation::FlushVcpus(page) => {
                for vcpu in 0..self.scenario.vcpus {
                    lines.push(format!("{} = 0", self.cached("vtlb", vcpu, page.0)));
                    lines.push(format!("{} = 0", self.way(Where::Vcpu(vcpu), page.0)));
                }
            }
            Invalidation::Notify(_)
            | Invalidation::NotifyMm(_)
            | Invalidation::NotifyPmd(_)
            | Invalidation::IotlbInv(_)
            | Invalidation::DevtlbInv(_) => {
                if self.mistake != Mistake::NotifyForgets {
                    (0..self.scenario.devices.len())
                        .for_each(|device| lines.extend(self.reach_device(device, what, leaf)));
                }
            }
            Invalidation::PasidInv | Invalidation::IotlbInvPasid | Invalidation::DevtlbInvPasid => {
                let with = (0..self.scenario.devices.len()).filter(|d| self.scenario.devices[*d].pasid);
                with.for_each(|device| lines.extend(self.reach_device(device, what, leaf)));
            }
        }
        lines
    }

    pub(super) fn invalidate(
        &mut self,
        agent: usize,
        place: &Place<'s>,
        step: &Step,
        what: Invalidation,
        leaf: bool,
    ) {
        let of_cpus = what.is_of_cpus();
        // Who flushes his own interrupts nobody.
        let own = matches!(what, Invalidation::FlushScoped(_, Scope::Own));
        // By interrupts, an address space without pages is flushed in one step, as there is nothing to flush.
        let has_pages = !self.pages_of(what).is_empty();
        if of_cpus && !own && has_pages && self.option("flush", "ipi") {
            self.flush_by_ipi(agent, place, what, leaf);
        } else if of_cpus && self.option("flush", "split") && self.reached(agent, what).len() > 1 {
            self.flush_one_by_one(agent, place, what, leaf);
        } else {
            let command = Self::command(agent, place, place.then).named(&step.to_string());
            let lines = self.reach(agent, what, leaf, None);
            self.commands.push(command.effects(&lines));
        }
    }

    fn flush_one_by_one(&mut self, agent: usize, place: &Place<'s>, what: Invalidation, leaf: bool) {
        let middle = self.fresh(agent);
        let reached = self.reached(agent, what);
        let all = reached.iter().fold(0, |mask, cpu| mask | 1 << cpu);
        for cpu in reached {
            let (bit, lines) = (1 << cpu, self.reach(agent, what, leaf, Some(cpu)));
            let first = Self::command(agent, place, middle)
                .effects(&lines)
                .effect(&format!("spl[{agent}] = {}", all ^ bit));
            let at =
                |to| Command { agent: Some(agent), from: vec![middle], to: Some(to), ..Command::default() };
            let is_last = format!("spl[{agent}] == {bit}");
            let last = at(place.then).when(&is_last).effects(&lines).effect(&format!("spl[{agent}] = 0"));
            let next = at(middle)
                .when(&format!("(spl[{agent}] & {bit}) != 0 && !({is_last})"))
                .effects(&lines)
                .effect(&format!("spl[{agent}] = (spl[{agent}] & {})", 255 ^ bit));
            self.commands.extend([first, last, next]);
        }
    }

    pub(super) fn post(
        &mut self,
        agent: usize,
        place: &Place<'s>,
        step: &Step,
        what: Invalidation,
        leaf: bool,
    ) {
        let known = self.posts.iter().position(|post| *post == (agent, what, leaf));
        let number = known.unwrap_or(self.posts.len());
        if known.is_none() {
            self.posts.push((agent, what, leaf));
        }
        let command = Self::command(agent, place, place.then).named(&step.to_string());
        let command = command.when(&format!("qn < {QUEUE}"));
        let command = match self.option("queue", "ordered") {
            true => command.effect(&format!("q[qn] = {number}")),
            false => command.effect(&format!("q[{number}] = q[{number}] + 1")),
        };
        self.commands.push(command.effect("qn = qn + 1").effect(&format!("qo[{agent}] = qo[{agent}] + 1")));
    }

    pub(super) fn inv_wait(&self, command: Command, agent: usize) -> Command {
        command.when(&format!("qo[{agent}] == 0")).effect("skip")
    }

    /// The hardware does what is posted.
    pub(super) fn queue(&mut self) {
        let ordered = self.option("queue", "ordered");
        for (number, (agent, what, leaf)) in self.posts.clone().into_iter().enumerate() {
            let mut command = match ordered {
                true => Command::default().when(&format!("qn > 0 && q[0] == {number}")),
                false => Command::default().when(&format!("q[{number}] > 0")),
            };
            command = command
                .effect("qn = qn - 1")
                .effect(&format!("qo[{agent}] = qo[{agent}] - 1"))
                .effects(&self.reach(agent, what, leaf, None));
            command = match ordered {
                true => (1..QUEUE)
                    .fold(command, |command, next| command.effect(&format!("q[{}] = q[{next}]", next - 1)))
                    .effect(&format!("q[{}] = 0", QUEUE - 1)),
                false => command.effect(&format!("q[{number}] = q[{number}] - 1")),
            };
            self.commands.push(command);
        }
    }
}
