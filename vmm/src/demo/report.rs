//! What people and programs are shown.

pub mod json;
pub mod table;
pub mod trace;
