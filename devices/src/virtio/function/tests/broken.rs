//! Rings that are none: each breaks its device, which says so and then works again after a reset.

use mmu::address::PhysAddr;

use crate::bus::Width;
use crate::pci::config::{command, header};
use crate::virtio::driver::{
    AVAILABLE, BUFFERS, DRIVER_OK, Driver, FEATURES, FEATURES_OK, INDIRECT, NEEDS_RESET, NEXT, SIZE, TABLE,
    TABLE_OF_ITS_OWN, USED, WRITE,
};

/// The device breaks by what `spoil` offers, and serves the next driver.
fn breaks(spoil: impl Fn(&mut Driver)) {
    let mut driver = super::rng();
    spoil(&mut driver);
    driver.breaks();
    // It looks at nothing any more.
    driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
    driver.offer(0);
    assert_eq!(driver.status() & NEEDS_RESET, NEEDS_RESET);
    driver.reset();
    driver.begin(FEATURES);
    assert_eq!(driver.request(&[(BUFFERS, 8, WRITE)]), 8, "the device works again");
}

#[test]
fn a_chain_that_leads_back_to_itself() {
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 8, WRITE | NEXT, 0)]);
        driver.offer(0);
    });
    breaks(|driver| {
        driver.describe(INDIRECT, &[(BUFFERS, 8, WRITE | NEXT, 0)]);
        driver.describe(TABLE, &[(INDIRECT, 16, TABLE_OF_ITS_OWN, 0)]);
        driver.offer(0);
    });
}

/// Offers a chain of so many descriptors, in a table of its own, which ends.
fn offer_long(driver: &mut Driver, count: u16) {
    let mut long: Vec<_> = (1..count).map(|next| (BUFFERS, 1, WRITE | NEXT, next)).collect();
    long.push((BUFFERS, 1, WRITE, 0));
    driver.describe(INDIRECT, &long);
    driver.describe(TABLE, &[(INDIRECT, 16 * u32::from(count), TABLE_OF_ITS_OWN, 0)]);
    driver.offer(0);
}

#[test]
fn a_chain_longer_than_the_ring() {
    let mut driver = super::rng();
    offer_long(&mut driver, SIZE);
    assert_eq!(driver.used(), (0, SIZE.into()), "one as long is served");
    breaks(|driver| offer_long(driver, SIZE + 1));
}

#[test]
fn a_chain_of_more_bytes_than_there_are_addresses_for() {
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, u32::MAX, WRITE | NEXT, 1), (BUFFERS, 1, WRITE, 0)]);
        driver.offer(0);
    });
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, u32::MAX, NEXT, 1), (BUFFERS, 1, WRITE, 0)]);
        driver.offer(0);
    });
}

#[test]
fn a_table_within_a_table() {
    breaks(|driver| {
        driver.describe(INDIRECT, &[(INDIRECT, 16, TABLE_OF_ITS_OWN, 0)]);
        driver.describe(TABLE, &[(INDIRECT, 16, TABLE_OF_ITS_OWN, 0)]);
        driver.offer(0);
    });
    breaks(|driver| {
        driver.describe(INDIRECT, &[(BUFFERS, 8, WRITE | NEXT, 1), (INDIRECT, 16, TABLE_OF_ITS_OWN, 0)]);
        driver.describe(TABLE, &[(INDIRECT, 32, TABLE_OF_ITS_OWN, 0)]);
        driver.offer(0);
    });
}

#[test]
fn a_table_that_is_empty_or_cut_off() {
    for len in [0, 8, 17] {
        breaks(|driver| {
            driver.describe(INDIRECT, &[(BUFFERS, 8, WRITE, 0)]);
            driver.describe(TABLE, &[(INDIRECT, len, TABLE_OF_ITS_OWN, 0)]);
            driver.offer(0);
        });
    }
}

#[test]
fn a_descriptor_of_no_bytes() {
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 0, WRITE, 0)]);
        driver.offer(0);
    });
}

#[test]
fn a_head_that_is_not_in_the_table() {
    for head in [SIZE, u16::MAX] {
        breaks(|driver| driver.offer(head));
    }
}

#[test]
fn a_descriptor_that_leads_out_of_its_table() {
    // What lies behind the table would do.
    breaks(|driver| {
        driver.describe(TABLE + 16 * u64::from(SIZE), &[(BUFFERS, 8, WRITE, 0)]);
        driver.describe(TABLE, &[(BUFFERS, 8, WRITE | NEXT, SIZE)]);
        driver.offer(0);
    });
    breaks(|driver| {
        driver.describe(INDIRECT, &[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 8, WRITE, 0)]);
        driver.describe(TABLE, &[(INDIRECT, 16, TABLE_OF_ITS_OWN, 0)]);
        driver.offer(0);
    });
}

#[test]
fn a_buffer_or_a_table_that_is_not_memory() {
    let end = 1 << 20;
    for at in [end - 4, end, u64::MAX - 3, 0xfed9_0000, 0xfee0_0000] {
        breaks(|driver| {
            driver.describe(TABLE, &[(at, 8, WRITE, 0)]);
            driver.offer(0);
        });
        breaks(|driver| {
            driver.describe(TABLE, &[(at, 32, TABLE_OF_ITS_OWN, 0)]);
            driver.offer(0);
        });
    }
}

#[test]
fn a_buffer_to_be_read_behind_one_to_be_written() {
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 8, 0, 0)]);
        driver.offer(0);
    });
}

#[test]
fn a_request_without_room_for_its_answer() {
    breaks(|driver| {
        driver.describe(TABLE, &[(BUFFERS, 8, 0, 0)]);
        driver.offer(0);
    });
}

#[test]
fn an_available_index_that_jumps_or_goes_back() {
    for index in [SIZE + 1, 0x8000, u16::MAX] {
        breaks(|driver| {
            driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
            driver.put(AVAILABLE + 2, &index.to_le_bytes());
            driver.ring();
        });
    }
}

/// A driver that begins with a ring which is where `spoil` says.
fn begun_with(spoil: impl Fn(&Driver)) -> Driver {
    let driver = super::fresh();
    driver.use_msix();
    assert!(driver.negotiate(FEATURES));
    driver.store(0x10, Width::Word, 0);
    driver.store(0x18, Width::Word, SIZE.into());
    for (offset, address) in [(0x20, TABLE), (0x28, AVAILABLE), (0x30, USED)] {
        driver.store(offset, Width::Qword, address);
    }
    spoil(&driver);
    driver.store(0x1c, Width::Word, 1);
    driver.store(0x14, Width::Byte, 3 | FEATURES_OK | DRIVER_OK);
    driver
}

#[test]
fn a_ring_that_is_not_aligned_has_no_power_of_two_of_entries_or_lies_nowhere() {
    for (offset, address) in [(0x20, TABLE + 8), (0x28, AVAILABLE + 1), (0x30, USED + 2)] {
        begun_with(|driver| driver.store(offset, Width::Qword, address)).breaks();
    }
    for size in [0, 3, 128] {
        begun_with(|driver| driver.store(0x18, Width::Word, size)).breaks();
    }
    for address in [1 << 20, 1 << 52, 0xfee0_0000, u64::MAX - 1] {
        begun_with(|driver| driver.store(0x28, Width::Qword, address)).breaks();
    }
}

#[test]
fn a_table_of_descriptors_or_a_used_ring_that_is_not_memory() {
    for (offset, address) in [(0x20, 1 << 40), (0x20, u64::MAX - 15), (0x30, 1 << 40), (0x30, u64::MAX - 3)] {
        let mut driver = begun_with(|driver| driver.store(offset, Width::Qword, address));
        driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
        driver.offer(0);
        driver.breaks();
    }
}

#[test]
fn an_available_ring_whose_entries_are_not_memory() {
    // Flags and index are there.
    let at = (1 << 20) - 4;
    let driver = begun_with(|driver| driver.store(0x28, Width::Qword, at));
    driver.put(at + 2, &1_u16.to_le_bytes());
    driver.ring();
    driver.breaks();
}

#[test]
fn a_ring_may_lie_at_address_0() {
    let mut driver = begun_with(|driver| driver.store(0x28, Width::Qword, 0));
    driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
    driver.put(2, &1_u16.to_le_bytes());
    driver.ring();
    assert_eq!(driver.used(), (0, 8));
}

#[test]
fn a_function_that_is_no_bus_master_reaches_nothing() {
    let mut driver = super::rng();
    driver.rig.endpoint.configure(header::COMMAND, Width::Word, command::MEMORY.into());
    driver.describe(TABLE, &[(BUFFERS, 8, WRITE, 0)]);
    driver.offer(0);
    driver.until("the device to break", || driver.status() & NEEDS_RESET != 0);
    assert_eq!(driver.rig.memory.load(PhysAddr(BUFFERS)), 0);
}
