//! Pictures of runs: which commands write them, when a file cannot be written, what is left alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::{RACE, afterimage, scenario, text};

/// A file in the folder of this test's own.
fn file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What another run has left.
    drop(fs::remove_file(&path));
    path
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn check_writes_a_page_a_picture_and_a_graph_beside_what_it_prints() {
    let source = scenario("pictures.scn", &format!("{RACE}expect violation\n"));
    let (html, svg, dot) = (file("check.html"), file("check.svg"), file("check.dot"));
    fs::write(&html, "x".repeat(1 << 20)).expect("the folder can be written");
    let drawn = ["--html", plain(&html), "--svg", plain(&svg), "--dot", plain(&dot)];
    let output = afterimage(&[&["check", plain(&source)], drawn.as_slice()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("VIOLATED in "), "what is printed stays");
    let page = read(&html);
    for part in [
        "late-notification",
        "VIOLATED",
        "IOTLB of IOMMU",
        "stale: old ro",
        "missing: ",
        "pictures.scn, line 1",
    ] {
        assert!(page.contains(part), "no `{part}` in:\n{page}");
    }
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"),
        "what was there is gone"
    );
    assert!(read(&svg).starts_with("<svg ") && read(&dot).starts_with("digraph \"late-notification\" {"));
}

#[test]
fn a_proof_has_its_counts_and_a_run_to_step_through() {
    let html = file("proof.html");
    let output = afterimage(&["check", "wp-page-copy", "--html", plain(&html)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = read(&html);
    for part in [
        "PROVED",
        "<dt>states</dt>",
        "<dt>orders</dt>",
        "statements that no order takes",
        "One complete run of many",
    ] {
        assert!(page.contains(part), "no `{part}`");
    }
    let acts = |agent: &str| page.contains(&format!("<td>{agent}</td>"));
    assert!(["mm", "T0", "T1", "DEV"].into_iter().all(acts), "everybody has a turn");
}

#[test]
fn what_is_replayed_minimized_and_raced_is_drawn_too() {
    let source = scenario("pictured.scn", &format!("{RACE}expect violation\n"));
    let printed = text(&afterimage(&["check", "--traces", plain(&source)]).stdout);
    let (_, trace) = printed.split_once("\ntrace\n").expect("it is refuted");
    let rows = trace.split("\n\n").next().expect("there is a first part");
    let replayed = scenario("replayed.scn", &format!("{RACE}trace\n{rows}\n"));
    let catalogue = format!("{}/../tests/scenarios/zap/madv-dontneed.scn", env!("CARGO_MANIFEST_DIR"));
    for (arguments, parts) in [
        (vec!["replay", plain(&replayed)], ["rows can happen", "The trace, replayed", "stale: old ro"]),
        (vec!["race", plain(&source), "--rounds", "3"], ["HAPPENED", "on the live machine", "stale: old ro"]),
        (
            vec!["minimize", &catalogue, "--agent", "T0"],
            ["the weakest order", "dontneed-notify-after-unlock-order-1", "What happens without it"],
        ),
    ] {
        let html = file(&format!("{}.html", arguments[0]));
        let output = afterimage(&[arguments.as_slice(), &["--html", plain(&html)]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let page = read(&html);
        for part in parts {
            assert!(page.contains(part), "no `{part}` in what {} wrote", arguments[0]);
        }
    }
}

#[test]
fn a_run_of_a_guest_has_each_stale_use_with_its_history_or_says_that_there_is_none() {
    let (html, svg) = (file("boot.html"), file("boot.svg"));
    fs::write(&html, "x".repeat(1 << 20)).expect("the folder can be written");
    let output = afterimage(&["boot", "--guest", "testdev", "--html", plain(&html), "--svg", plain(&svg)]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let page = read(&html);
    for part in [
        "afterimage boot: testdev",
        "1 stale use",
        "00:01.0 wrote 0x0 through the IOTLB",
        "stale: 4K page 0x",
        "second-stage entry of level 1",
        "mistake: nothing was invalidated for the page",
        "missing: IOTLB, domain 1, page 0x0, IH 1",
    ] {
        assert!(page.contains(part), "no `{part}` in:\n{page}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "it is whole");
    assert!(read(&svg).contains("stale: 4K page 0x"));
    let output =
        afterimage(&["boot", "--guest", "vtd-driver", "--stale-report", "off", "--html", plain(&html)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = read(&html);
    assert!(page.contains("no stale use") && !page.contains("STALE USE"), "{page}");
}

#[test]
fn a_picture_of_a_run_without_a_unit_or_for_nobody_is_refused_before_it() {
    let pipe = file("boot.pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .expect("the folder can be written");
    for (arguments, told) in [
        (["--html", "no-such-folder/page.html"], "cannot write no-such-folder/page.html: "),
        (["--svg", plain(&pipe)], "nobody reads the pipe"),
    ] {
        let output = afterimage(&[&["boot", "--guest", "testdev"], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
    let both = file("both.html");
    let output = afterimage(&[
        "boot",
        "--guest",
        "testdev",
        "--html",
        plain(&both),
        "--stale-report-file",
        plain(&both),
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot both be written into"), "{}", text(&output.stderr));
    let html = file("no-unit.html");
    let output = afterimage(&["boot", "--guest", "hello", "--iommu", "none", "--html", plain(&html)]);
    assert_eq!((output.status.code(), html.exists()), (Some(2), false), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("there is no unit to draw"), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_runs() {
    let source = scenario("unwritable.scn", &format!("{RACE}expect violation\n"));
    let source = plain(&source);
    let nowhere = "no-such-folder/page.html";
    for arguments in [
        vec!["demo", "--html", nowhere],
        vec!["check", source, "--html", nowhere],
        vec!["check", source, "--svg", nowhere],
        vec!["check", source, "--dot", "."],
        vec!["race", source, "--html", nowhere],
        vec!["replay", source, "--html", nowhere],
        vec!["minimize", source, "--agent", "CPU", "--html", nowhere],
    ] {
        let output = afterimage(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains("cannot write "), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}: nothing has run");
    }
    let output = afterimage(&["zoo", "--html", source]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot write "), "{}", text(&output.stderr));
}

#[test]
fn a_scenario_is_never_written_over_and_nothing_is_left_of_a_run_that_failed() {
    let source = scenario("kept.scn", &format!("{RACE}expect violation\n"));
    let before = read(&source);
    let over = afterimage(&["check", plain(&source), "--html", plain(&source)]);
    assert_eq!((over.status.code(), read(&source)), (Some(2), before));
    assert!(text(&over.stderr).contains("that is a scenario file"), "{}", text(&over.stderr));
    let twice = file("twice");
    let folder = twice.parent().expect("it lies in a folder");
    let otherwise = folder.join(".").join("twice");
    for same in [&twice, &otherwise] {
        let both = afterimage(&["check", plain(&source), "--html", plain(&twice), "--svg", plain(same)]);
        assert_eq!((both.status.code(), twice.exists()), (Some(2), false));
        assert!(text(&both.stderr).contains("cannot both be written into"), "{}", text(&both.stderr));
    }
    let (fresh, old) = (file("fresh.html"), file("old.html"));
    fs::write(&old, "as it was").expect("the folder can be written");
    for path in [&fresh, &old] {
        let trace = afterimage(&["replay", plain(&source), "--html", plain(path)]);
        assert_eq!(trace.status.code(), Some(2), "there is no trace to replay");
    }
    assert_eq!((fresh.exists(), read(&old).as_str()), (false, "as it was"));
}

#[test]
fn nothing_that_is_read_is_written_over_and_a_trace_stays_until_there_is_another() {
    let text_of = format!("{RACE}expect violation\n");
    let source = file("read.txt");
    let link = file("link-to-read.html");
    fs::write(&source, &text_of).expect("the folder can be written");
    std::os::unix::fs::symlink(&source, &link).expect("links can be made");
    for arguments in [["check", "--html"], ["race", "--trace"], ["replay", "--svg"]] {
        for path in [&source, &link] {
            let over = afterimage(&[arguments[0], plain(&source), arguments[1], plain(path)]);
            assert_eq!(over.status.code(), Some(2), "{arguments:?}: {}", text(&over.stderr));
            assert!(
                text(&over.stderr).contains("which is read; name another file"),
                "{}",
                text(&over.stderr)
            );
            assert_eq!(read(&source), text_of, "{arguments:?}");
        }
    }
    let (fresh, old) = (file("fresh-trace.json"), file("old-trace.json"));
    fs::write(&old, "as it was").expect("the folder can be written");
    for path in [&fresh, &old] {
        let failed = afterimage(&["replay", plain(&source), "--trace", plain(path)]);
        assert_eq!(failed.status.code(), Some(2), "there is no trace to replay");
    }
    assert_eq!((fresh.exists(), read(&old).as_str()), (false, "as it was"));
}

#[test]
fn a_page_says_what_was_done_where_there_is_no_run_to_be_shown() {
    let html = file("agrees.html");
    let output =
        afterimage(&["race", "wp-page-copy", "--rounds", "3", "--cpu", "software", "--html", plain(&html)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(read(&html).contains("agrees") && read(&html).contains("random runs"), "{}", read(&html));
    let wrong = scenario("wrong-row.scn", &format!("{RACE}expect violation\ntrace\nCPU0\nflush_tlb A\n"));
    let html = file("wrong-row.html");
    let output = afterimage(&["replay", plain(&wrong), "--html", plain(&html)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(read(&html).contains("CANNOT HAPPEN"), "{}", read(&html));
}

#[test]
fn whoever_stops_reading_leaves_no_empty_picture() {
    let svg = file("stopped.svg");
    // Nobody reads from the beginning, so it is no matter who is faster.
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    drop(reader);
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["check", "cow-notify-before-clear", "--svg", plain(&svg)])
        .stdout(writer)
        .status();
    assert_eq!(status.expect("the command was built").code(), Some(141));
    assert!(!svg.exists(), "{:?} was left", fs::read(&svg));
}

#[test]
fn a_reader_of_a_picture_may_be_a_pipe() {
    let output = afterimage(&["check", "cow-notify-before-clear", "--json", "--svg", "/dev/stderr"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).trim_end().ends_with("</svg>"), "{}", text(&output.stderr));
}

#[test]
fn the_picture_of_the_readme_is_up_to_date() {
    let svg = file("readme.svg");
    let output = afterimage(&["check", "cow-notify-before-clear", "--svg", plain(&svg)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cow-notify-before-clear.svg");
    let same = read(&known) == read(&svg);
    let remedy = "afterimage check cow-notify-before-clear --svg docs/cow-notify-before-clear.svg";
    assert!(same, "docs/cow-notify-before-clear.svg is old; run: {remedy}");
}

#[test]
fn hostile_text_of_a_file_is_text_in_its_page() {
    let harm = "</title><script>alert(1)</script>";
    let source = scenario("<b>hostile.scn", &format!("# {harm}\n{RACE}about \"{harm}\"\nexpect violation\n"));
    let (html, svg) = (file("hostile.html"), file("hostile.svg"));
    let output = afterimage(&["check", plain(&source), "--html", plain(&html), "--svg", plain(&svg)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = read(&html);
    assert_eq!(page.matches("<script").count(), 1, "its own");
    assert!(
        page.contains("&lt;b&gt;hostile.scn") && page.contains("&lt;script&gt;alert(1)"),
        "they are shown"
    );
    assert!(!read(&svg).contains("<script"));
}

#[test]
fn the_zoo_is_a_site_of_its_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo/site");
    drop(fs::remove_dir_all(&folder));
    let output = afterimage(&["zoo", "--html", plain(&folder)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("begin with "), "{}", text(&output.stdout));
    let start = read(&folder.join("index.html"));
    assert!(!start.contains("NOT AS EXPECTED"));
    assert!(start.contains("cow/notify-under-lock.html#scenario-cow-notify-before-clear"), "{start}");
    assert!(start.contains("https://git.kernel.org/linus/f3b65bbaed7c"), "sources are linked");
    let page = read(&folder.join("cow/notify-under-lock.html"));
    assert!(page.contains("../index.html") && page.contains("id=\"scenario-cow-notify-before-clear\""));
}
