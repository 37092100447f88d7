//! The steps of the kernel that are one transition each, and GUP-fast.
//!
//! Invariant: a step on an entry walks the page-table page in which it lies. Source: docs/language.md, "Steps".

use super::buffer::Cell;
use super::command::Command;
use super::count::drop_one;
use super::{Mistake, Promela};
use crate::oracle::entry::{Bit, Entry, Target};
use crate::oracle::flow::Place;
use crate::oracle::setting::Place as Where;
use crate::oracle::step::{Held, Lock, Page, Step};

/// When the step does anything: through an empty handle it does not.
fn happens(step: &Step) -> String {
    let through = if let Step::Write(held, _) | Step::Read(held) | Step::Count(_, held) = step {
        Some(*held)
    } else {
        None
    };
    match through {
        Some(Held::Handle(handle)) => format!("(h[{handle}] != 0)"),
        Some(Held::Frame(_) | Held::Table(_)) | None => "true".to_owned(),
    }
}

impl<'s> Promela<'s> {
    pub(super) fn lock(lock: Lock) -> usize {
        match lock {
            Lock::Ptl(page) => page.0,
            Lock::Named(number) => 4 + number,
        }
    }

    pub(super) fn lock_is_free(&self, agent: usize, lock: Lock, shared: bool) -> String {
        let number = Self::lock(lock);
        match (self.mistake == Mistake::LockIsFree, shared) {
            (true, _) => "true".to_owned(),
            (false, true) => format!("(lkx[{number}] == 0 && (lks[{number}] & {}) == 0)", 1 << agent),
            (false, false) => format!("(lkx[{number}] == 0 && lks[{number}] == 0)"),
        }
    }

    pub(super) fn take_lock(&self, agent: usize, lock: Lock, shared: bool) -> String {
        let number = Self::lock(lock);
        match shared {
            true => format!("lks[{number}] = (lks[{number}] | {})", 1 << agent),
            false => format!("lkx[{number}] = {}", agent + 1),
        }
    }

    fn unlock(&self, command: Command, agent: usize, lock: Lock) -> Command {
        let number = Self::lock(lock);
        let (alone, shared) =
            (format!("lkx[{number}] == {}", agent + 1), format!("(lks[{number}] & {}) != 0", 1 << agent));
        let command = match self.option("unlock", "off") {
            true => command,
            false => command.bad(&format!("!({alone} || {shared})")),
        };
        command
            .effect(&format!("lkx[{number}] = ({alone} -> 0 : lkx[{number}])"))
            .effect(&format!("lks[{number}] = (lks[{number}] & {})", 255 ^ (1 << agent)))
    }

    /// The references of the page-table page in which the page's entry lies.
    pub(super) fn table(&self, page: usize) -> Option<u16> {
        let pmd = self.scenario.pages[page].pmd?;
        let table = self.scenario.pmds[pmd].target;
        self.things().number(table)
    }

    pub(super) fn walks_table(&self, command: Command, page: usize, when: &str) -> Command {
        match self.table(page) {
            Some(table) if !self.option("walk_after_free", "off") => {
                command.bad(&format!("({when}) && refs[{table}] == 0"))
            }
            Some(_) | None => command,
        }
    }

    /// A step on the entry of a page: its table must be there, and linked.
    pub(super) fn comes_to_entry(&self, command: Command, page: usize, when: &str) -> Command {
        let command = self.walks_table(command, page, when);
        let unseen = self.mistake == Mistake::UnlinkedUnseen || self.option("walk_unlinked", "off");
        match self.scenario.pages[page].pmd {
            Some(pmd) if !unseen => {
                let linked = self.things().is_table(&format!("pmd[{pmd}]"));
                command.bad(&format!("({when}) && !{linked}"))
            }
            Some(_) | None => command,
        }
    }

    pub(super) fn entry(&self, agent: usize, page: Page, entry: &Entry) -> String {
        let handle = |handle: usize| format!("h[{handle}]");
        self.things().expression(entry, &self.orig(agent, page.0), &handle)
    }

    fn pte_step(&self, command: Command, agent: usize, page: Page, new: &str) -> Command {
        let (pte, orig) = (self.pte(page.0), self.orig(agent, page.0));
        let command = self.comes_to_entry(command, page.0, "true").effect(&format!("{orig} = {pte}"));
        command.effect(&format!("{pte} = {new}"))
    }

    fn set_pte(&self, command: Command, agent: usize, page: Page, entry: &Entry) -> Command {
        let (pte, orig) = (self.pte(page.0), self.orig(agent, page.0));
        let new = self.entry(agent, page, entry);
        let unless = Self::unless(entry);
        self.comes_to_entry(command, page.0, &unless)
            .effect(&format!("tmp = ({unless} -> {new} : {pte})"))
            .effect(&format!("{orig} = ({unless} -> tmp : {orig})"))
            .effect(&format!("{pte} = tmp"))
            .effect("tmp = 0")
    }

    fn modified(&self, entry: &str, change: &[(Bit, bool)]) -> String {
        let entry_of =
            Entry { migration: false, target: Target::Orig, like_orig: false, bits: change.to_vec() };
        self.things().expression(&entry_of, entry, &|_| String::new())
    }

    fn pmd_step(&self, command: Command, agent: usize, pmd: usize, new: &str) -> Command {
        let command = command.effect(&format!("{} = pmd[{pmd}]", self.orig_pmd(agent, pmd)));
        command.effect(&format!("pmd[{pmd}] = {new}"))
    }

    fn set_pmd(&self, command: Command, agent: usize, pmd: usize, entry: &Entry) -> Command {
        let orig = self.orig_pmd(agent, pmd);
        let new = self.things().expression(entry, &orig, &|handle| format!("h[{handle}]"));
        command
            .effect(&format!("tmp = {new}"))
            .effect(&format!("{orig} = tmp"))
            .effect(&format!("pmd[{pmd}] = tmp"))
            .effect("tmp = 0")
    }

    /// Faults of vCPUs that have begun on this page begin again.
    fn retry_faults(&self, command: Command, page: Page) -> Command {
        if self.is_explicit_vcpu() {
            return command;
        }
        let ways = (0..self.scenario.vcpus).map(|vcpu| self.way(Where::Vcpu(vcpu), page.0));
        ways.fold(command, |command, way| command.effect(&format!("{way} = 0")))
    }

    pub(super) fn simple(&self, command: Command, agent: usize, step: &Step) -> Command {
        let command = command.named_if(&step.to_string(), &happens(step));
        match step {
            Step::Lock(lock, shared) => command
                .when(&self.lock_is_free(agent, *lock, *shared))
                .effect(&self.take_lock(agent, *lock, *shared)),
            Step::Unlock(lock) => self.unlock(command, agent, *lock),
            Step::Fence => command.effect("skip"),
            Step::IrqOff | Step::IrqOn | Step::RcuReadLock | Step::RcuReadUnlock => {
                self.section(command, agent, step)
            }
            Step::PteRead(page) => {
                let orig = self.orig(agent, page.0);
                let seen = self.seen(agent, self.pte_cell(*page));
                self.comes_to_entry(command, page.0, "true").effect(&format!("{orig} = {seen}"))
            }
            Step::PteClear(page) => self.pte_step(command, agent, *page, "0"),
            Step::SetPte(page, entry) => self.set_pte(command, agent, *page, entry),
            Step::PteModify(page, change) => {
                let new = self.modified(&self.pte(page.0), change);
                self.pte_step(command, agent, *page, &new)
            }
            Step::PmdRead(pmd) => {
                let seen = self.seen(agent, Cell::Pmd(*pmd));
                command.effect(&format!("{} = {seen}", self.orig_pmd(agent, *pmd)))
            }
            Step::PmdClear(pmd) => self.pmd_step(command, agent, *pmd, "0"),
            Step::SetPmd(pmd, entry) => self.set_pmd(command, agent, *pmd, entry),
            Step::SetPasid(mm) => command.effect(&format!("pasid = {}", mm.map_or(0, |mm| mm.0 + 1))),
            Step::InvWait => self.inv_wait(command, agent),
            Step::PageResponse(page) => {
                command.when(&format!("req[{}] != 0", page.0)).effect(&format!("req[{}] = 0", page.0))
            }
            Step::DrainRequests => self
                .pages()
                .fold(command, |command, page| command.when(&format!("req[{}] == 0", page.0)))
                .effect("skip"),
            Step::Switch(mm, tag, flush) => self.switch(command, agent, (*mm, *tag, *flush)),
            Step::NotifyStart(page) => self.notify_start(command, *page),
            Step::NotifyEnd(page) => self.notify_end(command, *page),
            Step::ChangePte(page) => self.change_pte(command, agent, *page),
            Step::ZapSpte(page) => command.effect(&format!("spte[{}] = 0", page.0)),
            Step::SetSpte(page, entry) => self.set_spte(command, agent, *page, entry),
            Step::Write(held, value) => self.write(command, *held, *value),
            Step::Read(held) => self.read(command, *held),
            Step::Copy(from, to) => self.copy(command, *from, *to),
            Step::Count(count, held) => self.count(command, *count, *held),
            Step::MarkStable(frame) => self.mark_stable(command, *frame),
            Step::Invalidate { what, leaf, post: false } => {
                command.effects(&self.reach(agent, *what, *leaf, None))
            }
            Step::Invalidate { post: true, .. }
            | Step::IpiSync
            | Step::SynchronizeRcu
            | Step::PageRequest(_)
            | Step::Access { .. }
            | Step::GupFast { .. }
            | Step::TryGet { .. }
            | Step::ClearFlush(_)
            | Step::ClearFlushNotify(_) => panic!("{step} is no single transition"),
        }
    }

    fn notify_start(&self, command: Command, page: Page) -> Command {
        let command = command.effect(&format!("inprog[{0}] = inprog[{0}] + 1", page.0));
        match self.is_explicit_vcpu() {
            true => command,
            false => self.retry_faults(command.effect(&format!("spte[{}] = 0", page.0)), page),
        }
    }

    fn notify_end(&self, command: Command, page: Page) -> Command {
        let count = format!("inprog[{}]", page.0);
        let command = self
            .in_range(command, &format!("{count} > 0"))
            .effect(&format!("{count} = ({count} > 0 -> {count} - 1 : 0)"));
        self.retry_faults(command, page)
    }

    fn set_spte(&self, command: Command, agent: usize, page: Page, entry: &Entry) -> Command {
        let unless = Self::unless(entry);
        let (spte, new) = (format!("spte[{}]", page.0), self.entry(agent, page, entry));
        command.effect(&format!("{spte} = ({unless} -> {new} : {spte})"))
    }

    fn change_pte(&self, command: Command, agent: usize, page: Page) -> Command {
        let (spte, orig) = (format!("spte[{}]", page.0), self.orig(agent, page.0));
        let stays = format!("({} && ({orig} & {}) == 0)", self.things().present(&orig), Bit::Rw.mask());
        command.effect(&format!("{spte} = (({spte} != 0 && {stays}) -> {orig} : 0)"))
    }

    /// When a reference can be taken of what this entry maps.
    fn can_get(&self, entry: &str, write: bool) -> String {
        let mut all = vec![
            self.things().present(entry),
            format!("({entry} & {}) == 0", Bit::Special.mask()),
            format!("refs[{entry} & 15] > 0"),
        ];
        if write {
            all.push(format!("({entry} & {}) != 0", Bit::Rw.mask()));
        }
        format!("({})", all.join(" && "))
    }

    fn get(command: Command, entry: &str, page: Page, pin: bool, handle: usize) -> Command {
        let command = command
            .effect(&format!("refs[{entry} & 15] = refs[{entry} & 15] + 1"))
            .effect(&format!("h[{handle}] = ({entry} & 15); hp[{handle}] = {}", page.0 + 1));
        if pin { command.effect(&format!("pins[{entry} & 15] = pins[{entry} & 15] + 1")) } else { command }
    }

    pub(super) fn try_get_statement(&mut self, agent: usize, place: &Place<'s>, step: &Step) {
        let Step::TryGet { page, write, pin, handle } = step else { panic!("{step} takes no reference") };
        let orig = self.orig(agent, page.0);
        let can = self.can_get(&orig, *write);
        let text = step.to_string();
        let base = Self::command(agent, place, place.then).named(&text);
        let taken = Self::get(base.clone().when(&can), &orig, *page, *pin, *handle);
        let failed = base.when(&format!("!{can}")).effect(&format!("h[{handle}] = 0"));
        self.commands.extend([taken, failed]);
    }

    pub(super) fn gup_fast(&mut self, agent: usize, place: &Place<'s>, step: &Step) {
        let Step::GupFast { page, write, pin, leaf, handle } = *step else { panic!("{step} is no gup_fast") };
        let Some(pmd) = self.scenario.pages[page.0].pmd else {
            let begin = Self::command(agent, place, self.pcs[agent]);
            let begin = self.gup_begins(begin, agent);
            let orig = self.orig(agent, page.0);
            let same = format!("{} == {orig}", self.pte(page.0));
            let look = self.fresh(agent);
            let pte = self.pte(page.0);
            self.gup_reads(begin, (agent, place.then), &pte, &orig, write, handle);
            self.gup_takes(agent, look, place.then, page, &orig, (write, pin), handle, &same, None);
            return;
        };
        let read = self.fresh(agent);
        let small = self.fresh(agent);
        let (origm, orig) = (self.orig_pmd(agent, pmd), self.orig(agent, page.0));
        let table = self.things().is_table(&origm);
        let begin = self.gup_begins(Self::command(agent, place, read), agent);
        self.commands.push(begin.effect(&format!("{origm} = pmd[{pmd}]")));
        let at = |to| Command { agent: Some(agent), from: vec![read], to: Some(to), ..Command::default() };
        let walk = self.walks_table(at(small).when(&table), page.0, "true");
        self.gup_reads(walk, (agent, place.then), &self.pte(page.0), &orig, write, handle);
        let same_pmd = format!("pmd[{pmd}] == {origm}");
        let same_pte = format!("{} == {orig}", self.pte(page.0));
        // With `leaf` nobody looks at the upper entry again.
        let same_pmd_too = if leaf { "true" } else { &same_pmd };
        let same = format!("{same_pmd_too} && {same_pte}");
        self.gup_takes(
            agent,
            small,
            place.then,
            page,
            &orig,
            (write, pin),
            handle,
            &same,
            Some((page.0, same_pmd_too)),
        );
        let before = self.commands.len();
        self.gup_takes(agent, read, place.then, page, &origm, (write, pin), handle, &same_pmd, None);
        for command in self.commands[before..].iter_mut().filter(|command| command.from == [read]) {
            command.guards.push(format!("(!{table})"));
        }
    }

    /// The entry is read; if hardware could not use it, that is all.
    fn gup_reads(
        &mut self,
        command: Command,
        (agent, then): (usize, usize),
        pte: &str,
        orig: &str,
        write: bool,
        handle: usize,
    ) {
        let special = Bit::Special.mask();
        let usable = format!("({} && ({pte} & {special}) == 0)", self.allows(pte, write));
        let reads = format!("{orig} = {pte}");
        let fails = Command { to: Some(then), ..command.clone() };
        let fails = fails.when(&format!("!{usable}")).effect(&reads).effect(&format!("h[{handle}] = 0"));
        let fails = self.gup_ends(fails, agent);
        self.commands.extend([command.when(&usable).effect(&reads), fails]);
    }

    /// From `look` a reference is taken of what `entry` maps, and given back if it is no longer the `same`.
    #[expect(clippy::too_many_arguments, reason = "two kinds of entries, each with its names")]
    fn gup_takes(
        &mut self,
        agent: usize,
        look: usize,
        then: usize,
        page: Page,
        entry: &str,
        (write, pin): (bool, bool),
        handle: usize,
        same: &str,
        walks: Option<(usize, &str)>,
    ) {
        let again = self.fresh(agent);
        let at =
            |from, to| Command { agent: Some(agent), from: vec![from], to: Some(to), ..Command::default() };
        let can = self.can_get(entry, write);
        let taken = Self::get(at(look, again).when(&can), entry, page, pin, handle);
        let failed = at(look, then).when(&format!("!{can}")).effect(&format!("h[{handle}] = 0"));
        let failed = self.gup_ends(failed, agent);
        let walk = |command| match walks {
            Some((page, when)) => self.walks_table(command, page, when),
            None => command,
        };
        let kept = self.gup_ends(walk(at(again, then).when(same)), agent);
        let held = format!("h[{handle}]");
        let dropped = walk(at(again, then).when(&format!("!({same})")));
        let dropped = self.use_after_free(dropped, &held, "true");
        let dropped = match pin {
            true => dropped.effect(&drop_one("pins", &held, "true")),
            false => dropped,
        };
        let dropped = dropped.effect(&drop_one("refs", &held, "true"));
        let dropped = self.gup_ends(dropped.effect(&format!("{held} = 0")), agent);
        self.commands.extend([taken, failed, kept, dropped]);
    }
}
