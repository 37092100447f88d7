//! A driver of the smallest kind, as a microkernel has it: legacy mode, no queue, a device that is attached, used, detached,
//! and attached again. With `bug=NAME` it makes one mistake.
//!
//! Invariant: without a bug a device that is detached reaches nothing, not even its own ring, and its page may be given to
//! somebody else. With one the program always ends with success, as the workload does. Source: VT-d 6.5.3.1 (a context entry
//! goes: context cache, then IOTLB), 6.5.1 (registers).

use crate::bug::{self, Bug, Forgotten};
use crate::console::say;
use crate::driver::Driver;
use crate::ending;
use crate::engine::{Job, Target};
use crate::entry::Levels;
use crate::id::{Domain, Iova};
use crate::memory::{CommandLine, Frame, Memory};
use crate::space::{Kind, Space};
use crate::workload::tally::Tally;

/// Rounds, unless `rounds=N` says otherwise.
const ROUNDS: u64 = 16;
const DOMAIN: Domain = Domain(0x10);
/// Where the device's page is.
const AT: Iova = Iova(0x1_0000_0000);

struct Detach {
    driver: Driver,
    bug: Option<Bug>,
    space: Space,
    /// The device's page, and somebody else's.
    pages: [Frame; 2],
    tally: Tally,
}

/// Runs it and ends the machine.
pub fn run(memory: Memory, line: &CommandLine) -> ! {
    let (bug, mut driver) = match (Bug::wanted(line.value("bug")), Driver::start(memory)) {
        (Ok(bug), Ok(driver)) => (bug, driver),
        (Err(unknown), _) => {
            say!("FAILED {unknown}");
            ending::failed()
        }
        (_, Err(lacking)) => {
            say!("FAILED {lacking}");
            ending::failed()
        }
    };
    driver.unit.leave_queue();
    let source = driver.source(0);
    let space = Space::new(&mut driver.memory, Kind::Second(Levels::Four), source, DOMAIN, None);
    driver.lend_ring(&space);
    let pages = [driver.memory.frame(), driver.memory.frame()];
    let mut detach = Detach { driver, bug, space, pages, tally: Tally::default() };
    (0..line.number("rounds").unwrap_or(ROUNDS)).for_each(|_| detach.round());
    detach.tally.conclude(bug)
}

impl Detach {
    fn round(&mut self) {
        self.attach();
        self.transfer();
        self.driver.clear_entry(&self.space);
        self.forget(bug::detached(self.bug));
        self.pages.reverse();
        self.try_in_vain();
    }

    fn attach(&mut self) {
        self.space.map(&mut self.driver.memory, AT, self.pages[0]);
        self.driver.write_entry(&self.space);
        if self.driver.unit.caches_absent() {
            self.forget(bug::detached(None));
        }
    }

    fn forget(&self, what: &[Forgotten]) {
        for forgotten in what {
            match forgotten {
                Forgotten::Contexts => self.driver.unit.forget_contexts(),
                Forgotten::Translations => self.driver.unit.forget_translations(),
            }
        }
    }

    fn transfer(&mut self) {
        self.tally.all += 1;
        let word = self.tally.all;
        match self.driver.write(&self.space, AT, word) {
            Err(_) => self.tally.blocked += 1,
            Ok(_) if self.pages[0].load(0) != word => self.tally.astray += 1,
            Ok(_) => {}
        }
    }

    /// The device has not been told that it is detached.
    fn try_in_vain(&mut self) {
        let job = Job::Write(Target { pasid: None, at: AT }, u64::MAX);
        if !self.driver.engine(&self.space).gives_up(job) {
            self.tally.all += 1;
            self.tally.astray += 1;
        }
        self.driver.unit.forget_faults();
    }
}
