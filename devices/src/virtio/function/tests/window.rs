//! The window in configuration space, as firmware uses it.

use crate::bus::Width;
use crate::pci::bus::{configure, look};
use crate::pci::config::header;
use crate::virtio::blk::Blk;
use crate::virtio::blk::disk::{Access, Disk};
use crate::virtio::console::{Console, UserEnd};
use crate::virtio::driver::{AVAILABLE, BUFFERS, DRIVER_OK, Driver, FEATURES, FEATURES_OK, TABLE, WRITE};

/// A driver that reaches the device through the window alone.
struct Firmware {
    driver: Driver,
    at: u16,
}

impl Firmware {
    fn new(driver: Driver) -> Self {
        let mut at = driver.rig.endpoint.config().get16(header::CAPABILITIES) & 0xff;
        while driver.rig.endpoint.config().get32(at) & 0xff00_00ff != 0x0500_0009 {
            at = driver.rig.endpoint.config().get16(at) >> 8;
            assert_ne!(at, 0, "there is a window");
        }
        Self { driver, at }
    }

    fn config_store(&self, offset: u16, width: Width, value: u64) {
        let rig = &self.driver.rig;
        configure(&rig.endpoint, &*rig.device, self.at + offset, width, value);
    }

    fn config_load(&self, offset: u16, width: Width) -> u64 {
        let rig = &self.driver.rig;
        look(&rig.endpoint, &*rig.device, self.at + offset, width)
    }

    fn aim(&self, bar: u64, offset: u64, len_bytes: u64) {
        self.config_store(4, Width::Byte, bar);
        self.config_store(8, Width::Dword, offset);
        self.config_store(12, Width::Dword, len_bytes);
    }

    fn load(&self, offset: u64, width: Width) -> u64 {
        self.aim(0, offset, width.bytes().into());
        self.config_load(16, width)
    }

    fn store(&self, offset: u64, width: Width, value: u64) {
        self.aim(0, offset, width.bytes().into());
        self.config_store(16, width, value);
    }
}

#[test]
fn a_driver_that_maps_no_bar_is_served() {
    let mut firmware = Firmware::new(super::fresh());
    firmware.driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
    firmware.store(0x14, Width::Byte, 3);
    for (select, features) in [(0, FEATURES & 0xffff_ffff), (1, FEATURES >> 32)] {
        firmware.store(0x08, Width::Dword, select);
        firmware.store(0x0c, Width::Dword, features);
    }
    firmware.store(0x14, Width::Byte, 3 | FEATURES_OK);
    assert_eq!(firmware.load(0x14, Width::Byte), 3 | FEATURES_OK);
    firmware.store(0x18, Width::Word, 16);
    for (offset, address) in [(0x20, TABLE), (0x28, AVAILABLE), (0x30, 0x3000)] {
        firmware.store(offset, Width::Dword, address);
    }
    firmware.store(0x1c, Width::Word, 1);
    firmware.store(0x14, Width::Byte, 3 | FEATURES_OK | DRIVER_OK);
    firmware.driver.put(AVAILABLE + 2, &1_u16.to_le_bytes());
    firmware.store(0x3000, Width::Word, 0);
    assert_eq!(firmware.driver.used(), (0, 8));
    // Reading the reason takes it away.
    firmware.driver.until("the reason", || firmware.load(0x1000, Width::Byte) == 1);
    assert_eq!(firmware.load(0x1000, Width::Byte), 0);
}

#[test]
fn what_no_vendor_capability_names_is_not_reached() {
    let firmware = Firmware::new(super::fresh());
    firmware.driver.store(0x4000, Width::Dword, 0xfee0_1000);
    for (bar, offset, len_bytes) in [
        // The table of MSI-X, what is behind all parts, and the configuration that this device has not.
        (0, 0x4000, 4),
        (0, 0x6000, 4),
        (0, 0x2000, 4),
        (0, 0x8000, 4),
        (0, 0xffff_fffc, 4),
        (1, 0, 4),
        (0xff, 0, 4),
        // No width, or not aligned.
        (0, 0, 0),
        (0, 0, 3),
        (0, 0, 8),
        (0, 0, 0xffff_ffff),
        (0, 1, 4),
        (0, 2, 4),
        (0, 0x15, 2),
        (0, 0xffe, 4),
    ] {
        firmware.aim(bar, offset, len_bytes);
        let read = firmware.config_load(16, Width::Dword);
        assert_eq!(read, 0xffff_ffff, "bar {bar}, {len_bytes} bytes at {offset:#x}");
        firmware.config_store(16, Width::Dword, 0);
    }
    assert_eq!(firmware.driver.load(0x4000, Width::Dword), 0xfee0_1000);
}

#[test]
fn a_part_of_the_data_and_more_than_it_are_accesses_of_the_whole() {
    let firmware = Firmware::new(super::fresh());
    firmware.aim(0, 0x08, 4);
    // Length and data at once; then its upper half.
    firmware.config_store(12, Width::Qword, 1 << 32 | 4);
    assert_eq!(firmware.driver.load(0x08, Width::Dword), 1);
    firmware.config_store(18, Width::Word, 7);
    assert_eq!(firmware.driver.load(0x08, Width::Dword), 7 << 16 | 1);
    firmware.driver.store(0x08, Width::Dword, 0x1234_5678);
    assert_eq!(firmware.config_load(19, Width::Byte), 0x12);
    // Beside it nothing happens.
    firmware.driver.store(0x08, Width::Dword, 1);
    assert_eq!(firmware.config_load(12, Width::Dword), 4);
    assert_eq!(firmware.driver.rig.endpoint.config().get32(firmware.at + 16), 0x1234_5678);
}

#[test]
fn a_device_with_a_configuration_shows_it() {
    let user = UserEnd::new(Box::new(std::io::sink()));
    let console = Firmware::new(Driver::new(Console::identity(), Box::new(Console::new(user))));
    assert_eq!(console.load(0x2004, Width::Dword), 1, "one port");
    let file = std::fs::File::open("/dev/zero").expect("every host has it");
    let disk = Disk::new(file, 7 * 512, "zero".to_owned(), Access::ReadOnly, "").map(std::sync::Arc::new);
    let disk = disk.expect("seven sectors");
    let disk = Firmware::new(Driver::new(Blk::identity(&disk), Blk::models(disk)));
    assert_eq!(disk.load(0x2000, Width::Byte), 7);
}

#[test]
fn a_reset_of_the_function_aims_it_nowhere() {
    let firmware = Firmware::new(super::fresh());
    firmware.store(0x08, Width::Dword, 5);
    let rig = &firmware.driver.rig;
    let express = rig.endpoint.config().find(crate::pci::capability::express::ID).expect("it is there");
    configure(&rig.endpoint, &*rig.device, express + 8, Width::Word, 1 << 15);
    assert_eq!(firmware.config_load(8, Width::Qword), 0);
    firmware.config_store(16, Width::Dword, 9);
    assert_eq!(firmware.driver.load(0x08, Width::Dword), 0);
}

#[test]
fn every_offset_and_width_of_configuration_space_is_harmless() {
    let driver = super::fresh();
    for width in [Width::Byte, Width::Word, Width::Dword, Width::Qword] {
        for value in [u64::MAX, 0, 0x0000_0004_0000_0004, 0x0101_0101_0101_0101] {
            for offset in (0..0x1000).chain([0xffff]) {
                look(&driver.rig.endpoint, &*driver.rig.device, offset, width);
                configure(&driver.rig.endpoint, &*driver.rig.device, offset, width, value);
            }
        }
    }
}
