//! cow-n for stateright.
//!
//! Invariant: a step that breaks the property leads to a state that says so and goes no further; of a proof there is
//! none.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::CowN;

const MOST_PAGES: usize = 4;
const MOST_DEVICES: usize = 2;
const NONE: u8 = 0;
const OLD: u8 = 1;
const NEW: u8 = 2;
/// Steps of the writer a page.
const STEPS: u8 = 8;

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct State {
    writer: u8,
    reader: u8,
    is_locked: bool,
    is_broken: bool,
    pages: [Page; MOST_PAGES],
    devices: [Device; MOST_DEVICES],
}

#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
struct Page {
    entry: u8,
    writer_tlb: u8,
    reader_tlb: u8,
    is_written: bool,
    is_stored: bool,
}

#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
struct Device {
    done: u8,
    at: Option<u8>,
    iotlb: [u8; MOST_PAGES],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Write,
    Read,
    Walk(u8, u8),
    Dma(u8),
}

impl Page {
    /// Whether a read through `entry` returns what was there before a store that is complete.
    fn is_stale_by(self, entry: u8) -> bool {
        self.is_stored && !(entry == NEW && self.is_written)
    }
}

impl CowN {
    fn write(self, state: &mut State) {
        let (number, step) = (usize::from(state.writer / STEPS), state.writer % STEPS);
        let page = &mut state.pages[number];
        // The late order does what is third right behind the last.
        match (self.is_late, step) {
            (_, 0) => state.is_locked = true,
            (_, 1) => page.entry = NONE,
            (_, 2) => (page.writer_tlb, page.reader_tlb) = (NONE, NONE),
            (false, 3) | (true, 7) => state.devices.iter_mut().for_each(|device| device.iotlb[number] = NONE),
            (false, 4) | (true, 3) => page.entry = NEW,
            (false, 5) | (true, 4) => state.is_locked = false,
            (false, 6) | (true, 5) => page.writer_tlb = page.entry,
            _ => {
                page.is_written |= page.writer_tlb == NEW;
                page.is_stored = true;
            }
        }
        state.writer += 1;
    }

    fn read(state: &mut State) {
        let page = &mut state.pages[usize::from(state.reader / 2)];
        match (state.reader % 2, page.reader_tlb) {
            (0, tlb) => {
                page.reader_tlb = if tlb == NONE { page.entry } else { tlb };
                state.reader += 1;
            }
            (_, NONE) => state.reader -= 1,
            (_, tlb) => {
                state.is_broken |= page.is_stale_by(tlb);
                state.reader += 1;
            }
        }
    }

    fn dma(state: &mut State, device: u8) {
        let device = &mut state.devices[usize::from(device)];
        let Some(at) = device.at.take() else { return };
        let entry = device.iotlb[usize::from(at)];
        state.is_broken |= entry != NONE && state.pages[usize::from(at)].is_stale_by(entry);
        device.done += 1;
    }
}

impl Model for CowN {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut pages = [Page::default(); MOST_PAGES];
        pages[..usize::from(self.pages)].iter_mut().for_each(|page| page.entry = OLD);
        let devices = [Device::default(); MOST_DEVICES];
        vec![State { writer: 0, reader: 0, is_locked: false, is_broken: false, pages, devices }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.is_broken {
            return;
        }
        if state.writer < STEPS * self.pages && !(state.writer.is_multiple_of(STEPS) && state.is_locked) {
            actions.push(Step::Write);
        }
        if state.reader < 2 * self.pages {
            let page = state.pages[usize::from(state.reader / 2)];
            if state.reader % 2 == 1 || page.reader_tlb != NONE || page.entry != NONE {
                actions.push(Step::Read);
            }
        }
        for number in 0..self.devices {
            let device = state.devices[usize::from(number)];
            if device.at.is_some() {
                actions.push(Step::Dma(number));
            } else if device.done < self.reads {
                actions.extend((0..self.pages).map(|page| Step::Walk(number, page)));
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Write => self.write(&mut next),
            Step::Read => Self::read(&mut next),
            Step::Walk(device, page) => {
                let device = &mut next.devices[usize::from(device)];
                let cell = &mut device.iotlb[usize::from(page)];
                *cell = if *cell == NONE { state.pages[usize::from(page)].entry } else { *cell };
                device.at = Some(page);
            }
            Step::Dma(device) => Self::dma(&mut next, device),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("nobody reads old contents after the store", |_, state: &State| {
            !state.is_broken
        })]
    }
}

/// States of a proof; none if it found a violation.
pub(crate) fn proved(size: CowN) -> Option<usize> {
    let checker = size.checker().spawn_dfs().join();
    checker.discoveries().is_empty().then(|| checker.unique_state_count())
}

/// Steps of a shortest violation.
pub(crate) fn violated(size: CowN) -> Option<usize> {
    let checker = size.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    checker.discoveries().into_values().next().map(|path| path.into_actions().len())
}
