//! Pages that the device works on while their mapping changes, and what each of its accesses must have found.
//!
//! Three kinds lie one behind the other. Marks: nobody writes them meanwhile; each has a word of its own, so the sum of all
//! says of each page what was read. Targets: the device writes them. Counters: the device changes words of them atomically,
//! and the old value that it gives is the one that it left.
//! Invariant: an access is counted when what it found is checked; one that fails is checked for being allowed to.

use std::io;
use std::sync::OnceLock;

use crate::engine::{Engine, Outcome, REFUSED, Work};
use crate::memory::{PAGE, Region, WORDS};
use crate::tally::Tally;

pub(crate) const MARKS: usize = 24;
pub(crate) const TARGETS: usize = 16;
pub(crate) const COUNTERS: usize = 24;
pub(crate) const PAGES: usize = MARKS + TARGETS + COUNTERS;
/// Words of a counter page.
const ADDED: usize = 3;
const SWAPPED: usize = 100;
const COMPARED: usize = 200;
/// The sum of a page's words is this often its mark.
const SUM_BITS: usize = WORDS.trailing_zeros() as usize;

/// How often the device does the same while the mapping changes.
const BATCHES: usize = 3;
/// How often it reads the marks in one of them.
const READS: usize = 24;

/// What may become of pages while the operation goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Each keeps what it has.
    Keep,
    /// Each may become zeroes.
    BeZero,
    /// Each keeps what it has, and may be out of reach.
    BeRefused,
}

/// What stands in a mark page: two bits of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    Zero = 0,
    First = 1,
    Second = 2,
}

impl Mark {
    const fn word(self, page: usize) -> u64 {
        (self as u64) << (2 * page)
    }
}

/// The pages, and what stands in them.
pub(crate) struct Bench<'a> {
    engine: &'a Engine,
    tally: &'a Tally,
    pub(crate) region: Region,
    /// Where marks are copied to.
    sink: Region,
    mark: Mark,
    /// Mark pages that were found zero since the operation began: they stay so.
    zero: u64,
    target: u64,
    /// The target of the last batch that was checked.
    checked: u64,
    added: [u64; COUNTERS],
    swapped: [u64; COUNTERS],
    compared: [u64; COUNTERS],
}

/// Mapped once: to map it again is a change of more pages than one flush of a range has.
static SINK: OnceLock<Region> = OnceLock::new();

fn sink() -> io::Result<Region> {
    if let Some(sink) = SINK.get() {
        return Ok(*sink);
    }
    let sink = Region::place(63, BATCHES * MARKS).map()?;
    // So that the device need not ask for what is not under test.
    (0..sink.pages).for_each(|page| sink.store(page, 0, !0));
    Ok(*SINK.get_or_init(|| sink))
}

impl<'a> Bench<'a> {
    /// The first pages of a region, which are all zeroes.
    pub(crate) fn of(engine: &'a Engine, tally: &'a Tally, region: Region) -> io::Result<Self> {
        let sink = sink()?;
        let zero = [0; COUNTERS];
        let region = region.part(0, PAGES);
        let (mark, target) = (Mark::Zero, 0);
        Ok(Self {
            engine,
            tally,
            region,
            sink,
            mark,
            zero: 0,
            target,
            checked: target,
            added: zero,
            swapped: zero,
            compared: zero,
        })
    }

    pub(crate) fn marks(&self) -> Region {
        self.region.part(0, MARKS)
    }

    pub(crate) fn targets(&self) -> Region {
        self.region.part(MARKS, TARGETS)
    }

    pub(crate) fn counters(&self) -> Region {
        self.region.part(MARKS + TARGETS, COUNTERS)
    }

    /// The processor writes all marks, and the device reads them. What the other pages have stays.
    pub(crate) fn write_marks(&mut self, mark: Mark) -> io::Result<()> {
        self.mark = mark;
        self.zero = 0;
        for page in 0..MARKS {
            self.marks().fill(page, mark.word(page));
        }
        // So that the device need not ask for each of them: a page request takes long.
        for page in MARKS..PAGES {
            self.region.store(page, WORDS - 1, self.region.load(page, WORDS - 1));
        }
        self.expect_marks()
    }

    /// The device reads each mark, and nothing else.
    pub(crate) fn expect_marks(&mut self) -> io::Result<()> {
        let read = Work::Read { at: self.region.at, bytes: MARKS * PAGE };
        let outcome = self.engine.one(read)?;
        self.tally.claim(outcome.is_done(), || format!("marks are not read: {outcome:?}"));
        self.check_marks(outcome, May::Keep);
        Ok(())
    }

    /// The mapping is changed while the device works, and what the device left is there.
    pub(crate) fn during(&mut self, may: May, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.race(may, change)?;
        self.settle(may);
        Ok(())
    }

    /// As above; the pages may be gone then.
    pub(crate) fn race(&mut self, may: May, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.zero = 0;
        // Once before: the device holds translations that the change makes stale.
        self.work(may)?;
        let batches: Vec<_> = (0..BATCHES).map(|number| self.batch(number)).collect();
        self.engine.post(&batches.concat())?;
        let changed = change();
        for (number, batch) in batches.iter().enumerate() {
            let outcomes = self.engine.wait(batch.len())?;
            self.check(number, &outcomes, may)?;
        }
        changed
    }

    /// One batch while nothing changes.
    pub(crate) fn work(&mut self, may: May) -> io::Result<()> {
        let batch = self.batch(0);
        let outcomes = self.engine.run(&batch)?;
        self.check(0, &outcomes, may)
    }

    /// Each page is read, written and copied, words are added to, swapped and compared.
    fn batch(&mut self, number: usize) -> Vec<Work> {
        self.target += 1;
        let (marks, targets, sink) = (self.marks(), self.targets(), self.sink(number));
        let read = |region: Region| Work::Read { at: region.at, bytes: region.bytes() };
        let mut works = vec![
            Work::Write { at: targets.at, bytes: targets.bytes(), value: self.target },
            Work::Copy { from: marks.at, to: sink.at, bytes: marks.bytes() },
            read(targets),
        ];
        works.extend([read(marks); READS]);
        works.extend((0..COUNTERS).map(|page| self.atomic(page)));
        works
    }

    /// In the order of the accesses: what was found zero stays so.
    fn check(&mut self, number: usize, outcomes: &[Outcome], may: May) -> io::Result<()> {
        let [written, copied, targets, others @ ..] = outcomes else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        // Batches were made one after the other; the last has the last target.
        let target = self.checked + 1;
        self.checked = target;
        for outcome in outcomes {
            self.check_code(*outcome, may);
        }
        self.check_sink(number, *copied, may);
        self.check_targets(target, *written, *targets, may);
        let (reads, atomics) = others.split_at(READS);
        for outcome in reads {
            self.check_marks(*outcome, may);
        }
        for (page, outcome) in atomics.iter().enumerate() {
            self.check_atomic(page, target, *outcome, may);
        }
        Ok(())
    }

    fn sink(&self, number: usize) -> Region {
        self.sink.part(number * MARKS, MARKS)
    }

    fn check_code(&self, outcome: Outcome, may: May) {
        if !outcome.is_done() {
            let is_allowed = may == May::BeRefused && outcome.code == REFUSED;
            self.tally.refused();
            self.tally.claim(is_allowed, || format!("an access fails: {outcome:?}"));
        }
    }

    /// The sum has two bits for each page.
    fn check_marks(&mut self, outcome: Outcome, may: May) {
        if !outcome.is_done() {
            return;
        }
        self.tally.accessed(MARKS);
        let digits = outcome.result >> SUM_BITS;
        let may_be_zero = may == May::BeZero;
        let is_sum = outcome.result.trailing_zeros() as usize >= SUM_BITS && digits >> (2 * MARKS) == 0;
        self.tally.claim(is_sum, || format!("no sum of marks: {:#x}", outcome.result));
        for page in 0..MARKS {
            let digit = digits >> (2 * page) & 3;
            let is_right = self.is_right_mark(page, digit == 0, digit == self.mark as u64, may_be_zero);
            self.tally
                .claim(is_right, || format!("mark {page} is read as {digit}, {:?} is there", self.mark));
        }
    }

    fn is_right_mark(&mut self, page: usize, is_zero: bool, is_mark: bool, may_be_zero: bool) -> bool {
        let was_zero = self.zero >> page & 1 == 1;
        if is_zero && may_be_zero {
            self.zero |= 1 << page;
        }
        is_mark && (!was_zero || self.mark == Mark::Zero) || is_zero && may_be_zero
    }

    /// What was just written is read again, from all pages or, where pages become zeroes, from some.
    fn check_targets(&self, target: u64, written: Outcome, read: Outcome, may: May) {
        if written.is_done() {
            self.tally.accessed(TARGETS);
        }
        if !written.is_done() || !read.is_done() {
            return;
        }
        self.tally.accessed(TARGETS);
        let page = target * WORDS as u64;
        let pages = read.result / page;
        let is_whole = read.result.is_multiple_of(page);
        let is_right = is_whole && (pages == TARGETS as u64 || may == May::BeZero && pages <= TARGETS as u64);
        self.tally.claim(is_right, || format!("targets are read as {pages} pages, {:#x}", read.result));
    }

    fn check_sink(&mut self, number: usize, copied: Outcome, may: May) {
        if !copied.is_done() {
            return;
        }
        self.tally.accessed(2 * MARKS);
        let sink = self.sink(number);
        for page in 0..MARKS {
            let (is_zero, is_mark) = (sink.is_all(page, 0), sink.is_all(page, self.mark.word(page)));
            let is_right = self.is_right_mark(page, is_zero, is_mark, may == May::BeZero);
            self.tally.claim(is_right, || format!("mark {page} is copied as {:#x}", sink.load(page, 0)));
        }
    }

    /// Which atomic a page has, by turns.
    fn atomic(&self, page: usize) -> Work {
        let counters = self.counters();
        match page % 3 {
            0 => Work::FetchAdd { at: counters.word(page, ADDED), value: 1 },
            1 => Work::Swap { at: counters.word(page, SWAPPED), value: self.target },
            _ => Work::CompareSwap {
                at: counters.word(page, COMPARED),
                from: self.target - 1,
                to: self.target,
            },
        }
    }

    fn check_atomic(&mut self, page: usize, target: u64, outcome: Outcome, may: May) {
        if !outcome.is_done() {
            return;
        }
        self.tally.accessed(1);
        let known = match page % 3 {
            0 => &mut self.added[page],
            1 => &mut self.swapped[page],
            _ => &mut self.compared[page],
        };
        let (found, wanted) = (outcome.result, *known);
        let is_right = found == wanted || may == May::BeZero && found == 0;
        *known = match page % 3 {
            0 => found + 1,
            2 if found + 1 != target => found,
            _ => target,
        };
        self.tally.claim(is_right, || format!("counter {page} was {found}, not {wanted}"));
    }

    /// The processor finds what the device has left; where pages may be zeroes, that is what is there from now on.
    pub(crate) fn settle(&mut self, may: May) {
        let counters = self.counters();
        for page in 0..COUNTERS {
            let (known, word) = match page % 3 {
                0 => (&mut self.added[page], ADDED),
                1 => (&mut self.swapped[page], SWAPPED),
                _ => (&mut self.compared[page], COMPARED),
            };
            let found = counters.load(page, word);
            let is_right = found == *known || may == May::BeZero && found == 0;
            self.tally.claim(is_right, || format!("counter {page} has {found}, not {known}"));
            *known = found;
        }
        for page in 0..TARGETS {
            let (first, last) = (self.targets().load(page, 0), self.targets().load(page, WORDS - 1));
            let is_right = may == May::BeRefused
                || first == last && (first == self.target || may == May::BeZero && first == 0);
            self.tally
                .claim(is_right, || format!("target {page} has {first} and {last}, not {}", self.target));
        }
    }

    /// What the device wrote last is there.
    pub(crate) fn expect_targets(&self) {
        for page in 0..TARGETS {
            let found = self.targets().load(page, WORDS - 1);
            self.tally
                .claim(found == self.target, || format!("target {page} has {found}, not {}", self.target));
        }
    }

    /// The device finds zeroes in all marks.
    pub(crate) fn expect_zeroes(&mut self) -> io::Result<()> {
        self.mark = Mark::Zero;
        self.expect_marks()
    }

    /// Each page is out of the device's reach, and keeps what it has.
    pub(crate) fn expect_no_writes(&self, region: Region) -> io::Result<()> {
        let works: Vec<_> = (0..region.pages)
            .map(|page| Work::Write { at: region.word(page, 0), bytes: 8, value: !0 })
            .collect();
        self.expect_refusals(&works)
    }

    /// As above, and cannot be read either.
    pub(crate) fn expect_no_reads(&self, region: Region) -> io::Result<()> {
        let works: Vec<_> =
            (0..region.pages).map(|page| Work::Read { at: region.word(page, 0), bytes: 8 }).collect();
        self.expect_refusals(&works)
    }

    fn expect_refusals(&self, works: &[Work]) -> io::Result<()> {
        for outcome in self.engine.run(works)? {
            self.tally.accessed(1);
            self.tally.refused();
            self.tally.claim(outcome.code == REFUSED, || format!("not refused: {outcome:?}"));
        }
        Ok(())
    }
}
