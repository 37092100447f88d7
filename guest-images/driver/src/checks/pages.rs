//! Pages that are missing: asked for, granted, refused, lost and found.
//!
//! Invariant: whoever asks is answered, and a descriptor ends with its page or with a code. Source: VT-d 7.4 (queue and
//! overflow), 7.7 (answers), 7.11 (draining).

use super::{Checks, Complaint, Note, Page, expect};
use crate::apic;
use crate::caches::Keeps;
use crate::descriptor::Also;
use crate::engine::{Begun, Job, Target};
use crate::entry::{DeviceTlb, Levels};
use crate::id::{Iova, Pasid, Vector};
use crate::interrupt_entry::Message;
use crate::interrupts;
use crate::page_request::{Answer, Asked};
use crate::patience::wait_until;
use crate::policy::Policy;
use crate::space::{Kind, Space};
use crate::unit::{Event, Mode, Requests};

const PASID: Pasid = Pasid(3);
const STOPPED: Pasid = Pasid(6);
const DOOMED: Pasid = Pasid(4);
/// The engine's codes: blocked by the unit, asked for a page and was refused.
const REFUSED: u8 = 8;

type Check = fn(&mut Pager<'_>) -> Result<Note, Complaint>;

const CHECKS: [(&str, Check); 7] = [
    ("granted", granted),
    ("granted too early", too_early),
    ("event", event),
    ("refused", refused),
    ("overflow", overflow),
    ("stop marker", stopped),
    ("torn down", torn_down),
];

/// A process whose pages come when they are asked for.
struct Pager<'a> {
    checks: &'a mut Checks,
    space: Space,
    requests: Requests,
}

/// All of them.
pub(super) fn all(checks: &mut Checks) {
    let outcome = match lacking(checks) {
        Some(why) => Ok(Note::Absent(why)),
        None => return run(checks),
    };
    checks.note(format_args!("page request"), outcome);
}

fn lacking(checks: &mut Checks) -> Option<&'static str> {
    if !checks.driver.unit.has_page_requests() {
        return Some("the unit takes no page requests");
    }
    let can_ask = checks.driver.engine_number(0).ask_for_pages(false);
    (!can_ask).then_some("the engine asks for no pages")
}

fn run(checks: &mut Checks) {
    apic::enable();
    checks.driver.switch(Mode::Scalable);
    let requests = Requests::start(checks.driver.memory.frame());
    let space = process(checks, PASID);
    let mut pager = Pager { checks, space, requests };
    for (name, check) in CHECKS {
        let outcome = check(&mut pager);
        pager.checks.note(format_args!("page request {name}"), outcome);
    }
    checks.driver.unit.unmask_event(Event::Request, false);
    let _can_ask = checks.driver.engine_number(0).ask_for_pages(false);
}

/// A process in which nothing is mapped, of an engine that may ask.
fn process(checks: &mut Checks, pasid: Pasid) -> Space {
    let space = checks.space(0, Kind::First(Levels::Four), Some(pasid)).with(DeviceTlb::On);
    checks.driver.attach(&space);
    let _can_ask = checks.driver.engine_number(0).ask_for_pages(true);
    space
}

impl Pager<'_> {
    fn read(&mut self, page: &Page) -> Begun<1> {
        let target = Target { pasid: page.space.pasid, at: page.at };
        self.checks.driver.engine(&page.space).begin([Job::Read(target)])
    }

    fn write(&mut self, page: &Page, word: u64) -> Begun<1> {
        let target = Target { pasid: page.space.pasid, at: page.at };
        self.checks.driver.engine(&page.space).begin([Job::Write(target, word)])
    }

    /// Waits for the request that must come now: for that page.
    fn asked(&mut self, page: &Page, writes: bool) -> Result<Asked, Complaint> {
        let asked = self.requests.wait();
        let right = Asked {
            source: page.space.source,
            pasid: page.space.pasid,
            page: page.at,
            group: asked.group,
            is_last: true,
            reads: true,
            writes,
        };
        expect("asked for", page.at, Ok((asked == right).into()), Ok(1))?;
        Ok(asked)
    }

    /// Maps the page to its first frame, and says so.
    fn grant(&mut self, page: &Page, asked: &Asked) {
        self.checks.driver.map(&page.space, page.at, page.old);
        self.checks.driver.answer(asked, Answer::Success);
    }

    fn expect_end(
        &mut self,
        when: &'static str,
        page: &Page,
        begun: Begun<1>,
        expected: Result<u64, u8>,
    ) -> Result<Note, Complaint> {
        let [found] = self.checks.driver.engine(&page.space).end(begun);
        expect(when, page.at, found, expected)
    }

    fn missing(&mut self) -> Page {
        let space = self.space;
        self.checks.missing_page(&space)
    }
}

fn granted(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let page = pager.missing();
    let begun = pager.read(&page);
    let asked = pager.asked(&page, false)?;
    pager.grant(&page, &asked);
    pager.expect_end("read", &page, begun, Ok(page.old_word()))?;
    let page = pager.missing();
    let begun = pager.write(&page, 0x5a5a);
    let asked = pager.asked(&page, true)?;
    pager.grant(&page, &asked);
    pager.expect_end("write", &page, begun, Ok(0))?;
    expect("written", page.at, Ok(page.old.load(0)), Ok(0x5a5a))?;
    expect("faults", page.at, Ok(pager.checks.driver.unit.take_fault().is_some().into()), Ok(0))
}

/// An answer does not make a page: who finds it missing asks again.
fn too_early(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let page = pager.missing();
    let begun = pager.read(&page);
    let asked = pager.asked(&page, false)?;
    pager.checks.driver.answer(&asked, Answer::Success);
    let again = pager.asked(&page, false)?;
    expect("another group", page.at, Ok((asked.group != again.group).into()), Ok(1))?;
    pager.grant(&page, &again);
    pager.expect_end("read", &page, begun, Ok(page.old_word()))
}

/// The event comes with the first request, and with the next one after software has looked.
fn event(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let vector = pager.checks.vector();
    pager.checks.driver.unit.set_event(Event::Request, Message::direct(vector));
    pager.checks.driver.unit.unmask_event(Event::Request, true);
    for times in 1..3 {
        let page = pager.missing();
        let begun = pager.read(&page);
        wait_until("the event of a page request", || interrupts::count(vector) >= times);
        let asked = pager.asked(&page, false)?;
        pager.grant(&page, &asked);
        pager.expect_end("read", &page, begun, Ok(page.old_word()))?;
        expect_count(vector, times)?;
    }
    Ok(Note::Held)
}

fn expect_count(vector: Vector, times: u64) -> Result<Note, Complaint> {
    expect("events", Iova(vector.0.into()), Ok(interrupts::count(vector)), Ok(times))
}

fn refused(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    for (answer, is_failure) in [(Answer::Invalid, false), (Answer::Failure, true)] {
        let page = pager.missing();
        let begun = pager.read(&page);
        let asked = pager.asked(&page, false)?;
        pager.checks.driver.answer(&asked, answer);
        pager.expect_end("refused", &page, begun, Err(REFUSED))?;
        let noted = pager.checks.driver.engine(&page.space).take_failure();
        expect("noted as a failure", page.at, Ok(noted.into()), Ok(is_failure.into()))?;
    }
    let page = pager.missing();
    let begun = pager.read(&page);
    let asked = pager.asked(&page, false)?;
    pager.grant(&page, &asked);
    pager.expect_end("granted after that", &page, begun, Ok(page.old_word()))
}

/// A request that has no place is answered by the unit, not lost: the device asks again.
fn overflow(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let page = pager.missing();
    pager.requests.block();
    let begun = pager.read(&page);
    wait_until("an overflow", || pager.requests.has_overflowed());
    pager.requests.unblock();
    let asked = pager.asked(&page, false)?;
    pager.grant(&page, &asked);
    pager.expect_end("read", &page, begun, Ok(page.old_word()))?;
    expect("overflow is over", page.at, Ok(pager.requests.has_overflowed().into()), Ok(0))
}

/// A device that has stopped says so behind all its requests, and needs no answer.
fn stopped(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let space = process(pager.checks, STOPPED);
    let page = pager.checks.missing_page(&space);
    let begun = pager.read(&page);
    let asked = pager.asked(&page, false)?;
    pager.grant(&page, &asked);
    pager.expect_end("read", &page, begun, Ok(page.old_word()))?;
    let [found] = pager.checks.driver.engine(&space).run([Job::Stop(STOPPED)]);
    expect("stop", page.at, found, Ok(0))?;
    let marker = pager.requests.wait();
    let is_right = marker.is_stop_marker() && marker.pasid == space.pasid && marker.source == space.source;
    expect("marker", page.at, Ok(is_right.into()), Ok(1))?;
    pager.checks.driver.detach(&space);
    pager.checks.driver.wait(Also::DrainRequests);
    expect("left in the queue", page.at, Ok(pager.requests.take().is_some().into()), Ok(0))
}

/// A process goes while its page is asked for: nothing of it is left in the queue, and nothing of it is translated.
fn torn_down(pager: &mut Pager<'_>) -> Result<Note, Complaint> {
    let space = process(pager.checks, DOOMED);
    let mapped = pager.checks.page(&space);
    pager.checks.expect("mapped", &mapped, Keeps::Always)?;
    let missing = pager.checks.missing_page(&space);
    let begun = pager.read(&missing);
    let asked = pager.asked(&missing, false)?;
    pager.checks.driver.detach(&space);
    pager.checks.driver.wait(Also::DrainRequests);
    pager.checks.driver.answer(&asked, Answer::Invalid);
    expect("left in the queue", missing.at, Ok(pager.requests.take().is_some().into()), Ok(0))?;
    pager.expect_end("missing", &missing, begun, Err(REFUSED))?;
    for page in [mapped, missing] {
        let begun = pager.read(&page);
        pager.expect_end("torn down", &page, begun, Err(REFUSED))?;
    }
    expect("asked for nothing", missing.at, Ok(pager.requests.take().is_some().into()), Ok(0))?;
    pager.checks.driver.unit.forget_faults();
    // Its number is free: another process gets it.
    let next = process(pager.checks, DOOMED);
    let page = pager.checks.page(&next);
    pager.checks.expect("the next process", &page, Keeps::Always)?;
    pager.checks.driver.remap(&next, page.at, page.new, Policy::Right);
    pager.checks.expect("the next process, flushed", &page, Keeps::Never)?;
    Ok(Note::Held)
}
