//! `afterimage fmt`, `new` and `explain`, as their users meet them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{afterimage, text};

const LOOSE: &str = "scenario  s\nvar x=0..1\n\n\n\nagent p   # who\n    x = 1\n";
const FORM: &str = "scenario s\nvar     x = 0..1\n\nagent p                             # who\n  x = 1\n";

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _gone = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder is made");
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.output().expect("the command was built")
}

#[test]
fn a_file_is_put_into_its_form_with_its_permissions_and_then_stays() {
    let folder = folder("fmt-one");
    let file = folder.join("a.scn");
    fs::write(&file, LOOSE).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let check = run(&folder, &["fmt", "--check", "a.scn"]);
    assert_eq!((check.status.code(), text(&check.stdout).as_str()), (Some(1), "a.scn:1: not in its form\n"));
    assert_eq!(fs::read_to_string(&file).expect("there"), LOOSE);
    for _ in 0..2 {
        let done = run(&folder, &["fmt", "a.scn"]);
        assert_eq!(
            (done.status.code(), text(&done.stdout).as_str()),
            (Some(0), ""),
            "{}",
            text(&done.stderr)
        );
        assert_eq!(fs::read_to_string(&file).expect("there"), FORM);
    }
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
    assert_eq!(run(&folder, &["fmt", "--check", "."]).status.code(), Some(0));
    assert_eq!(fs::read_dir(&folder).expect("there").count(), 1, "nothing is left beside it");
}

#[test]
fn what_cannot_be_formed_stays_and_a_link_stays_a_link() {
    let folder = folder("fmt-refused");
    fs::write(folder.join("bad.scn"), "scenario s\nagent p\n  laod A\n").expect("written");
    fs::write(folder.join("good.scn"), LOOSE).expect("written");
    std::os::unix::fs::symlink("good.scn", folder.join("link.scn")).expect("a link");
    let done = run(&folder, &["fmt", "bad.scn", "link.scn"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("error[AI0012]") && text(&done.stderr).contains("stays as it is"));
    assert_eq!(fs::read_to_string(folder.join("bad.scn")).expect("there"), "scenario s\nagent p\n  laod A\n");
    assert_eq!(fs::read_to_string(folder.join("good.scn")).expect("there"), FORM);
    assert!(fs::symlink_metadata(folder.join("link.scn")).expect("there").is_symlink());
    let named = run(&folder, &["fmt", "store-buffering"]);
    assert_eq!(named.status.code(), Some(2));
    assert!(
        text(&named.stderr).contains("store-buffering is a scenario of this program"),
        "{}",
        text(&named.stderr)
    );
}

#[test]
fn a_first_scenario_checks_as_it_says_stands_in_its_form_and_is_not_written_over() {
    let folder = folder("new");
    for (about, verdicts) in
        [("cow", ["VIOLATED", "PROVED"]), ("ksm", ["VIOLATED", "PROVED"]), ("driver", ["VIOLATED", "PROVED"])]
    {
        let made = run(&folder, &["new", about]);
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let name = format!("{about}.scn");
        assert!(text(&made.stdout).starts_with(&format!("{name}: ")), "{}", text(&made.stdout));
        let checked = run(&folder, &["check", &name]);
        let shown = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(0), "{shown}{}", text(&checked.stderr));
        for verdict in verdicts {
            assert!(shown.contains(verdict), "{shown}");
        }
        assert_eq!(run(&folder, &["fmt", "--check", &name]).status.code(), Some(0), "{about}");
        assert_eq!(
            run(&folder, &["race", &name, "--rounds", "5", "--cpu", "software"]).status.code(),
            Some(0),
            "{about}"
        );
        fs::write(folder.join(&name), "mine").expect("written");
        let again = run(&folder, &["new", about]);
        assert_eq!(again.status.code(), Some(2));
        assert!(text(&again.stderr).contains("is there, and is not written over"), "{}", text(&again.stderr));
        assert_eq!(fs::read_to_string(folder.join(&name)).expect("there"), "mine");
        assert!(text(&run(&folder, &["new", about, "-"]).stdout).contains("\nexpect  proved"));
    }
    assert_eq!(run(&folder, &["new", "cow", "no/such/folder.scn"]).status.code(), Some(7));
}

#[test]
fn a_code_is_explained_and_an_unknown_one_is_refused() {
    let told = text(&afterimage(&["explain", "AI0012"]).stdout);
    assert!(told.starts_with("error[AI0012]: A step that is not in the language.\n"), "{told}");
    assert!(told.contains("    pte_claer A") && told.contains("Right:"), "{told}");
    assert!(text(&afterimage(&["explain"]).stdout).lines().count() > 90);
    for as_told in ["error[AI0012]", "error[AI0012]:", "AI0012,"] {
        assert_eq!(text(&afterimage(&["explain", as_told]).stdout), told, "{as_told}");
    }
    let unknown = afterimage(&["explain", "AI9912"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no code `AI9912`"), "{}", text(&unknown.stderr));
}
