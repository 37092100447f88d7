//! Counts and outputs over time, mode by mode.

use super::{Counter, Digits, Level, Mode, Ticks};

fn loaded(mode: Mode, count: u16) -> Counter {
    let mut counter = Counter::new(Level::High);
    counter.set_mode(mode, Digits::Binary);
    counter.load(count, Ticks(100));
    counter
}

/// Counts, and where the output is high, from the load on.
fn course(counter: &Counter, len: u64) -> (Vec<u16>, String) {
    let at = |tick| Ticks(100 + tick);
    let levels = (0..len).map(|tick| if counter.output(at(tick)) == Level::High { '-' } else { '_' });
    ((0..len).map(|tick| counter.count(at(tick))).collect(), levels.collect())
}

#[test]
fn each_mode_counts_and_moves_its_output_as_the_data_sheet_draws_it() {
    let once = vec![4, 3, 2, 1, 0, 0xffff, 0xfffe, 0xfffd, 0xfffc];
    assert_eq!(course(&loaded(Mode::Terminal, 4), 9), (once.clone(), "____-----".to_owned()));
    assert_eq!(course(&loaded(Mode::Strobe, 4), 9), (once, "----_----".to_owned()));
    let again = vec![4, 3, 2, 1, 4, 3, 2, 1, 4];
    assert_eq!(course(&loaded(Mode::Rate, 4), 9), (again, "---_---_-".to_owned()));
    let by_two = vec![4, 2, 4, 2, 4, 2, 4, 2, 4];
    assert_eq!(course(&loaded(Mode::Square, 4), 9), (by_two, "--__--__-".to_owned()));
}

#[test]
fn a_rise_is_found_once_and_only_after_what_was_seen() {
    let rises = |counter: &Counter| {
        let mut seen = Ticks(0);
        let mut rises = Vec::new();
        while let Some(rise) = counter.next_rise(seen).filter(|_| rises.len() < 3) {
            rises.push(rise.0);
            seen = rise;
        }
        rises
    };
    assert_eq!(rises(&loaded(Mode::Terminal, 7)), [107]);
    assert_eq!(rises(&loaded(Mode::Strobe, 7)), [108]);
    assert_eq!(rises(&loaded(Mode::Rate, 7)), [107, 114, 121]);
    assert_eq!(rises(&loaded(Mode::Square, 0)), [100 + 0x1_0000, 100 + 0x2_0000, 100 + 0x3_0000]);
    assert_eq!(
        loaded(Mode::Rate, 7).next_rise(Ticks(1000)),
        Some(Ticks(1003)),
        "late periods are passed over"
    );
    assert_eq!(rises(&loaded(Mode::OneShot, 7)), [0; 0], "its gate has not risen");
    assert_eq!(Counter::new(Level::High).next_rise(Ticks(0)), None, "nothing was loaded");
}

#[test]
fn a_gate_stops_or_starts_it() {
    let mut paused = loaded(Mode::Terminal, 10);
    paused.set_gate(Level::Low, Ticks(103));
    assert_eq!((paused.count(Ticks(150)), paused.next_rise(Ticks(150))), (7, None));
    paused.set_gate(Level::High, Ticks(200));
    assert_eq!((paused.count(Ticks(202)), paused.next_rise(Ticks(150))), (5, Some(Ticks(207))));

    let mut shot = loaded(Mode::OneShot, 10);
    assert_eq!(shot.output(Ticks(150)), Level::High);
    shot.set_gate(Level::Low, Ticks(150));
    shot.set_gate(Level::High, Ticks(200));
    assert_eq!([200, 209, 210].map(|at| shot.output(Ticks(at))), [Level::Low, Level::Low, Level::High]);

    let mut rate = loaded(Mode::Rate, 10);
    rate.set_gate(Level::Low, Ticks(109));
    assert_eq!((rate.output(Ticks(109)), rate.next_rise(Ticks(109))), (Level::High, None));
    rate.set_gate(Level::High, Ticks(200));
    assert_eq!(rate.next_rise(Ticks(200)), Some(Ticks(210)));
}

#[test]
fn decimal_counts_are_written_and_read_as_such() {
    let mut counter = Counter::new(Level::High);
    counter.set_mode(Mode::Terminal, Digits::Decimal);
    counter.load(0x1000, Ticks(0));
    assert_eq!([0, 1, 1000, 1001].map(|at| counter.count(Ticks(at))), [0x1000, 0x999, 0, 0x9999]);
    counter.load(0xffff, Ticks(0));
    assert_eq!(counter.count(Ticks(0)), 0x6665, "digits above 9 count for what they are");
}

#[test]
fn the_smallest_counts_and_the_latest_times_do_no_harm() {
    for mode in (0..8).map(Mode::of) {
        for count in [0, 1, 2] {
            let mut counter = loaded(mode, count);
            for level in [Level::Low, Level::High] {
                counter.set_gate(level, Ticks(u64::MAX));
                for at in [0, 99, 100, u64::MAX] {
                    let _ =
                        (counter.count(Ticks(at)), counter.output(Ticks(at)), counter.next_rise(Ticks(at)));
                }
            }
        }
    }
}
