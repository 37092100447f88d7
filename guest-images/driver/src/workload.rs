//! What drivers do all day: pages are mapped, used by a device, unmapped and given to somebody else; tables are replaced, and
//! processes; interrupts move to other vectors. With `bug=NAME` the driver makes one mistake.
//!
//! Invariant: without a bug each transfer reaches the page that is mapped when it begins and each interrupt the vector that
//! the table has then, and the program ends with success only then. With one it always does: what the mistake leads to is told, and what the unit thinks of it is not asked.

mod large;
mod line;
pub(crate) mod tally;
mod tenant;

use crate::bug::{self, Bug, Plan, Replacing};
use crate::console::say;
use crate::driver::{Driver, ENGINES};
use crate::ending;
use crate::memory::{CommandLine, Memory};
use crate::unit::Mode;
use line::{Line, lines};
use tally::Tally;
use tenant::{MOST, Tenant, tenants};

/// Rounds, unless `rounds=N` says otherwise.
const ROUNDS: u64 = 16;

/// One run of it.
struct Workload {
    driver: Driver,
    bug: Option<Bug>,
    tenants: [Option<Tenant>; MOST],
    lines: [Option<Line>; ENGINES],
    tally: Tally,
}

/// Runs it and ends the machine.
pub fn run(memory: Memory, line: &CommandLine) -> ! {
    let bug = match Bug::wanted(line.value("bug")) {
        Ok(bug) => bug,
        Err(unknown) => {
            say!("FAILED {unknown}");
            ending::failed()
        }
    };
    let mut driver = match Driver::start(memory) {
        Ok(driver) => driver,
        Err(lacking) => {
            say!("FAILED {lacking}");
            ending::failed()
        }
    };
    if driver.unit.has_scalable_mode() {
        driver.switch(Mode::Scalable);
    }
    let tenants = tenants(&mut driver);
    let lines = lines(&mut driver);
    let mut workload = Workload { driver, bug, tenants, lines, tally: Tally::default() };
    (0..line.number("rounds").unwrap_or(ROUNDS)).for_each(|_| workload.round());
    workload.tally.conclude(bug)
}

impl Workload {
    fn round(&mut self) {
        self.each(Self::map_and_use);
        self.each(Self::unmap_and_give_back);
        self.each(Self::map_again_and_use);
        self.move_interrupts();
        // Somebody waits for something of his own.
        self.driver.invalidate(&[]);
        self.each(Self::use_again);
        self.interrupt();
        self.each(Self::replace_table_and_use);
        self.each(Self::replace_space_and_use);
        self.each(Self::clean_up);
        self.exchange_interrupts();
        self.each(Self::unmap_middle_and_use);
    }

    fn each(&mut self, act: impl Fn(&mut Self, &mut Tenant)) {
        for number in 0..MOST {
            if let Some(mut tenant) = self.tenants[number] {
                act(self, &mut tenant);
                self.tenants[number] = Some(tenant);
            }
        }
    }

    fn map_and_use(&mut self, tenant: &mut Tenant) {
        // A device that comes too early is blocked.
        let _too_early = self.driver.write(&tenant.space, tenant.at, 0);
        self.map(tenant);
        self.transfer(tenant);
    }

    fn unmap_and_give_back(&mut self, tenant: &mut Tenant) {
        let change = tenant.space.unmap(&mut self.driver.memory, tenant.at);
        self.carry_out(tenant, &bug::unmapped(self.bug, &change));
        tenant.give_back();
    }

    fn map_again_and_use(&mut self, tenant: &mut Tenant) {
        self.map(tenant);
        self.transfer(tenant);
    }

    fn use_again(&mut self, tenant: &mut Tenant) {
        self.transfer(tenant);
    }

    fn replace_table_and_use(&mut self, tenant: &mut Tenant) {
        let next = tenant.give_back();
        let change = tenant.space.replace_table(&mut self.driver.memory, tenant.at, next);
        self.carry_out(tenant, &bug::table_replaced(self.bug, &change));
        self.transfer(tenant);
    }

    /// Another process under the same PASID, or another domain of a device.
    fn replace_space_and_use(&mut self, tenant: &mut Tenant) {
        let (next, old, memory) = (tenant.give_back(), tenant.space, &mut self.driver.memory);
        let (space, plan) = match old.pasid {
            Some(pasid) => (old.sibling(memory, Some(pasid)), bug::process_replaced(self.bug, &old, pasid)),
            None => (
                old.successor(memory, tenant.other_domain()),
                bug::device_moved(self.bug, &old, self.driver.mode()),
            ),
        };
        tenant.space = space;
        space.map(&mut self.driver.memory, tenant.at, next);
        self.driver.lend_ring(&space);
        let how = match old.pasid {
            Some(_) => Replacing::InOrder,
            None => bug::device_moves(self.bug, self.driver.mode()),
        };
        match how {
            Replacing::InOrder => self.replace_in_order(tenant, &plan),
            Replacing::InPlace => {
                self.driver.write_entry_in_place(&space, |driver| {
                    let _meanwhile = driver.read(&old, tenant.at);
                });
                self.carry_out(tenant, &plan);
            }
        }
        self.transfer(tenant);
    }

    fn replace_in_order(&mut self, tenant: &Tenant, plan: &Plan) {
        self.driver.make_way(&tenant.space);
        self.carry_out(tenant, plan);
        self.driver.write_entry(&tenant.space);
        if self.driver.unit.caches_absent() {
            self.driver.flush_all();
        }
    }

    fn move_interrupts(&mut self) {
        self.interrupt();
        for line in self.lines.iter_mut().flatten() {
            line.move_over(&self.driver);
            let plan = bug::interrupt_moved(self.bug, line.index);
            self.driver.submit(plan.lists[0].items(), plan.waiting);
        }
        self.interrupt();
    }

    /// Lets each engine interrupt.
    fn interrupt(&mut self) {
        for line in self.lines.iter().flatten() {
            self.tally.count_interrupt(line.arrives(&mut self.driver));
        }
    }

    /// The interrupt entry of each device becomes the other's.
    fn exchange_interrupts(&mut self) {
        let [Some(first), Some(second)] = &mut self.lines else { return };
        match bug::interrupts_exchanged(self.bug) {
            Replacing::InOrder => Line::exchange(first, second, &mut self.driver),
            Replacing::InPlace => {
                for (last, next) in [(&*first, &*second), (&*second, &*first)] {
                    self.tally.count_interrupt(last.give_entry_to(next, &mut self.driver));
                }
                self.driver.invalidate(&[first.forgotten(), second.forgotten()]);
                first.take_entry_of(second, &mut self.driver);
            }
        }
        self.interrupt();
    }

    /// As the driver without bugs does it.
    fn clean_up(&mut self, tenant: &mut Tenant) {
        let change = tenant.space.unmap(&mut self.driver.memory, tenant.at);
        self.carry_out(tenant, &bug::unmapped(None, &change));
        tenant.give_back();
    }

    fn map(&mut self, tenant: &Tenant) {
        tenant.space.map(&mut self.driver.memory, tenant.at, tenant.own());
        if self.driver.unit.caches_absent() {
            self.carry_out(tenant, &bug::mapped(self.bug));
        }
    }

    /// The device does not stand still while the driver waits for the first of two lists.
    fn carry_out(&mut self, tenant: &Tenant, plan: &Plan) {
        let [first, then] = plan.lists;
        self.driver.submit(first.items(), plan.waiting);
        if !then.items().is_empty() {
            let _meanwhile = self.driver.read(&tenant.space, tenant.at);
            self.driver.submit(then.items(), plan.waiting);
        }
    }

    /// Lets the device write to the tenant's page and read it again.
    fn transfer(&mut self, tenant: &Tenant) {
        self.tally.all += 1;
        let word = self.tally.all;
        let written = self.driver.write(&tenant.space, tenant.at, word);
        let read = self.driver.read(&tenant.space, tenant.at);
        if written.is_err() || read.is_err() {
            self.tally.blocked += 1;
        } else if tenant.own().load(0) != word || read != Ok(word) {
            self.tally.astray += 1;
        }
    }
}
