//! Random programs of those who use pages: CPUs, vCPUs, devices.

use super::{Draw, Theme};
use crate::oracle::program::Statement;
use crate::oracle::setting::Place;
use crate::oracle::step::{Access, Step};

impl Draw {
    fn accessed(&mut self, place: Place) -> Statement {
        let dma = matches!(place, Place::Device(_));
        let how = match self.rng.u32(0..5) {
            0 => Access::Walk,
            1 | 2 => Access::Read,
            _ => Access::Write(self.rng.u8(1..4)),
        };
        let page = self.page();
        Statement::Step(Step::Access { how, page, dma })
    }

    pub(super) fn user(&mut self, _agent: usize, place: Place) -> Vec<Statement> {
        let access = self.accessed(place);
        let asks = self.has(Theme::Requests) && matches!(place, Place::Device(0));
        match self.rng.u32(0..6) {
            0 => vec![Statement::Repeat(0, 2, vec![access])],
            1 => vec![Statement::Repeat(2, 2, vec![access])],
            2 => {
                let other = self.accessed(place);
                vec![Statement::Choice(vec![vec![access], vec![other]])]
            }
            3 | 4 if asks => vec![Statement::Step(Step::PageRequest(self.page()))],
            3 if !self.scenario.vars.is_empty() && !matches!(place, Place::Device(_)) => {
                vec![access, self.assignment()]
            }
            _ => vec![access],
        }
    }
}
