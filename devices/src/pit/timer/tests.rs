//! What goes over the ports.

use super::{Channel, Timer};
use crate::pit::counter::Ticks;

const AT: Ticks = Ticks(1000);

fn later(ticks: u64) -> Ticks {
    Ticks(AT.0 + ticks)
}

fn word(timer: &mut Timer, channel: Channel, now: Ticks) -> u16 {
    u16::from_le_bytes([timer.read(channel, now), timer.read(channel, now)])
}

#[test]
fn a_count_goes_over_the_port_in_the_halves_that_were_chosen() {
    let mut timer = Timer::default();
    timer.control(0x34, AT);
    timer.write(Channel::Interrupt, 0x34, AT);
    assert_eq!(timer.next_interrupt(AT), None, "the other half is to follow");
    timer.write(Channel::Interrupt, 0x12, AT);
    assert_eq!(timer.next_interrupt(AT), Some(later(0x1234)));
    assert_eq!(word(&mut timer, Channel::Interrupt, later(0x34)), 0x1200);
    timer.control(0x14, AT);
    timer.write(Channel::Interrupt, 5, AT);
    assert_eq!((timer.next_interrupt(AT), timer.read(Channel::Interrupt, later(1))), (Some(later(5)), 4));
    timer.control(0x24, AT);
    timer.write(Channel::Interrupt, 1, AT);
    assert_eq!((timer.next_interrupt(AT), timer.read(Channel::Interrupt, AT)), (Some(later(0x100)), 1));
}

#[test]
fn a_latched_count_stays_until_it_is_read() {
    let mut timer = Timer::default();
    timer.control(0x34, AT);
    timer.write(Channel::Interrupt, 0, AT);
    timer.write(Channel::Interrupt, 0x10, AT);
    timer.control(0x00, later(1));
    timer.control(0x00, later(2));
    assert_eq!(word(&mut timer, Channel::Interrupt, later(9)), 0x0fff);
    assert_eq!(word(&mut timer, Channel::Interrupt, later(9)), 0x0ff7);
}

#[test]
fn a_read_back_gives_status_then_count_of_the_channels_it_names() {
    let mut timer = Timer::default();
    timer.control(0xb0, AT);
    timer.control(0xc8, AT);
    assert_eq!(timer.read(Channel::Speaker, AT), 0x70, "no count yet, both halves, mode 0");
    let _ = word(&mut timer, Channel::Speaker, AT);
    timer.write_gate(1, AT);
    timer.write(Channel::Speaker, 9, AT);
    timer.write(Channel::Speaker, 0, AT);
    timer.control(0xc8, later(3));
    assert_eq!(timer.read(Channel::Speaker, later(20)), 0x30);
    assert_eq!(word(&mut timer, Channel::Speaker, later(20)), 6);
    timer.control(0xe8, later(9));
    assert_eq!(timer.read(Channel::Speaker, later(20)), 0xb0, "the status alone: its output is high");
    assert_eq!(word(&mut timer, Channel::Interrupt, AT), 0, "another channel was not named");
}

#[test]
fn channel_2_runs_behind_its_gate_and_shows_its_output() {
    let mut timer = Timer::default();
    assert_eq!(timer.read_gate(Ticks(0)), 0);
    timer.control(0xb0, AT);
    for half in [0x10, 0] {
        timer.write(Channel::Speaker, half, AT);
    }
    assert_eq!(timer.read_gate(later(100)) & 0x21, 0, "its gate is low");
    timer.write_gate(0xfd, later(100));
    assert_eq!(timer.read_gate(later(115)) & 0x2f, 0x0d);
    assert_eq!(timer.read_gate(later(116)) & 0x2f, 0x2d);
}

#[test]
fn the_refresh_bit_toggles() {
    let timer = Timer::default();
    let bits = [0, 17, 18, 35, 36].map(|at| timer.read_gate(Ticks(at)) & 0x10);
    assert_eq!(bits, [0, 0, 0x10, 0x10, 0]);
}

#[test]
fn any_byte_may_come_at_any_time() {
    let mut timer = Timer::default();
    for value in 0..=u8::MAX {
        for channel in [Channel::Interrupt, Channel::Refresh, Channel::Speaker] {
            timer.control(value, Ticks(value.into()));
            timer.write_gate(value.rotate_left(3), Ticks(1));
            timer.write(channel, value, Ticks(u64::MAX));
            timer.control(0xfe, Ticks(0));
            let _ = (
                timer.read(channel, Ticks(u64::MAX)),
                timer.read_gate(Ticks(7)),
                timer.next_interrupt(Ticks(0)),
            );
        }
    }
}
