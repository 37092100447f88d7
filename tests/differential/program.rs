//! Random programs: the kernel's threads follow orders that are known, or edits of them, or nothing at all; users come
//! in between.
//!
//! Invariant: a seed is a program. A program need not make sense: what cannot be done is left out when it runs.

use fastrand::Rng;
use steps::one_page::{
    ALLOCATE, CHANGE_PTE, CLEAR_PTE, COPY, Condition, FLUSH_TLB, LOCK_TABLE, NOTIFY, Protection, RANGE_END,
    RANGE_START, RESTORE_PTE, Role, Step, UNLOCK_TABLE, lock_page, map, mark_stable, put, set_pte,
    unlock_page, unmap,
};
use steps::operation::{Order, cow, ksm};
use steps::program::Line;

use super::act::{Access, Act, Deed};
use super::setting::{FRAMES, Frame, KERNELS, Kernel, PAGES, Page, USERS, VALUES};

/// Acts of a program at most, before the last looks.
const MOST_ACTS: usize = 90;

/// The program of a seed: at its end everybody loads from every page.
pub(super) fn program(seed: u64) -> Vec<Act> {
    let mut rng = Rng::with_seed(seed);
    let mut threads = KERNELS.map(|kernel| {
        let mut acts = thread(&mut rng, kernel);
        acts.reverse();
        acts
    });
    let mut acts = Vec::new();
    while acts.len() < MOST_ACTS && threads.iter().any(|thread| !thread.is_empty()) {
        let next = if rng.u8(..5) < 2 { None } else { threads[rng.usize(..2)].pop() };
        acts.push(next.unwrap_or_else(|| user(&mut rng)));
    }
    let looks = USERS.into_iter().flat_map(|user| PAGES.map(|page| Act::User(user, page, Access::Load)));
    acts.into_iter().chain(looks).collect()
}

/// What one thread of the kernel does: operations, one after the other.
fn thread(rng: &mut Rng, kernel: Kernel) -> Vec<Act> {
    let operations = 1 + rng.usize(..3);
    let deeds = (0..operations).flat_map(|_| operation(rng)).collect::<Vec<_>>();
    deeds.into_iter().map(|deed| Act::Kernel(kernel, deed)).collect()
}

fn operation(rng: &mut Rng) -> Vec<Deed> {
    let orders: Vec<Order> = [cow::orders(), ksm::orders()].concat();
    let mut body: Vec<Deed> = match rng.usize(..orders.len() * 2) {
        known if known < orders.len() => lines(orders[known].program.lines()),
        _ => (0..rng.usize(4..24)).map(|_| anything(rng)).collect(),
    };
    for _ in 0..rng.usize(..3) {
        edit(rng, &mut body);
    }
    let new = rng.bool().then(|| frame(rng));
    let begin = Deed::Begin { page: page(rng), old: frame(rng), new };
    std::iter::once(begin).chain(body).chain([Deed::End]).collect()
}

/// The lines of an order; jumps are not followed.
fn lines(lines: &[Line]) -> Vec<Deed> {
    let deed = |line: &Line| match *line {
        Line::Step(step) => Some(Deed::Step(step)),
        Line::Check(condition, _) => Some(Deed::Check(condition)),
        Line::Goto(_) | Line::Label(_) => None,
    };
    lines.iter().filter_map(deed).collect()
}

/// Leaves a deed out, exchanges two, or puts another one in.
fn edit(rng: &mut Rng, body: &mut Vec<Deed>) {
    let (one, other) = (rng.usize(..body.len()), rng.usize(..body.len()));
    match rng.u8(..3) {
        0 if body.len() > 1 => drop(body.remove(one)),
        1 => body.swap(one, other),
        _ => body.insert(one, anything(rng)),
    }
}

fn anything(rng: &mut Rng) -> Deed {
    match rng.u8(..16) {
        0 => Deed::GupFast(page(rng)),
        1 => Deed::PutHandle,
        2 => Deed::Write(frame(rng), value(rng)),
        3 => Deed::Check(
            *rng.choice(&[Condition::PteSame, Condition::Unreferenced, Condition::SameContent])
                .expect("three"),
        ),
        _ => Deed::Step(step(rng)),
    }
}

fn step(rng: &mut Rng) -> Step {
    let role = if rng.bool() { Role::Old } else { Role::New };
    let permission = if rng.bool() { Protection::ReadOnly } else { Protection::ReadWrite };
    let all = [
        ALLOCATE,
        lock_page(role),
        unlock_page(role),
        COPY,
        RANGE_START,
        RANGE_END,
        LOCK_TABLE,
        UNLOCK_TABLE,
        CLEAR_PTE,
        FLUSH_TLB,
        NOTIFY,
        CHANGE_PTE,
        set_pte(role, permission),
        RESTORE_PTE,
        mark_stable(role),
        map(role),
        unmap(role),
        put(role),
    ];
    *rng.choice(&all).expect("there are steps")
}

fn user(rng: &mut Rng) -> Act {
    let access = match rng.u8(..4) {
        0 => Access::Walk,
        1 => Access::Store(value(rng)),
        _ => Access::Load,
    };
    Act::User(*rng.choice(&USERS).expect("there are users"), page(rng), access)
}

fn page(rng: &mut Rng) -> Page {
    *rng.choice(&PAGES).expect("there are pages")
}

fn frame(rng: &mut Rng) -> Frame {
    *rng.choice(&FRAMES).expect("there are frames")
}

fn value(rng: &mut Rng) -> u64 {
    rng.u64(..VALUES)
}
