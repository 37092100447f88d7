//! Entropy: the host's, for whoever asks.
//!
//! Invariant: a request gets at most `MOST_BYTES`, which the specification allows, so none takes long. Source: VIRTIO 1.2,
//! 5.4.

use rustix::rand::{GetRandomFlags, getrandom};
use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;

use super::broken::Broken;
use super::chain::Chain;
use super::identity::Identity;
use super::model::Model;
use super::service::Queues;

const QUEUE_ENTRIES: u16 = 64;
/// The least that getrandom(2) never cuts short.
const MOST_BYTES: usize = 256;

/// The device.
#[derive(Debug, Default)]
pub struct Rng;

impl Rng {
    /// What it is.
    #[must_use]
    pub fn identity() -> Identity {
        Identity {
            name: "virtio-rng",
            device: super::device(VIRTIO_ID_RNG),
            class: [0, 0xff, 0],
            features: 0,
            queues: vec![QUEUE_ENTRIES],
            config: Vec::new(),
        }
    }
}

impl Model for Rng {
    fn start(&mut self, _: u64) {}

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while let Some(mut chain) = queues.take(0)? {
            fill(&mut chain, queues)?;
            queues.give_back(0, &chain, chain.writable.done())?;
        }
        Ok(())
    }
}

fn fill(chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Broken> {
    let mut bytes = [0; MOST_BYTES];
    let len = usize::try_from(chain.writable.left()).map_or(MOST_BYTES, |left| left.min(MOST_BYTES));
    if len == 0 {
        return Err(Broken::NoRequest("for entropy has no room for it"));
    }
    // It cannot fail on a kernel that has it; then there are fewer bytes, and the driver asks again.
    let filled = getrandom(&mut bytes[..len], GetRandomFlags::empty()).unwrap_or_else(|error| {
        log::warn!("the host has no entropy: {error}");
        0
    });
    chain.writable.write(queues.view(), &bytes[..filled])
}
