//! Drives the targets of hostile input with bytes that seeds make.
//!
//! Invariant: a seed makes the same bytes on every machine. `AFTERIMAGE_FUZZ_SECONDS` sets for how long each target runs,
//! and `AFTERIMAGE_FUZZ_FIRST` the first seed; a failure prints the line that replays it.

#[cfg(test)]
mod fuzz_seeds {
    mod drive;
    mod watchdog;

    use tests_support::fuzz;

    use self::drive::drive;

    #[test]
    fn the_units_registers_and_its_queue_take_anything() {
        drive(&fuzz::REGISTERS);
    }

    #[test]
    fn a_request_goes_where_the_tables_say_whatever_they_say() {
        drive(&fuzz::TABLES);
    }

    #[test]
    fn configuration_space_and_the_registers_of_devices_take_anything() {
        drive(&fuzz::PCI);
    }

    #[test]
    fn the_io_apic_and_the_serial_port_take_anything() {
        drive(&fuzz::INTERRUPTS);
    }

    #[test]
    fn a_virtio_device_works_after_a_reset_whatever_its_driver_did() {
        drive(&fuzz::VIRTIO);
    }

    #[test]
    fn an_image_is_loaded_where_it_says_or_refused_in_one_line() {
        drive(&fuzz::LOADERS);
    }

    #[test]
    fn a_text_is_scenarios_or_what_is_wrong_is_said() {
        drive(&fuzz::SCENARIOS);
    }
}
