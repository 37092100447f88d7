//! `afterimage boot` on a terminal, as the user at it meets it.
//!
//! Invariant: the terminal is as it was found when the command has ended, however it ended.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use guest_images::bare::{BareImage, ElfWidth};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, Termios, tcgetattr};

use crate::{has_kvm, text};

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
