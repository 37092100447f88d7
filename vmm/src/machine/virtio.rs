//! virtio devices on the bus of a machine.
//!
//! Invariant: each has a thread of its own, in the role that its work needs.

use std::sync::Arc;

use devices::pci::PciBus;
use devices::virtio::VirtioFunction;
use devices::virtio::blk::Blk;
use devices::virtio::model::{Identity, Model};
use devices::virtio::rng::Rng;
use devices::worker::Hooks;
use mmu::memory::PhysicalMemory;

use super::board::BoardError;
use super::options::VirtioKind;
use crate::sandbox::Role;

/// Puts `device` at the next place of the bus, its thread in a role by `hooks`.
pub(super) fn attach(
    bus: &mut PciBus,
    device: &VirtioKind,
    memory: &Arc<PhysicalMemory>,
    hooks: &dyn Fn(Role) -> Hooks,
) -> Result<(), BoardError> {
    let (identity, model, role): (Identity, Box<dyn Model>, Role) = match device {
        VirtioKind::Disk(disk) => (Blk::identity(disk), Box::new(Blk::new(Arc::clone(disk))), Role::Disk),
        VirtioKind::Rng => (Rng::identity(), Box::new(Rng), Role::Engine),
    };
    let name = identity.name;
    let source = bus.attach(VirtioFunction::config(&identity), |endpoint| {
        VirtioFunction::start(endpoint, Arc::clone(memory), identity, model, hooks(role))
            .map_err(BoardError::Thread)
    })?;
    log::info!("{source}: {name}");
    Ok(())
}
