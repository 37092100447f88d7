//! Translate and use: walks, caches, and accesses through them.
//!
//! Invariant: what has been read of an entry and is not yet in the cache is on its way, one walk for each place and page,
//! whoever has begun it. Source: docs/language.md, "Steps".

use super::command::{Command, Touch};
use super::{Mistake, Promela};
use crate::oracle::entry::Bit;
use crate::oracle::flow::Place;
use crate::oracle::program::Statement;
use crate::oracle::setting::Place as Where;
use crate::oracle::step::{Access, Page, Step};

/// Whoever translates, where in its program, and for what.
struct Walk {
    place: Where,
    page: usize,
    write: bool,
    /// Goes on here while it is not done.
    here: Command,
    /// Goes on here when the cache is filled.
    then: Command,
}

impl<'s> Promela<'s> {
    /// The places that have a walker of their own.
    fn walkers(&self) -> Vec<Where> {
        if !self.option("speculation", "on") {
            return Vec::new();
        }
        let cpus = (0..self.scenario.cpus).map(Where::Cpu);
        cpus.chain((0..self.scenario.devices.len()).map(Where::Device)).collect()
    }

    /// The cache that a walk fills.
    fn filled(&self, place: Where, page: usize) -> String {
        match place {
            Where::Cpu(cpu) if self.scenario.context(cpu).is_some() => self.under_tag(cpu, page),
            Where::Cpu(cpu) => self.cached("tlb", cpu, page),
            Where::Device(device) => self.cached("iotlb", device, page),
            Where::Vcpu(vcpu) if self.is_explicit_vcpu() => self.cached("vtlb", vcpu, page),
            Where::Vcpu(_) => format!("spte[{page}]"),
            Where::Nowhere => panic!("who runs nowhere has no cache"),
        }
    }

    /// The cache that an access goes through.
    fn used(&self, place: Where, page: usize) -> String {
        match place {
            Where::Device(device) if self.is_apart(device) => self.cached("devtlb", device, page),
            Where::Cpu(_) | Where::Device(_) | Where::Vcpu(_) | Where::Nowhere => self.filled(place, page),
        }
    }

    /// What a walk reads.
    fn source(&self, place: Where, page: usize) -> String {
        match place {
            Where::Vcpu(_) if self.is_explicit_vcpu() => format!("spte[{page}]"),
            Where::Cpu(_) | Where::Device(_) | Where::Vcpu(_) | Where::Nowhere => self.pte(page),
        }
    }

    pub(super) fn allows(&self, entry: &str, write: bool) -> String {
        match write {
            true => format!("({} && ({entry} & {}) != 0)", self.things().present(entry), Bit::Rw.mask()),
            false => self.things().present(entry),
        }
    }

    /// What a walk marks.
    fn young(&self) -> u16 {
        if self.says("young") { Bit::Young.mask() } else { 0 }
    }

    fn is_split(&self) -> bool {
        self.option("walk", "split")
    }

    /// When the actor may walk although nothing forces it to, or must.
    fn may_fill(&self, cache: &str, write: bool) -> String {
        match self.option("evict", "off") {
            true => format!("!{}", self.allows(cache, write)),
            false => "true".to_owned(),
        }
    }

    /// The steps that fill the caches.
    fn walk(&self, walk: &Walk) -> Vec<Command> {
        let Walk { place, page, write, .. } = walk;
        let used = self.used(*place, *page);
        let wanted = self.may_fill(&used, *write);
        let filled = self.filled(*place, *page);
        let fills = format!("{wanted} && {}", self.may_fill(&filled, *write));
        let mut commands = self.before_walk(walk, &fills);
        commands.extend(self.fill(walk, &fills, &filled));
        if used != filled {
            commands.extend(self.translate_for_device(walk, &wanted, &filled, &used));
        }
        commands
    }

    /// The entry of the PASID, and the upper entry.
    fn before_walk(&self, walk: &Walk, wanted: &str) -> Vec<Command> {
        let mut commands = Vec::new();
        if let Some(cache) = self.pasid_cache(walk.place) {
            // What is lost is read again if it would be another one.
            let unknown = match self.option("evict", "off") {
                true => format!("{cache} == 0"),
                false => format!("{cache} != pasid"),
            };
            let named = format!("{unknown} && pasid != 0");
            let read = walk.here.clone().when(wanted).when(&named);
            commands.push(read.effect(&format!("{cache} = pasid")));
        }
        if let (Some(pmd), Some(cache)) = (self.scenario.pages[walk.page].pmd, self.upper_cache(walk)) {
            let entry = format!("pmd[{pmd}]");
            let again = self.looks_at_upper_again(walk, &cache);
            let read = walk.here.clone().when(wanted).when(&self.things().is_table(&entry)).when(&again);
            let read = self.through_pasid(walk, read);
            // What is cached already is not read again: that would be no step.
            let read = read.when(&format!("{cache} != {entry}"));
            commands.push(read.effect(&format!("{cache} = {entry}")));
        }
        commands
    }

    fn looks_at_upper_again(&self, walk: &Walk, cache: &str) -> String {
        match self.option("evict", "off") {
            true => format!("({cache} == 0 || !{})", self.allows(&self.pte(walk.page), walk.write)),
            false => "true".to_owned(),
        }
    }

    fn pasid_cache(&self, place: Where) -> Option<String> {
        match place {
            Where::Device(device) if self.scenario.devices[device].pasid => Some(format!("pasidc[{device}]")),
            Where::Device(_) | Where::Cpu(_) | Where::Vcpu(_) | Where::Nowhere => None,
        }
    }

    fn mm_number(&self, page: usize) -> usize {
        self.scenario.pages[page].mm.map_or(0, |mm| mm.0 + 1)
    }

    fn through_pasid(&self, walk: &Walk, command: Command) -> Command {
        match self.pasid_cache(walk.place) {
            Some(cache) if self.mistake != Mistake::PasidUnread => {
                command.when(&format!("{cache} == {}", self.mm_number(walk.page)))
            }
            Some(_) | None => command,
        }
    }

    fn upper_cache(&self, walk: &Walk) -> Option<String> {
        let (pmd, count) = (self.scenario.pages[walk.page].pmd?, self.scenario.pmds.len());
        match walk.place {
            Where::Cpu(cpu) => Some(format!("pwc[{}]", cpu * count + pmd)),
            Where::Device(device) => Some(format!("pwd[{}]", device * count + pmd)),
            Where::Vcpu(_) | Where::Nowhere => None,
        }
    }

    fn fill(&self, walk: &Walk, wanted: &str, filled: &str) -> Vec<Command> {
        let source = self.source(walk.place, walk.page);
        let explicit = matches!(walk.place, Where::Vcpu(_)) && self.is_explicit_vcpu();
        let guard = |command: Command| {
            let command = self.through_pasid(walk, command.when(wanted));
            // In two steps it may begin while the range is open, and is then begun again.
            let waits = matches!(walk.place, Where::Vcpu(_)) && !explicit && !self.is_split();
            if waits { command.when(&format!("inprog[{}] == 0", walk.page)) } else { command }
        };
        // Walking anew to what is cached already would be no step, unless it outlives what empties the cache; as a
        // statement it is one.
        let drained = !self.is_split() || !self.outlives(walk.place, "inv_drains");
        let changes = |command: Command, entry: &str| match walk.here.to == walk.then.to && drained {
            true => command.when(&self.is_new(walk.place, walk.page, filled, entry)),
            false => command,
        };
        let mut ways = Vec::new();
        match self.scenario.pages[walk.page].pmd.filter(|_| !explicit) {
            None => ways.push((self.allows(&source, walk.write), source.clone(), false)),
            Some(pmd) => {
                let upper = format!("pmd[{pmd}]");
                let cache = self.upper_cache(walk);
                let through = cache.clone().unwrap_or_else(|| self.things().is_table(&upper));
                ways.push((format!("{through} && {}", self.allows(&source, walk.write)), source, true));
                let again = cache.map_or("true".to_owned(), |cache| self.looks_at_upper_again(walk, &cache));
                ways.push((format!("{again} && {}", self.allows(&upper, walk.write)), upper, false));
            }
        }
        let mut commands = Vec::new();
        let way = self.way(walk.place, walk.page);
        for (allowed, entry, through_table) in ways {
            let young = format!("{entry} = ({entry} | {})", self.young());
            let base = if self.is_split() { &walk.here } else { &walk.then };
            let mut command = changes(guard(base.clone()).when(&allowed), &entry);
            if let Some(table) = self.table(walk.page).filter(|_| through_table) {
                // A walk that comes to a free table is broken, whatever it finds there.
                if !self.option("walk_after_free", "off") {
                    command = command.when(&format!("refs[{table}] > 0"));
                    let through = self.upper_cache(walk).unwrap_or_else(|| {
                        self.things().is_table(&format!(
                            "pmd[{}]",
                            self.scenario.pages[walk.page].pmd.expect("it has one")
                        ))
                    });
                    let freed = guard(walk.here.clone()).when(&through).when(&format!("refs[{table}] == 0"));
                    commands.push(freed.bad("true"));
                }
            }
            let command = command.effect(&young);
            commands.push(match self.is_split() {
                true => command.when(&format!("{way} == 0")).effect(&format!("{way} = {entry}")),
                false => command
                    .effect(&format!("{filled} = {entry}"))
                    .effects(&self.filled_for(walk.place, walk.page)),
            });
        }
        if self.is_split() {
            commands.push(self.arrives(walk, &way, filled, &walk.then));
        }
        commands
    }

    /// Where a walk of this place is on its way; whoever runs there goes on with it.
    pub(super) fn way(&self, place: Where, page: usize) -> String {
        let before = match place {
            Where::Cpu(cpu) => cpu,
            Where::Device(device) => self.scenario.cpus + device,
            Where::Vcpu(vcpu) => self.scenario.cpus + self.scenario.devices.len() + vcpu,
            Where::Nowhere => panic!("who runs nowhere does not walk"),
        };
        self.cached("wk", before, page)
    }

    /// What is on its way comes into the cache.
    fn arrives(&self, walk: &Walk, way: &str, cache: &str, base: &Command) -> Command {
        let mut command = base.clone().when(&format!("{way} != 0"));
        if matches!(walk.place, Where::Vcpu(_)) && !self.is_explicit_vcpu() {
            command = command.when(&format!("inprog[{}] == 0", walk.page));
        }
        let command = command.effect(&format!("{cache} = {way}"));
        command.effects(&self.filled_for(walk.place, walk.page)).effect(&format!("{way} = 0"))
    }

    /// Whether a walk of this place goes on when the cache is emptied that it fills.
    fn outlives(&self, place: Where, drains: &str) -> bool {
        let device = matches!(place, Where::Device(_));
        device && self.option(drains, "off") && !self.option("evict", "off")
    }

    fn translate_for_device(&self, walk: &Walk, wanted: &str, iotlb: &str, devtlb: &str) -> Vec<Command> {
        let Where::Device(device) = walk.place else { panic!("a device asks for translations") };
        let way = self.cached("ak", device, walk.page);
        let split = self.is_split();
        let base = if split { &walk.here } else { &walk.then };
        let mut command = base.clone().when(wanted).when(&self.allows(iotlb, walk.write));
        if !split || !self.outlives(walk.place, "ats_drains") {
            command = command.when(&format!("{devtlb} != {iotlb}"));
        }
        match split {
            false => vec![command.effect(&format!("{devtlb} = {iotlb}"))],
            true => {
                let asked = command.when(&format!("{way} == 0")).effect(&format!("{way} = {iotlb}"));
                let arrived = walk.then.clone().when(&format!("{way} != 0"));
                vec![asked, arrived.effect(&format!("{devtlb} = {way}")).effect(&format!("{way} = 0"))]
            }
        }
    }

    /// `walk A` as a statement.
    pub(super) fn walk_statement(&mut self, agent: usize, place: &Place<'s>, page: Page) {
        let at = self.place(agent);
        let here = Self::command(agent, place, place.here);
        let then = Self::command(agent, place, place.then);
        let (filled, used) = (self.filled(at, page.0), self.used(at, page.0));
        let wanted = self.may_fill(&used, false);
        let fills = format!("{wanted} && {}", self.may_fill(&filled, false));
        // Where the device TLB is apart, the statement is over when that is filled.
        let apart = used != filled;
        let walked = if apart { here.clone() } else { then.clone() };
        let walk = Walk { place: at, page: page.0, write: false, here, then: walked };
        let mut commands = self.before_walk(&walk, &fills);
        commands.extend(self.fill(&walk, &fills, &filled));
        if apart {
            let ats = Walk { then: then.clone(), ..walk };
            commands.extend(self.translate_for_device(&ats, &wanted, &filled, &used));
        }
        // What an access would go through is there already.
        commands.push(then.when(&format!("{used} != 0")).effect("skip"));
        self.commands.extend(self.where_it_runs(at, page.0, commands));
    }

    /// A load, a store or DMA.
    pub(super) fn access(&mut self, agent: usize, place: &Place<'s>, step: &Step, page: Page) {
        let Step::Access { how, .. } = step else { panic!("{step} is no access") };
        let write = match how {
            Access::Write(value) => Some(*value),
            Access::Read => None,
            Access::Walk => panic!("{step} uses nothing"),
        };
        let at = self.place(agent);
        let here = Self::command(agent, place, place.here);
        let walk =
            Walk { place: at, page: page.0, write: write.is_some(), here: here.clone(), then: here.clone() };
        let skips = self.mistake == Mistake::StoreSkipsTlb && write.is_some();
        let cache = if skips { self.source(at, page.0) } else { self.used(at, page.0) };
        let mut commands = self.walk(&walk);
        let clean = format!("({cache} & {}) == 0", Bit::Dirty.mask());
        let dirty_matters = write.is_some() && self.says("dirty");
        let allowed = self.allows(&cache, write.is_some());
        if dirty_matters {
            commands.push(self.set_dirty(here.when(&allowed).when(&clean), at, page.0, &cache));
        }
        let mut command = Self::command(agent, place, place.then).named(&step.to_string()).when(&allowed);
        if dirty_matters {
            command = command.when(&format!("!({clean})"));
        }
        let frame = format!("({cache} & 15)");
        command = self.use_after_free(command, &frame, "true").touch(Touch {
            is_write: write.is_some(),
            page: Some((page.0 + 1).to_string()),
            frame: frame.clone(),
            value: write.map_or_else(|| format!("content[{frame}]"), |value| value.to_string()),
            happens: "true".to_owned(),
        });
        if let Some(value) = write {
            if self.is_tso() {
                command = command.when(&Self::is_empty(agent));
            }
            command = command.effect(&format!("content[{frame}] = {value}"));
        }
        commands.push(command);
        self.commands.extend(self.where_it_runs(at, page.0, commands));
    }

    /// The bit is set in the page table and in the cache, or the cached entry is dropped.
    fn set_dirty(&self, command: Command, place: Where, page: usize, cache: &str) -> Command {
        let (entry, bit) = (self.source(place, page), Bit::Dirty.mask());
        let same =
            |entry: &str| format!("({} && ({entry} & 15) == ({cache} & 15))", self.allows(entry, true));
        // A huge translation is marked in the upper entry from which it came.
        let upper = self.scenario.pages[page].pmd.map(|pmd| format!("pmd[{pmd}]"));
        let mut command = command.effect(&format!("tmp = {}", same(&entry)));
        if let Some(upper) = &upper {
            command = command
                .effect(&format!(
                    "tmp = ({} -> 2 : ({} -> tmp : 0))",
                    same(upper),
                    self.things().is_table(upper)
                ))
                .effect(&format!("{upper} = (tmp == 2 -> ({upper} | {bit}) : {upper})"));
        }
        command
            .effect(&format!("{cache} = (tmp != 0 -> ({cache} | {bit}) : 0)"))
            .effect(&format!("{entry} = (tmp == 1 -> ({entry} | {bit}) : {entry})"))
            .effect("tmp = 0")
    }

    /// The walkers' steps.
    pub(super) fn speculation(&mut self) {
        for place in self.walkers() {
            for page in self.translated(place) {
                let nobody = Command::default();
                let walk = Walk { place, page, write: false, here: nobody.clone(), then: nobody.clone() };
                let commands = self.walk(&walk);
                self.commands.extend(self.where_it_runs(place, page, commands));
            }
        }
    }

    /// The pages that the programs of this place translate.
    fn translated(&self, place: Where) -> Vec<usize> {
        let of = |page: usize| {
            self.scenario.agents.iter().enumerate().any(|(number, agent)| {
                agent.place == place
                    && self
                        .does(number, &|step| matches!(step, Step::Access { page: of, .. } if of.0 == page))
            })
        };
        (0..self.scenario.pages.len()).filter(|page| of(*page)).collect()
    }

    pub(super) fn page_request(&mut self, agent: usize, place: &Place<'s>, page: Page) {
        let waits = self.fresh(agent);
        let Where::Device(device) = self.place(agent) else { panic!("a device asks") };
        let named = match self.scenario.devices[device].pasid {
            true => format!("pasid == {}", self.mm_number(page.0)),
            false => "true".to_owned(),
        };
        let text = Statement::Step(Step::PageRequest(page)).line();
        let asks = Self::command(agent, place, waits)
            .named(&text)
            .when(&named)
            .effect(&format!("req[{}] = 1", page.0));
        let refused = Self::command(agent, place, place.then).when(&format!("!({named})")).named(&text);
        let answered =
            Command { agent: Some(agent), from: vec![waits], to: Some(place.then), ..Command::default() }
                .when(&format!("req[{}] == 0", page.0));
        self.commands.extend([asks, refused, answered]);
    }
}
