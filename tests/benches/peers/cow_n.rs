//! The protocol cow-n, written for each explorer: as a scenario, for Spin, for stateright.
//!
//! Invariant: all of them have the same steps, so that all must count the same states where nobody leaves any out. The
//! protocol itself is told in ordering/src/engine/cow_n.rs.

pub(crate) mod promela;
pub(crate) mod scenario;
pub(crate) mod stateright;

/// How large, and whether the late order of the notification is meant, which is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CowN {
    pub(crate) pages: u8,
    pub(crate) devices: u8,
    pub(crate) reads: u8,
    pub(crate) is_late: bool,
}
