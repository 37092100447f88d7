//! A device that reads in the name of a process while the process's pages move.
//!
//! Invariant: a read that begins behind a completed invalidation finds each page where it is then; one that overlaps a
//! move, where it is or was. A frame that was left is overwritten as soon as the invalidation is complete, as a kernel that
//! frees it would let happen, so whatever is read from it then is wrong for ever. Source: VT-d 6.5.2.8, 6.5.4 (drain).

use super::{Checks, Complaint, Holder, Missing, Note, expect};
use crate::caches::Keeps;
use crate::descriptor::Also;
use crate::engine::{Begun, Job, Target};
use crate::entry::{DeviceTlb, Levels};
use crate::id::{Iova, Pasid};
use crate::memory::{FRAME_BYTES, Frame};
use crate::patience::wait_until;
use crate::policy::Policy;
use crate::space::{Change, Kind, Space};
use crate::unit::Mode;

const PASID: Pasid = Pasid(2);
/// Jobs that are given to the engine at once; each reads all pages, and yields the sum of their words.
const JOBS: usize = 60;
const PAGES: usize = 4;
const LEN_BYTES: u32 = 4 * 0x1000;
/// What stands in a frame that was left: so much that no sum hides it.
const LEFT: u64 = 1 << 63;
/// Reads of each kind, if the command line does not say.
const DEFAULT_READS: u64 = 20_000;

/// Pages in a row that move in turn. Each holds how often it has moved, and nothing else.
struct Moving {
    space: Space,
    /// Where the first one lies.
    at: Iova,
    /// Where each is, and where it goes.
    frames: [[Frame; 2]; PAGES],
    /// Of all of them: what their words sum up to.
    moves: u64,
}

/// A page that has moved.
struct Left {
    change: Change,
    /// Where it was.
    frame: Frame,
    /// How often it has moved.
    moves: u64,
}

/// What was seen.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    reads: u64,
    /// Moves that happened between two jobs of one batch.
    met: u64,
}

/// Each way in which a process's translations are kept.
pub(super) fn all(checks: &mut Checks, reads: Option<u64>) {
    if !checks.driver.unit.has_scalable_mode() {
        let why = "the unit has no scalable mode";
        return checks.note(format_args!("race"), Ok(Note::Absent(why)));
    }
    checks.driver.switch(Mode::Scalable);
    for (kind, name) in [(Kind::First(Levels::Four), "first stage"), (Kind::Nested, "nested")] {
        for (device_tlb, held) in [(DeviceTlb::Off, "iotlb"), (DeviceTlb::On, "device-tlb")] {
            if device_tlb == DeviceTlb::On && !checks.driver.unit.has_device_tlbs() {
                continue;
            }
            let space = checks.space(0, kind, Some(PASID)).with(device_tlb);
            checks.driver.attach(&space);
            let mut moving = Moving::begin(checks, space);
            let mut seen = Seen::default();
            let outcome = race(checks, &mut moving, reads.unwrap_or(DEFAULT_READS), &mut seen);
            let Seen { reads, met } = seen;
            let moves = moving.moves;
            let name = format_args!("race {name} {held}, {reads} reads, {moves} moves, {met} amid them");
            checks.note(name, outcome);
        }
    }
}

fn race(checks: &mut Checks, moving: &mut Moving, reads: u64, seen: &mut Seen) -> Result<Note, Complaint> {
    while seen.reads < reads {
        batch(checks, moving, seen)?;
    }
    control(checks, moving)
}

/// The engine reads all pages again and again while one of them moves.
fn batch(checks: &mut Checks, moving: &mut Moving, seen: &mut Seen) -> Result<(), Complaint> {
    let before = moving.moves;
    let engine = checks.driver.engine(&moving.space);
    let begun = engine.begin([moving.job(); JOBS]);
    // Amid the reads, each time somewhere else.
    let awaited = usize::try_from(before).unwrap_or_default() % JOBS;
    wait_until("reads", || engine.over(begun) >= awaited);
    let left = moving.go(checks, Policy::Right);
    // The job behind those that are over may have begun before; later ones have not.
    let over = checks.driver.engine(&moving.space).over(begun);
    left.overwrite();
    seen.reads += (JOBS * PAGES) as u64;
    seen.met += u64::from(judge(checks, moving, begun, before, over)?);
    Ok(())
}

/// Sums may be those before the move up to job number `over`, and once one is not, none behind it. Whether both were seen.
fn judge(
    checks: &mut Checks,
    moving: &Moving,
    begun: Begun<JOBS>,
    before: u64,
    over: usize,
) -> Result<bool, Complaint> {
    let outcomes = checks.driver.engine(&moving.space).end(begun);
    let still = outcomes.iter().take_while(|found| **found == Ok(before)).count();
    for found in &outcomes[still.min(over + 1)..] {
        expect("read", moving.at, *found, Ok(moving.moves))?;
    }
    Ok(0 < still && still < JOBS)
}

/// Without the invalidation, what was left is read, also behind a wait.
fn control(checks: &mut Checks, moving: &mut Moving) -> Result<Note, Complaint> {
    read(checks, moving, "before the control", moving.moves)?;
    let left = moving.go(checks, Policy::Nothing);
    left.overwrite();
    let at = left.change.at;
    let by_device = checks.caches.device(moving.space.device_tlb) == Keeps::Always;
    let holder = if by_device { Holder::Device } else { Holder::Unit };
    let note = match checks.caches.translation(moving.space.device_tlb) {
        Keeps::Always => {
            let stale = moving.moves - left.moves + LEFT;
            read(checks, moving, "not invalidated", stale)?;
            checks.driver.wait(Also::Nothing);
            read(checks, moving, "not invalidated, behind a wait", stale)?;
            Note::Stale([Some(at), None], Missing::after(&left.change, holder))
        }
        Keeps::Never => read(checks, moving, "kept by nobody", moving.moves)?,
        Keeps::Maybe => Note::Held,
    };
    checks.driver.flush(&left.change, Policy::Right);
    read(checks, moving, "invalidated", moving.moves)?;
    Ok(note)
}

fn read(checks: &mut Checks, moving: &Moving, when: &'static str, expected: u64) -> Result<Note, Complaint> {
    let [found] = checks.driver.engine(&moving.space).run([moving.job()]);
    expect(when, moving.at, found, Ok(expected))
}

impl Moving {
    fn begin(checks: &mut Checks, space: Space) -> Self {
        let pages = [(); PAGES].map(|()| checks.page(&space));
        let frames = pages.map(|page| [page.old, page.new]);
        frames.iter().for_each(|[here, _]| here.store(0, 0));
        Self { space, at: pages[0].at, frames, moves: 0 }
    }

    fn job(&self) -> Job {
        let from = Target { pasid: self.space.pasid, at: self.at };
        Job::Sum { from, len_bytes: LEN_BYTES }
    }

    /// Moves the page whose turn it is.
    fn go(&mut self, checks: &mut Checks, policy: Policy) -> Left {
        let turn = self.moves % PAGES as u64;
        let [here, there] = &mut self.frames[usize::try_from(turn).unwrap_or_default()];
        core::mem::swap(here, there);
        let (frame, moves) = (*there, self.moves / PAGES as u64 + 1);
        here.store(0, moves);
        self.moves += 1;
        let at = Iova(self.at.0 + turn * FRAME_BYTES);
        let change = checks.driver.remap_below(&self.space, at, *here, policy);
        Left { change, frame, moves }
    }
}

impl Left {
    /// Where it was belongs to somebody else now.
    fn overwrite(&self) {
        self.frame.store(0, LEFT);
    }
}
