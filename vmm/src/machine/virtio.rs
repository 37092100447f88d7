//! virtio devices on the bus of a machine.
//!
//! Invariant: each has threads of its own, in the role that its work needs.

use std::io::stdout;
use std::sync::Arc;

use devices::link::Link;
use devices::link::bell::Bell;
use devices::link::tap::Tap;
use devices::pci::PciBus;
use devices::user_network::UserNetwork;
use devices::user_network::address::Reach;
use devices::virtio::VirtioFunction;
use devices::virtio::blk::Blk;
use devices::virtio::console::{Console, UserEnd, WindowSize};
use devices::virtio::identity::Identity;
use devices::virtio::model::Models;
use devices::virtio::net::Net;
use devices::virtio::rng::Rng;
use devices::virtio::vsock::Vsock;
use devices::worker::Hooks;
use mmu::memory::PhysicalMemory;
use rustix::termios::tcgetwinsize;

use super::board::BoardError;
use super::options::{Cable, VirtioKind};
use crate::sandbox::Role;

/// Puts `device` at the next place of the bus, its threads in a role by `hooks`.
pub(super) fn attach(
    bus: &mut PciBus,
    device: &VirtioKind,
    memory: &Arc<PhysicalMemory>,
    hooks: &dyn Fn(Role) -> Hooks,
) -> Result<(), BoardError> {
    let (identity, models, role): (Identity, Models, Role) = match device {
        VirtioKind::Disk(disk) => (Blk::identity(disk), Blk::models(Arc::clone(disk)), Role::Disk),
        VirtioKind::Console(user) => {
            (Console::identity(), Box::new(Console::new(Arc::clone(user))).into(), Role::Rung)
        }
        VirtioKind::Rng => (Rng::identity(), Box::new(Rng).into(), Role::Rung),
        VirtioKind::Net(address, cable) => {
            let bell = Bell::new().map_err(BoardError::Bell)?;
            (Net::identity(*address), Box::new(Net::new(link(cable), bell)).into(), role(cable))
        }
        VirtioKind::Vsock { cid, listener, errands } => {
            let bell = Bell::new().map_err(BoardError::Bell)?;
            let model = Vsock::new(*cid, Arc::clone(listener), Some(Arc::clone(errands)), bell);
            (Vsock::identity(*cid), Box::new(model).into(), Role::Vsock)
        }
    };
    let name = identity.name;
    let source = bus.attach(VirtioFunction::config(&identity), |endpoint| {
        let hooks = || hooks(role);
        let function = VirtioFunction::start(endpoint, Arc::clone(memory), identity, models, &hooks);
        let function = function.map_err(BoardError::Thread)?;
        if let VirtioKind::Console(user) = device {
            user.connect(&function);
        }
        Ok::<_, BoardError>(function)
    })?;
    log::info!("{source}: {name}");
    Ok(())
}

fn link(cable: &Cable) -> Box<dyn Link> {
    match cable {
        Cable::Tap { descriptor, name } => Box::new(Tap::new(Arc::clone(descriptor), name.clone())),
        Cable::User(reach) => Box::new(UserNetwork::new(*reach)),
    }
}

/// Who reaches nothing makes no connections.
const fn role(cable: &Cable) -> Role {
    match cable {
        Cable::Tap { .. } | Cable::User(Reach::None) => Role::Cable,
        Cable::User(Reach::Host | Reach::Any) => Role::Sockets,
    }
}

/// The user's end of the console, if there is one.
pub(super) fn console(devices: &[VirtioKind]) -> Option<Arc<UserEnd>> {
    devices.iter().find_map(|device| match device {
        VirtioKind::Console(user) => Some(Arc::clone(user)),
        VirtioKind::Disk(_) | VirtioKind::Rng | VirtioKind::Net(..) | VirtioKind::Vsock { .. } => None,
    })
}

/// The user's window: that of the terminal that the guest's output goes to, if it does.
pub(super) fn window() -> WindowSize {
    tcgetwinsize(stdout())
        .map(|size| WindowSize { columns: size.ws_col, rows: size.ws_row })
        .unwrap_or_default()
}
