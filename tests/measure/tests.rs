//! What may be said of a measurement, and what not.

use std::time::Duration;

use super::fit::{Law, fit};
use super::noise::{MOST_BUSY, Noise, Ticks};
use super::report::{Line, Report};
use super::round::{Effort, Row, Turn, Unit};
use super::target::{Held, Verdict};

const QUIET: Noise = Noise { before: 0.0, during: 0.0, after: 0.0 };
const TWICE: Held = Held::Faster { must: 2.0, stretch: 4.0 };

fn takes(nanoseconds: u64, checksum: u64) -> impl FnMut() -> Turn {
    move || Turn { took: Duration::from_nanos(nanoseconds * 1000), operations: 1000, checksum }
}

fn lines(ours: u64, other: u64, held: Held, is_noisy: bool) -> Vec<Line> {
    let row = Row::new("a thing", Unit::Nanoseconds, takes(ours, 1)).against("peer", held, takes(other, 1));
    Line::of(&row.run(Effort::Measured { rounds: 3 }), is_noisy)
}

fn report(lines: Vec<Line>, noise: Noise) -> Report {
    Report { lines, noise, skipped: vec!["<nothing>".to_owned()], machine: "a machine".to_owned() }
}

#[test]
fn a_target_is_met_missed_or_left_open_by_noise() {
    for (other, noisy, expected) in [
        (100, false, Verdict::Stretch),
        (30, false, Verdict::Must),
        (15, false, Verdict::Missed),
        (100, true, Verdict::Noisy),
        (15, true, Verdict::Noisy),
    ] {
        let [line] = &lines(10, other, TWICE, noisy)[..] else { panic!("one comparison is one line") };
        assert_eq!(line.verdict, expected, "10 ns against {other} ns");
    }
}

#[test]
fn a_limit_is_held_the_other_way_round() {
    let limit = Held::Within { must: 1.15, stretch: 1.05 };
    assert_eq!(limit.verdict(limit.ratio(10.0, 10.0), false), Verdict::Stretch);
    assert_eq!(limit.verdict(limit.ratio(11.0, 10.0), false), Verdict::Must);
    assert_eq!(limit.verdict(limit.ratio(12.0, 10.0), false), Verdict::Missed);
}

#[test]
#[should_panic(expected = "peer finds something else than ours")]
fn who_finds_something_else_is_not_compared() {
    let row = Row::new("a thing", Unit::Nanoseconds, takes(1, 1)).against("peer", TWICE, takes(2, 7));
    let _measured = row.run(Effort::Once);
}

#[test]
fn samples_that_differ_too_much_are_noisy() {
    let mut turns = (1..).map(|turn| if turn % 4 < 2 { 10 } else { 20 });
    let ours = move || takes(turns.next().unwrap(), 1)();
    let row = Row::new("a thing", Unit::Nanoseconds, ours).against("peer", TWICE, takes(100, 1));
    let mut slow = takes(0, 0);
    let _ = slow();
    let measured = row.run(Effort::Measured { rounds: 1 });
    assert!(!measured.series[0].is_noisy(), "one sample cannot vary");
    let mut measured = measured;
    measured.series[0].samples = vec![10.0, 10.0, 20.0, 20.0];
    measured.series[1].samples = vec![100.0; 4];
    assert_eq!(Line::of(&measured, false)[0].verdict, Verdict::Noisy);
}

#[test]
fn a_busy_machine_takes_every_verdict_away() {
    let noise = Noise { during: MOST_BUSY * 2.0, ..QUIET };
    let text = report(lines(10, 100, TWICE, noise.is_too_much()), noise).text();
    assert!(text.contains("noisy") && text.contains("too noisy"), "{text}");
    assert!(!text.contains("stretch\n"), "{text}");
    let text = report(lines(10, 100, TWICE, QUIET.is_too_much()), QUIET).text();
    assert!(text.contains("stretch\n") && text.contains("The machine was quiet."), "{text}");
}

#[test]
fn json_and_picture_say_what_the_table_says() {
    let report = report(lines(10, 100, TWICE, false), QUIET);
    let row = &report.json()["rows"][0];
    assert_eq!((row["met"].as_str(), row["ratio"].as_f64()), (Some("stretch"), Some(10.0)));
    assert_eq!(row["other"]["name"], "peer");
    let svg = report.svg();
    assert!(svg.contains("a thing / peer") && svg.contains("10.0x stretch"), "{svg}");
    assert!(report.text().contains("left out: <nothing>"));
}

#[test]
fn own_time_is_no_noise_and_stolen_time_is() {
    let own = |ticks: u64| format!("1 (a name) with) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0");
    let at = |user: u64, idle: u64, steal: u64, own_ticks: u64| {
        Ticks::read(&format!("cpu {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1"), &own(own_ticks)).unwrap()
    };
    let before = at(0, 0, 0, 0);
    assert_eq!(at(50, 50, 0, 50).others_since(before), Some(0.0));
    assert_eq!(at(50, 50, 0, 0).others_since(before), Some(0.5));
    assert_eq!(at(0, 75, 25, 0).others_since(before), Some(0.25));
    assert_eq!(at(50, 50, 0, 20).and_own(30).others_since(before), Some(0.0));
    assert_eq!(before.others_since(before), None, "no time went by");
}

#[test]
fn a_law_is_found_again_in_its_own_points() {
    for law in Law::ALL {
        let points: Vec<_> =
            (6..20).map(|power| f64::from(1 << power)).map(|n| (n, 3.0 * law.at(n))).collect();
        let fit = fit(&points).unwrap();
        assert_eq!(fit.law, law);
        assert!((fit.distance - 1.0).abs() < 1e-9 && (fit.factor - 3.0).abs() < 1e-6, "{fit:?}");
    }
    assert_eq!(fit(&[(1.0, 1.0), (2.0, 1.0)]), None, "two points have no law");
}
