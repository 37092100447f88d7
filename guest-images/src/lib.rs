//! The programs that guests run, assembled with the workspace and handed out as bytes.
//!
//! Invariant: a program is position independent, fits one frame and starts at its first byte; what it shares
//! with the host stands in [`layout`]. Read in this order: [`layout`], [`stub`], [`program`]; and [`bare`] and [`guest`], images that share nothing with the host.
//!
//! The hot part of a guest runs at CPL3, natively on every KVM. The CPL0 part is the [`stub`]: a few handlers,
//! short because a KVM without hardware virtualization runs them in its instruction emulator.

pub mod bare;
pub mod guest;
pub mod layout;
pub mod program;
pub mod stub;

mod assembled;

pub use bare::BareImage;
pub use guest::Guest;
pub use program::Program;
