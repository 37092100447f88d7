//! A driver of virtio devices behind a VT-d unit: a disk, entropy, a network interface and sockets, or what there is of them.
//!
//! Invariant: what a device is to reach is mapped before it is told, and unmapped and invalidated before the page is somebody
//! else's. With `bug=missing-flush` the last invalidation is left out, while the disk goes on. `do=NAME` does something else:
//! `writes` writes and flushes until it is ended (with `cache=through` it writes alone), `broken` offers rings that are
//! none, `hostile` does to all of them what no driver does, `console` puts out what is typed,
//! `connect` connects to a port of the host's (`port=N`). Source: VIRTIO 1.2.

mod broken;
mod device;
mod disk;
mod hostile;
mod network;
mod sockets;
mod unit;

use crate::console::say;
use crate::ending;
use crate::memory::{CommandLine, Memory};
use crate::policy::Policy;
use device::{Device, Piece};
use disk::{Disk, Lasts};
use unit::Remapping;

/// Numbers of devices, as PCI has them.
const NETWORK: u16 = 0x1041;
const BLOCK: u16 = 0x1042;
const CONSOLE: u16 = 0x1043;
const ENTROPY: u16 = 0x1044;
const SOCKETS: u16 = 0x1053;

/// Runs it and ends the machine.
pub fn run(memory: Memory, line: &CommandLine) -> ! {
    let Some(mut unit) = Remapping::start(memory) else {
        say!("FAILED there is no remapping unit; boot with --iommu vtd");
        ending::failed()
    };
    if line.value("do") == Some("hostile") {
        hostile::run(&mut unit, line, [ENTROPY, BLOCK, CONSOLE, NETWORK]);
    }
    let entropy = Device::find(&mut unit, ENTROPY, 0);
    let disk = Device::find(&mut unit, BLOCK, 0);
    let network = Device::find(&mut unit, NETWORK, 0);
    if let (Some("console"), Some(console)) = (line.value("do"), Device::find(&mut unit, CONSOLE, 0)) {
        echo(&mut unit, console);
    }
    if let (None | Some("connect"), Some(sockets)) = (line.value("do"), Device::find(&mut unit, SOCKETS, 0)) {
        use_sockets(&mut unit, sockets, line);
    }
    match (line.value("do"), entropy, disk, network) {
        (_, None, None, None) => {
            say!(
                "FAILED there is no virtio device; boot with --rng, --disk FILE, --net user, or --vsock CID,PATH"
            );
            ending::failed()
        }
        (Some("broken"), Some(entropy), _, _) => broken::run(&mut unit, entropy),
        (Some("writes"), _, Some(disk), _) => {
            let lasts =
                if line.value("cache") == Some("through") { Lasts::OnceWritten } else { Lasts::OnceFlushed };
            disk::write_for_ever(&mut unit, disk, line.number("from").unwrap_or(1), lasts)
        }
        (None, entropy, disk, network) => {
            entropy.into_iter().for_each(|entropy| ask_for_entropy(&mut unit, entropy));
            disk.into_iter().for_each(|disk| use_disk(&mut unit, disk, line));
            network.into_iter().for_each(|network| use_network(&mut unit, network, line));
            say!("passed");
            ending::passed()
        }
        (Some(other), _, _, _) => {
            say!(
                "FAILED nothing to do `{other}` with; there is broken (with --rng), hostile (with all devices), writes (with --disk FILE), console (with --console)"
            );
            ending::failed()
        }
    }
}

/// Takes what is typed by one queue and puts it out by the other.
fn echo(unit: &mut Remapping, mut device: Device) -> ! {
    let page = unit.memory.frame();
    let at = device.map(unit, page);
    let _none_of_its_own = device.begin_queue(0, 0);
    say!("console: listening");
    let typed = device.request(&[Piece::written(at, 64)]);
    let _none_of_its_own = device.begin_queue(1, 0);
    device.request(&[Piece::read(at, typed)]);
    device.unmap(unit);
    say!("console: {typed} bytes");
    ending::passed()
}

fn ask_for_entropy(unit: &mut Remapping, mut device: Device) {
    let _none_of_its_own = device.begin(0);
    let page = unit.memory.frame();
    let mut last = 0;
    for round in 0..64 {
        let at = device.map(unit, page);
        let written = device.request(&[Piece::written(at, 64)]);
        device.unmap(unit);
        let word = page.load(0);
        assert!(written == 64 && word != last, "round {round}: {written} bytes of entropy, {word:#x}");
        last = word;
    }
    say!("entropy: 64 requests");
}

fn use_network(unit: &mut Remapping, mut network: Device, line: &CommandLine) {
    match line.value("bug") {
        None => network::ask(unit, &mut network),
        Some("missing-flush") => network::ask_from_a_page_that_is_gone(unit, &mut network),
        Some("missing-flush-received") => network::hear_in_a_page_that_is_gone(unit, &mut network),
        Some(other) => {
            say!("FAILED no bug is called `{other}` here; there is missing-flush, missing-flush-received");
            ending::failed()
        }
    }
}

fn use_sockets(unit: &mut Remapping, sockets: Device, line: &CommandLine) -> ! {
    let policy = match line.value("bug") {
        None => Policy::Right,
        Some("missing-flush-received") => Policy::Nothing,
        Some(other) => {
            say!("FAILED no bug is called `{other}` here; there is missing-flush-received");
            ending::failed()
        }
    };
    match line.value("do") {
        Some(_) => sockets::connect(unit, sockets, line.number("port").unwrap_or_default()),
        None => sockets::echo(unit, sockets, policy),
    }
    say!("passed");
    ending::passed()
}

fn use_disk(unit: &mut Remapping, device: Device, line: &CommandLine) {
    let mut disk = Disk::begin(device);
    say!("disk: {} sectors", disk.sectors());
    let pages = [unit.memory.frame(), unit.memory.frame()];
    for round in 0..32 {
        let (page, sector) = (pages[0], round * 8);
        page.store(0, round + 1);
        disk.write(unit, sector, page);
        disk.flush();
        page.store(0, 0);
        disk.read(unit, sector, page);
        assert!(page.load(0) == round + 1, "sector {sector} reads {:#x}", page.load(0));
    }
    match line.value("bug") {
        None => disk.read_while_pages_move(unit, pages),
        Some("missing-flush") => disk.read_into_a_page_that_is_gone(unit, pages),
        Some(other) => {
            say!("FAILED no bug is called `{other}` here; there is missing-flush");
            ending::failed()
        }
    }
}
