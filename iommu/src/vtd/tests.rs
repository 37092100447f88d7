//! The unit as a driver and a device see it: through registers, tables in memory, and a port.
//!
//! Read first: `driver`, which writes tables and descriptors. The rules of the specification that a driver relies on
//! are tests named `rule_NN_…`.

mod bounds;
mod coherence;
mod concerned;
mod contexts;
mod device_tlb;
pub(crate) mod driver;
mod faults;
mod holes;
mod hooks;
mod hostile;
mod interrupts;
mod iotlb;
mod late;
mod levels;
mod modes;
mod pasid;
mod queue;
mod requests;
mod sizes;
mod walk;
mod witness;
