//! `afterimage boot` on a terminal, as the user at it meets it.
//!
//! Invariant: the terminal is as it was found when the command has ended, however it ended.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use guest_images::bare::{BareImage, ElfWidth};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::{afterimage, has_kvm, text};

/// A terminal: where a user would sit, and what a program is given.
pub(crate) fn terminal() -> (OwnedFd, File) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the host has terminals");
    grantpt(&near).expect("it is ours");
    unlockpt(&near).expect("it is ours");
    let name = ptsname(&near, Vec::new()).expect("it has a name").into_string().expect("a plain name");
    (near, File::options().read(true).write(true).open(name).expect("it can be opened"))
}

/// A command on a terminal, and what it has shown.
struct Seat {
    near: File,
    far: File,
    child: Child,
    shown: Vec<u8>,
    found: Termios,
}

impl Seat {
    fn start(arguments: &[&str]) -> Self {
        let (near, far) = terminal();
        let again = || far.try_clone().expect("the host has descriptors");
        let found = tcgetattr(&far).expect("it is a terminal");
        let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args([&["boot", "--timeout", "60", "--stale-report", "off"], arguments].concat())
            .stdin(again())
            .stdout(again())
            .stderr(again())
            .spawn()
            .expect("the command was built");
        Self { near: near.into(), far, child, shown: Vec::new(), found }
    }

    /// Reads until `text` is on the screen.
    fn see(&mut self, expected: &str) {
        let mut some = [0; 256];
        while !String::from_utf8_lossy(&self.shown).contains(expected) {
            let len = self.near.read(&mut some).expect("it is shown");
            self.shown.extend_from_slice(&some[..len]);
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.near.write_all(keys).expect("keys are pressed");
    }

    /// Its status. The terminal is as it was found.
    fn end(mut self) -> Option<i32> {
        let status = self.child.wait().expect("it ends").code();
        let left = tcgetattr(&self.far).expect("it is a terminal");
        assert_eq!(
            (left.input_modes, left.local_modes, left.output_modes),
            (self.found.input_modes, self.found.local_modes, self.found.output_modes)
        );
        status
    }
}

#[test]
fn every_key_is_the_guests_and_control_a_is_the_commands() {
    if !has_kvm() {
        return;
    }
    let mut seat = Seat::start(&["--guest", "echo"]);
    seat.see("Ctrl-A h helps");
    let modes = tcgetattr(&seat.far).expect("it is a terminal");
    assert!(!modes.input_modes.intersects(InputModes::ICRNL | InputModes::IXON));
    assert!(!modes.local_modes.intersects(LocalModes::ISIG | LocalModes::ECHO | LocalModes::ICANON));
    assert_eq!(modes.output_modes, seat.found.output_modes, "what is shown is treated as before");
    // ^C, ^S, ^Q, ^Z.
    seat.press(b"\x03\x13\x11\x1aabc\r");
    seat.see("\x03\x13\x11\x1aabc\r");
    seat.press(b"\x01h");
    seat.see("Ctrl-A x  leave the guest");
    seat.press(b"\x01\x01");
    seat.see("\x01");
    seat.press(b"\x01x");
    assert_eq!(seat.end(), Some(0));
}

/// Of the keys of a guest that reads none the command keeps some, and looks at the others all the same.
#[test]
fn a_user_can_leave_a_guest_that_reads_no_key() {
    if !has_kvm() {
        return;
    }
    // A jump to itself.
    let mut image = BareImage::Hello.elf(ElfWidth::Bits32);
    let entry = image.len() - BareImage::Hello.len_bytes() + 12;
    image[entry..entry + 2].copy_from_slice(&[0xeb, 0xfe]);
    let path = format!("{}/deaf", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, image).expect("the target folder can be written");
    let mut seat = Seat::start(&["--kernel", &path]);
    seat.see("Ctrl-A h helps");
    (0..100).for_each(|_| seat.press(&[b'k'; 100]));
    seat.press(b"\x01x");
    assert_eq!(seat.end(), Some(0));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    if !has_kvm() {
        return;
    }
    let mut seat = Seat::start(&["--guest", "echo"]);
    seat.see("Ctrl-A h helps");
    let id = seat.child.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &id]).output().expect("there is kill(1)");
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    assert_eq!(seat.end(), Some(143));
}

/// A shell with job control on a terminal of its own, which has put the command into the background.
#[test]
fn in_the_background_the_terminal_is_left_to_others() {
    if !has_kvm() {
        return;
    }
    let (near, far) = terminal();
    let found = tcgetattr(&near).expect("it is a terminal");
    let script = "set -m; \"$0\" boot --timeout 0.5 --guest echo & wait $!; echo \"status $?\"";
    let output = Command::new("setsid")
        .args(["--ctty", "--wait", "bash", "-c", script, env!("CARGO_BIN_EXE_afterimage")])
        .stdin(far)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("there is setsid(1)");
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(shown, "status 124\n", "{told}");
    assert!(told.contains("the terminal is another program's, so no keys go to the guest\n"), "{told}");
    let left = tcgetattr(&near).expect("it is a terminal");
    assert_eq!((left.input_modes, left.local_modes), (found.input_modes, found.local_modes));
}

/// What a command shows on a terminal of so many columns, whose user has this pager; and its status.
fn shown_on(columns: u16, pager: Option<&str>, arguments: &[&str]) -> (String, Option<i32>) {
    let (near, far) = terminal();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&far, size).expect("it has a size");
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(far.try_clone().expect("the host has descriptors"))
        .stderr(far);
    match pager {
        Some(pager) => command.env("PAGER", pager),
        None => command.env_remove("PAGER").env("PATH", "/nonexistent"),
    };
    let mut child = command.spawn().expect("the command was built");
    // What it was given is closed here, so that reading ends when it has ended.
    drop(command);
    let mut shown = Vec::new();
    // A terminal that nobody has open is an error to who reads its other end.
    let _closed = File::from(near).read_to_end(&mut shown);
    (text(&shown).replace("\r\n", "\n"), child.wait().expect("it ends").code())
}

#[test]
fn a_terminal_of_80_columns_gets_lists_that_fit() {
    for arguments in [&["zoo"][..], &["steps"], &["guests"]] {
        let (shown, status) = shown_on(80, Some("cat"), arguments);
        assert_eq!(status, Some(0));
        let long = shown.lines().find(|line| line.chars().count() > 80);
        assert!(long.is_none_or(|line| line.starts_with('`')), "{arguments:?}: {long:?}");
        let letters = |text: &str| {
            let mut letters: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
            letters.sort_unstable();
            letters
        };
        let piped = text(&afterimage(arguments).stdout);
        assert_eq!(letters(&shown), letters(&piped), "{arguments:?}: something is lost");
        let (narrow, status) = shown_on(20, Some("cat"), arguments);
        assert_eq!((letters(&narrow), status), (letters(&piped), Some(0)), "{arguments:?} at 20 columns");
    }
}

#[test]
fn a_result_is_two_lines_on_a_terminal_of_80_columns() {
    for (arguments, first, second) in [
        (&["check", "cow-notify-before-clear"][..], "VIOLATED in 10 steps", " states"),
        (&["race", "cow-notify-before-clear", "--cpu", "software"], "HAPPENED in 10 steps", " runs"),
        (&["zoo", "cow-notify-before-clear", "--no-pager"], "VIOLATED in 10 steps", " states"),
    ] {
        let (shown, status) = shown_on(80, None, arguments);
        assert_eq!(status, Some(0), "{shown}");
        // What is behind the last erasure is what stays of a line: progress was there before.
        let mut lines = shown.lines().map(|line| line.rsplit("\u{1b}[2K").next().unwrap_or_default());
        let line = lines.find(|line| line.contains(first)).unwrap_or_default();
        let numbers = lines.next().unwrap_or_default();
        assert!(line.len() <= 80 && !line.contains(second), "{line}");
        assert!(numbers.len() <= 80 && numbers.contains(second), "{numbers}");
        let (shown, _) = shown_on(108, None, arguments);
        assert!(shown.lines().any(|line| line.contains(first) && line.contains(second)), "{shown}");
    }
}

#[test]
fn a_pager_gets_what_is_long_and_does_not_change_the_status() {
    let (shown, status) = shown_on(80, Some("head -n 1; echo was paged"), &["zoo"]);
    assert_eq!(status, Some(0));
    assert!(shown.lines().count() == 2 && shown.ends_with("was paged\n"), "{shown}");
    for arguments in [&["explain"][..], &["explain", "AI0012"], &["zoo", "cow-notify-before-clear"]] {
        let (shown, status) = shown_on(80, Some("echo was paged"), arguments);
        assert_eq!((shown.as_str(), status), ("was paged\n", Some(0)), "{arguments:?}");
    }
    // It dies, and reads nothing.
    assert_eq!(shown_on(80, Some("kill -9 $$"), &["zoo"]), (String::new(), Some(0)));
    // It is not there: what it would have shown is shown.
    let (shown, status) = shown_on(80, Some("no-such-pager"), &["steps"]);
    assert!(shown.contains("STEPS") && shown.contains("pte_clear"), "{shown}");
    assert_eq!(status, Some(0));
    let (shown, status) = shown_on(80, None, &["steps"]);
    assert!(shown.starts_with("STEPS"), "{shown}");
    assert_eq!(status, Some(0));
}

#[test]
fn there_is_no_pager_for_a_pipe_or_for_who_wants_none() {
    let (shown, _) = shown_on(80, Some("echo was paged"), &["zoo", "--no-pager"]);
    assert!(!shown.contains("was paged") && shown.contains("scenarios;"), "{shown}");
    let output = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .arg("steps")
        .env("PAGER", "echo was paged")
        .output()
        .expect("the command was built");
    assert!(text(&output.stdout).starts_with("STEPS"), "{}", text(&output.stdout));
}
