//! FADT: what of a PC is there and what is not, how to restart and to power off, a timer.
//!
//! The machine is hardware-reduced: it has none of the fixed hardware that goes with a system control interrupt. Its
//! timer is named all the same, because kernels calibrate by it and do not ask. Source: ACPI 6.5, 5.2.9.

use acpi_tables::fadt::{FADT, FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use devices::{cmos_clock, pm_timer};

use super::{OEM, OEM_REVISION, OEM_TABLE, low, port};
use crate::machine::board::{RESET_PORT, RESET_VALUE, SLEEP_PORT, SLEEP_STATUS_PORT};

/// What an operating system need not look for: a VGA. The bits for a keyboard controller and for devices that nothing
/// names are clear too. A clock in CMOS is there: Xen needs one, and looking in vain for it takes Linux seconds.
const NO_VGA: u16 = 1 << 2;

/// The table, with the two that it names.
pub(super) fn table(dsdt: u64, facs: u64) -> FADT {
    let mut table = FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
        .dsdt_64(dsdt)
        .firmware_ctrl_32(low(facs))
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::TmrValExt)
        // The clock wakes nobody.
        .flag(Flags::FixRtc);
    // Kernels of ACPI 1.0 know no address of 64 bits.
    table.dsdt = low(dsdt).into();
    table.iapc_boot_arch = NO_VGA.into();
    table.century = cmos_clock::CENTURY;
    table.pm_tmr_blk = u32::from(pm_timer::PORT).into();
    table.pm_tmr_len = pm_timer::PORTS.to_le_bytes()[0];
    table.x_pm_tmr_blk =
        GAS::new(AddressSpace::SystemIo, 32, 0, AccessSize::DwordAccess, pm_timer::PORT.into());
    table.reset_reg = port(RESET_PORT);
    table.reset_value = RESET_VALUE;
    table.sleep_control_reg = port(SLEEP_PORT);
    table.sleep_status_reg = port(SLEEP_STATUS_PORT);
    table.finalize()
}
