//! What the lab's programs drive devices with, from user space.
//!
//! Read in this order: [`space`] (what a device finds at which address), [`engine`] (the DMA engine).

pub mod engine;
pub mod space;
