//! What no driver does to its virtio devices, one kind after the other; each device must work again after a reset.
//!
//! Invariant: a kind asserts the sign of its harm itself: a device that asks to be reset, a status, a register, a word of
//! memory. After each of them its device does what is right once more, and so does the source of entropy, if it was not
//! that. `kind=NAME` does one alone. Rings that are wrong in one respect are in `broken.rs`. Source: VIRTIO 1.2.

mod requests;
mod rings;
mod transport;

use super::device::{Device, Piece};
use super::disk::Disk;
use super::network;
use super::unit::Remapping;
use crate::console::say;
use crate::ending;
use crate::memory::CommandLine;

/// Whose driver it is that does harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Entropy,
    Disk,
    Console,
    Network,
}

use Whose::{Console as Con, Disk as Blk, Entropy as Rng, Network as Net};

/// Does it, and sees that it is done.
type Harm = fn(&mut Remapping, &mut Device);

const KINDS: [(&str, Whose, Harm); 32] = [
    ("used-over-table", Rng, rings::used_over_table),
    ("used-over-available", Rng, rings::used_over_available),
    ("all-in-one-place", Rng, rings::all_in_one_place),
    ("sizes", Rng, rings::sizes),
    ("places", Rng, rings::places),
    ("queue-moved", Rng, rings::queue_moved),
    ("backwards", Rng, rings::backwards),
    ("chain-longer-than-ring", Rng, rings::chain_longer_than_ring),
    ("indirect-lengths", Rng, rings::indirect_lengths),
    ("lengths-beyond-memory", Rng, rings::lengths_beyond_memory),
    ("hole", Rng, rings::hole),
    ("own-registers", Rng, rings::own_registers),
    ("again-and-again", Rng, rings::again_and_again),
    ("doorbells", Rng, transport::doorbells),
    ("without-features", Rng, transport::without_features),
    ("vectors", Rng, transport::vectors),
    ("table-in-flight", Rng, transport::table_in_flight),
    ("no-master", Rng, transport::no_master),
    ("registers", Rng, transport::registers),
    ("resets-in-the-middle", Blk, transport::resets_in_the_middle),
    ("master-in-the-middle", Blk, transport::master_in_the_middle),
    ("disk-4-gib", Blk, requests::four_gib),
    ("disk-unaligned", Blk, requests::unaligned),
    ("disk-end", Blk, requests::end),
    ("disk-unknown", Blk, requests::unknown),
    ("disk-segments", Blk, requests::segments),
    ("disk-backwards", Blk, requests::disk_backwards),
    ("frame-64-kib", Net, requests::long_frame),
    ("frame-none", Net, requests::no_frame),
    ("frame-room", Net, requests::no_room),
    ("console-flood", Con, requests::flood),
    ("console-4-gib", Con, requests::endless_line),
];

/// The devices that there are.
struct Devices {
    entropy: Device,
    disk: Device,
    console: Device,
    network: Device,
}

/// Does all of them, or the one of that kind, to devices of these numbers, and ends the machine.
pub(super) fn run(unit: &mut Remapping, line: &CommandLine, numbers: [u16; 4]) -> ! {
    let [Some(entropy), Some(disk), Some(console), Some(network)] =
        numbers.map(|number| Device::find(unit, number, 0))
    else {
        say!("FAILED hostile needs --rng, --disk FILE, --console and --net user");
        ending::failed()
    };
    let mut devices = Devices { entropy, disk, console, network };
    let only = line.value("kind");
    let mut done = 0;
    for (name, whose, harm) in KINDS.into_iter().filter(|(name, ..)| only.is_none_or(|only| only == *name)) {
        say!("hostile: {name}");
        harm(unit, devices.of(whose));
        devices.work(unit, whose);
        if whose != Rng {
            devices.work(unit, Rng);
        }
        done += 1;
    }
    if done == 0 {
        say!("FAILED no kind `{}`", only.unwrap_or_default());
        ending::failed()
    }
    say!("passed: {done} kinds");
    ending::passed()
}

impl Devices {
    const fn of(&mut self, whose: Whose) -> &mut Device {
        match whose {
            Rng => &mut self.entropy,
            Blk => &mut self.disk,
            Con => &mut self.console,
            Net => &mut self.network,
        }
    }

    /// After a reset the device does what is right.
    fn work(&mut self, unit: &mut Remapping, whose: Whose) {
        let device = self.of(whose);
        match whose {
            Rng => {
                let _features = device.begin(0);
                let written = device.request(&[rings::BUFFER]);
                assert!(written == 64, "{written} bytes of entropy");
            }
            Blk => {
                let page = unit.memory.frame();
                let at = device.map(unit, page);
                Disk::use_once(device, at);
                device.unmap(unit);
            }
            Con => {
                let _features = device.begin_queue(1, 0);
                device.own.store(0, u64::from_le_bytes(*b" works\r\n"));
                device.request(&[Piece::read(Device::own_at(0), 8)]);
            }
            Net => network::ask(unit, device),
        }
    }
}
