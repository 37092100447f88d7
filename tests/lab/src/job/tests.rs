//! The file of jobs: what is in it, and what is refused.

use super::{Job, Jobs, Set};

const GUEST: &str = "[[job]]\nname = \"j\"\nset = \"short\"\nstatus = 0\n";

fn error(text: &str) -> String {
    Jobs::of(&format!("{GUEST}{text}")).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_file_of_jobs_is_right_and_its_sets_are_not_empty() {
    let jobs = Jobs::read().expect("it is right");
    let runs = |set| jobs.chosen(&[], set).expect("no name").into_iter().flat_map(Job::runs).count();
    let sets = [Set::Short, Set::Whole, Set::Speed].map(runs);
    assert!(sets[0] > 3 && sets[1] > 30 && sets[2] > 3, "{sets:?}");
    let of_both = |job: &&Job| Set::Whole.has(job.set) == Set::Speed.has(job.set);
    assert_eq!(jobs.job.iter().filter(of_both).count(), 0, "who measures is not in the way of who judges");
    let names = ["panic".to_owned(), "nothing".to_owned()];
    assert_eq!(jobs.chosen(&names[..1], Set::Short).expect("it is there").len(), 1);
    assert!(jobs.chosen(&names, Set::Short).is_err());
}

#[test]
fn a_job_that_could_be_right_for_nothing_is_refused() {
    for (text, told) in [
        ("says = [\"x\"]", "neither a script nor a command"),
        ("says = [\"x\"]\nscript = \"s\"\ncommand = [\"c\"]", "neither a script nor a command, or both"),
        ("says = [\"x\"]\nscript = \"s\"\nkernels = [\"6.1\"]", "no kernel, told or unit"),
        ("says = [\"x\"]\ncommand = [\"c\"]\nkernels = [\"6.1\"]", "a command, and a kernel"),
        ("says = [\"x\"]\ncommand = [\"c\"]\nboots = 0", "no boot"),
        ("says = [\"x\"]\ncommand = [\"c\"]\nmachine = \"qemu\"", "QEMU, and"),
        ("command = [\"c\"]", "no line that must come"),
        ("command = [\"c\"]\nsay = [\"x\"]", "unknown field `say`"),
    ] {
        assert!(error(text).contains(told), "{text}: {}", error(text));
    }
    assert_eq!(error("command = [\"c\"]\nsays = [\"x\"]"), "");
}
