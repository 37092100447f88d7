//! What steps name: pages, frames, locks and the like, in the way of whoever uses them.
//!
//! Invariant: a kind of place has one type, so a page cannot stand where a frame belongs.

use std::fmt::{Debug, Display};

/// The types of places.
pub trait Names: Clone + PartialEq + Eq + Debug {
    /// A page of an address space.
    type Page: Clone + Eq + Debug + Display;
    /// A frame, or a handle of one.
    type Frame: Clone + Eq + Debug + Display;
    /// An upper entry.
    type Pmd: Clone + Eq + Debug + Display;
    /// An address space.
    type Mm: Clone + Eq + Debug + Display;
    /// An address space, or none.
    type MmOrNone: Clone + Eq + Debug + Display;
    /// A process's number on a bus.
    type Pasid: Clone + Eq + Debug + Display;
    /// What a CPU's TLB tells address spaces by.
    type Tag: Clone + Eq + Debug + Display;
    /// A CPU, a vCPU or a device.
    type User: Clone + Eq + Debug + Display;
    /// A lock.
    type Lock: Clone + Eq + Debug + Display;
    /// A reference that was taken without a lock.
    type Handle: Clone + Eq + Debug + Display;
    /// A place to go on.
    type Label: Clone + Eq + Debug + Display;
    /// An entry as it is to be.
    type Entry: Clone + Eq + Debug + Display;
    /// What is stored.
    type Value: Clone + Eq + Debug + Display;
}
