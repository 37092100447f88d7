//! Each thing that can be wrong is told, and a right run has none.

use super::{Boot, faults};
use crate::job::{Jobs, Set};

const JOB: &str = r#"[[job]]
name = "j"
set = "short"
kernels = ["6.1"]
script = "s.sh"
told = [""]
units = [""]
boots = 2
status = 0
says = ["LAB end"]
says_again = ["LAB kept"]
reports = ["stale uses: none"]
never = ["LAB wrong"]
"#;

fn boot(said: &str, reports: &str, status: i32) -> Boot {
    Boot { said: Some(said.to_owned()), reports: Some(reports.to_owned()), status: Some(status) }
}

fn of(boots: &[Boot]) -> Vec<String> {
    let jobs = Jobs::of(JOB).expect("it is right");
    faults(jobs.chosen(&[], Set::Short).expect("it is there")[0], boots)
}

fn right() -> [Boot; 2] {
    [boot("LAB end\r\n", "stale uses: none\n", 0), boot("LAB kept\r\nLAB end\r\n", "stale uses: none\n", 0)]
}

#[test]
fn a_right_run_has_no_fault() {
    assert_eq!(of(&right()), [""; 0]);
}

#[test]
fn each_thing_that_is_wrong_is_a_fault() {
    let wrong = [
        (boot("LAB kept LAB end", "stale uses: none", 3), "boot 2: status 3, 0 is wanted"),
        (boot("LAB kept", "stale uses: none", 0), "boot 2: `LAB end` is not said"),
        (boot("LAB end", "stale uses: none", 0), "boot 2: `LAB kept` is not said"),
        (boot("LAB kept LAB end", "stale use: 00:01.0", 0), "boot 2: `stale uses: none` is not reported"),
        (
            boot("LAB kept LAB end\nLAB wrong: sum\r\n", "stale uses: none", 0),
            "boot 2: never `LAB wrong`: LAB wrong: sum",
        ),
        (Boot { status: None, ..boot("LAB kept LAB end", "", 0) }, "boot 2: it has left no result"),
        (Boot::default(), "boot 2: it has left no result"),
    ];
    for (second, fault) in wrong {
        let [first, _] = right();
        assert_eq!(of(&[first, second]), [fault]);
    }
}

#[test]
fn a_boot_that_is_missing_is_a_fault() {
    let [first, _] = right();
    assert_eq!(of(&[first]), ["1 results, 2 are wanted"]);
    assert_eq!(of(&[]), ["0 results, 2 are wanted"]);
}
