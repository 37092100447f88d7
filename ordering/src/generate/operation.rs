//! Operations whose orders are generated: the steps that may stand elsewhere, what stands around them, and who uses the
//! page meanwhile.
//!
//! Invariant: an operation is data. Its program is the one that the live machine runs where there is one (`wp_page_copy`,
//! `ksm_merge`); the rows of the others, and all users, are those of the catalogue, with the users that it lacks. Each row
//! of the program is a step or stands in a frame, in the program's own order.

mod cow;
mod ksm;
mod mremap;
mod types;
mod zap;

pub use types::{Operation, User};
pub(super) use types::{Piece, Place};

/// Every operation that has orders.
pub const OPERATIONS: [&Operation; 4] = [&cow::COW, &ksm::KSM, &zap::ZAP, &mremap::MREMAP];
