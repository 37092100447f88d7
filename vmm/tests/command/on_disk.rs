//! `afterimage check` with any number of threads, and with its states on disk.

use std::fs::{read_dir, read_link};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use vmm_sys_util::tempdir::TempDir;

use super::limits::{SLACK_MIB, file, peak};
use super::{afterimage, scenario, text};

fn folder() -> TempDir {
    TempDir::new_with_prefix(std::env::temp_dir().join("afterimage-disk")).expect("a folder can be made")
}

fn path(folder: &TempDir) -> &str {
    folder.as_path().to_str().expect("the path is UTF-8")
}

/// What was printed, without times and, where the disk does not count them, orders.
fn without_times(shown: &str, orders: bool) -> String {
    let word = |(at, word): (usize, &str), words: &[&str]| {
        let next = words.get(at + 1).copied().unwrap_or_default();
        let masked = next == "ms" || !orders && next == "orders";
        if masked { "#".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.iter().enumerate().map(|(at, one)| word((at, one), &words)).collect::<Vec<_>>().join(" ")
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_printed_does_not_depend_on_the_number_of_threads() {
    let file = file("any-threads", 4, 4);
    let check = |threads: &str| {
        let path = file.to_str().expect("the path is UTF-8");
        let output =
            afterimage(&["check", path, "--no-reduce", "--stats", "--witness", "--threads", threads]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        without_times(&text(&output.stdout), true)
    };
    let one = check("1");
    assert!(one.contains(" PROVED "), "{one}");
    for threads in 2..=8 {
        assert_eq!(check(&threads.to_string()), one, "{threads} threads");
    }
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn on_disk_is_printed_what_is_printed_without_but_for_the_orders() {
    let (folder, names) =
        (folder(), ["cow-notify-before-clear", "cow-clear-flush-notify", "store-buffering"]);
    let plain = afterimage(&[["check", "--traces"].as_slice(), &names].concat());
    let disk = ["check", "--traces", "--memory", "256K", "--disk", path(&folder)];
    let disk = afterimage(&[disk.as_slice(), &names].concat());
    assert_eq!((plain.status.code(), disk.status.code()), (Some(0), Some(0)));
    assert_eq!(without_times(&text(&disk.stdout), false), without_times(&text(&plain.stdout), false));
    assert_eq!(read_dir(folder.as_path()).expect("it is there").count(), 0, "nothing is left");
}

#[test]
fn a_search_on_disk_stays_within_its_memory_where_the_other_does_not() {
    let (file, folder) = (file("on-disk", 4, 4), folder());
    let scenario = file.to_str().expect("the path is UTF-8");
    let base = peak(&["check", scenario, "--max-states", "10"]).0;
    let search = ["check", scenario, "--no-reduce", "--memory", "512K"];
    let (_, plain) = peak(&search);
    assert!(plain.contains("BOUND HIT: --memory "), "{plain}");
    assert!(plain.contains("if it goes on as in its last steps: --memory "), "what it would need: {plain}");
    let (kib, shown) = peak(&[search.as_slice(), &["--disk", path(&folder)]].concat());
    assert!(shown.contains(" PROVED "), "{shown}");
    assert!(kib > 0 && kib < base + 512 + (SLACK_MIB << 10), "{kib} KiB, {base} alone");
    std::fs::remove_file(file).expect("it was written");
}

/// `check` of a search that goes on for long, with its states in the folder.
fn long(folder: &Path, file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.arg("check").arg(file).args(["--no-reduce", "--memory", "1M", "--disk"]).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn who_interrupts_a_search_finds_nothing_of_it_in_the_folder() {
    let (file, folder) = (file("interrupted", 9, 7), folder());
    let mut child = long(folder.as_path(), &file).spawn().expect("the command was built");
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let opens = || {
        let open = read_dir(&descriptors).expect("the child runs").flatten();
        open.filter_map(|one| read_link(one.path()).ok())
            .filter(|one| one.starts_with(folder.as_path()))
            .count()
    };
    while opens() < 2 {
        assert!(child.try_wait().expect("the child is ours").is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("the child runs");
    let ended = child.wait_with_output().expect("the child has ended");
    assert!(!ended.status.success() && !text(&ended.stdout).contains("PROVED"));
    assert_eq!(read_dir(folder.as_path()).expect("it is there").count(), 0);
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn a_full_disk_is_one_line_and_no_verdict() {
    let (file, folder) = (file("full", 9, 7), folder());
    // A file of more than some blocks cannot be written, as on a disk that is full; without a signal that says so.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
    let long = long(folder.as_path(), &file);
    let output = shell.arg(long.get_program()).args(long.get_args()).output().expect("there is a shell");
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{shown}{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("no room is left in ") && told.contains(" states: make room there"), "{told}");
    assert!(!shown.contains("PROVED") && shown.contains("Not all scenarios were checked"), "{shown}");
    std::fs::remove_file(file).expect("it was written");
}

#[test]
fn a_folder_that_is_none_is_named() {
    let output = afterimage(&["check", "store-buffering", "--disk", "/nowhere/at/all"]);
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(7), 1), "{told}");
    assert!(
        told.contains("/nowhere/at/all") && told.contains("name a folder that can be written to"),
        "{told}"
    );
}

#[test]
fn what_needs_the_graph_is_no_proof_on_disk() {
    let folder = folder();
    let mut round =
        "scenario round\nvar x = 0..2\nagent p\n  again:\n  x = 1\n  goto again | end\n".to_owned();
    for agent in ["q", "r", "s"] {
        round += &format!("agent {agent}\n{}", "  x = 1\n".repeat(14));
    }
    let file = scenario("round.scn", &(round + "always x < 2\nexpect proved\n"));
    let file = file.to_str().expect("a plain path");
    let proved = text(&afterimage(&["check", file]).stdout);
    assert!(proved.contains(" PROVED "), "{proved}");
    let check =
        |memory| afterimage(&["check", file, "--no-reduce", "--memory", memory, "--disk", path(&folder)]);
    assert_eq!(check("64M").status.code(), Some(0), "the states fit into memory");
    let output = check("64K");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("BOUND HIT: --disk ") && shown.contains("is not decided on disk"), "{shown}");
    for refused in ["--outcomes", "--cross-check"] {
        let output = afterimage(&["check", file, "--disk", path(&folder), refused]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
