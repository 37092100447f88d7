//! An interface that is open already, in a network of the test's own.

use std::env;
use std::fs::File;
use std::io::{Write, stdout};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use super::{attach, by_number};

/// In the environment of the process that has such a network.
const INSIDE: &str = "AFTERIMAGE_TEST_NETWORK";

#[test]
fn an_interface_that_is_open_is_used_as_it_is_and_one_of_another_kind_is_refused() {
    if env::var(INSIDE).is_err() {
        let own = env::current_exe().expect("the test is a file");
        let name = "command::boot::net::tap::tests::an_interface_that_is_open_is_used_as_it_is_and_one_of_another_kind_is_refused";
        let output =
            Command::new("unshare").arg("-n").arg(own).args(["--exact", name]).env(INSIDE, "1").output();
        let output = output.expect("the host can unshare");
        let told =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        if told.contains("unshare failed") || File::open("/dev/net/tun").is_err() {
            writeln!(stdout(), "skipped: no network of its own, or no TAP interfaces")
                .expect("a test can be read");
        } else {
            assert!(output.status.success() && told.contains("1 passed"), "{told}");
        }
        return;
    }
    let open = || File::options().read(true).write(true).open("/dev/net/tun");
    let descriptor = OwnedFd::from(open().expect("it was looked at"));
    let number = descriptor.as_raw_fd();
    let told = by_number(number).expect_err("it is attached to nothing");
    assert!(told.contains(&format!("fd:{number} is no TAP interface; open /dev/net/tun")), "{told}");
    attach(&descriptor, "tap7").expect("in a network of its own it may be made");
    let cable = by_number(number).expect("it is one");
    assert!(format!("{cable:?}").contains("\"tap7\""), "{cable:?}");
}
