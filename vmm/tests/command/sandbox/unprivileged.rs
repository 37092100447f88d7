//! Guests of a user who has nothing but the right to /dev/kvm.
//!
//! Invariant: nothing of the machine is changed: the user's /dev/kvm is a node of its own, which only the processes
//! of the test see, in a mount namespace that goes with them.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::geteuid;

use crate::{afterimage, has_kvm, text};

/// Nobody, on every Linux.
const NOBODY: &str = "65534";

/// Puts a copy of the node over /dev/kvm, which belongs to the user, and shows the command where he may go; then
/// becomes him. A mount that is refused ends it with 77.
const BECOME: &str = r#"
set -e
folder=$1 command=$2 user=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs "$folder" || exit 77
mknod -m 600 "$folder/kvm" c $((0x$(stat -c %t /dev/kvm))) $((0x$(stat -c %T /dev/kvm)))
chown "$user" "$folder/kvm"
mount --bind "$folder/kvm" /dev/kvm || exit 77
touch "$folder/command"
mount --bind "$command" "$folder/command"
cd /
exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all "$folder/command" "$@"
"#;

/// The command of that user; none where the host does not let a test change what it sees.
fn as_nobody(arguments: &[&str]) -> Option<Output> {
    if !geteuid().is_root() {
        return Some(afterimage(arguments));
    }
    let folder: PathBuf =
        std::env::temp_dir().join(format!("afterimage-nobody-{}-{}", std::process::id(), arguments.len()));
    fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", BECOME, "sh"])
        .arg(&folder)
        .args([env!("CARGO_BIN_EXE_afterimage"), NOBODY])
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    fs::remove_dir(&folder).expect("nothing was left in it");
    match output {
        Ok(output) if output.status.code() != Some(77) => Some(output),
        refused => {
            writeln!(stdout(), "skipped: no mount namespace for another user: {refused:?}")
                .expect("a test can be read");
            None
        }
    }
}

#[test]
fn a_guest_needs_no_more_than_the_right_to_kvm() {
    if !has_kvm() {
        return;
    }
    for (guest, status, told) in [("hello", 0, "hello\n"), ("edu", 0, "passed\n"), ("vtd-race", 0, "")] {
        let arguments =
            ["boot", "--timeout", "60", "--cmdline", "reads=100", "--cpus", "2", "--guest", guest];
        let Some(output) = as_nobody(&arguments) else { return };
        let (shown, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{guest}: {shown}{error}");
        assert!(shown.ends_with(told), "{guest}: {shown}{error}");
    }
}

#[test]
fn that_user_may_read_no_file_of_others() {
    if !has_kvm() {
        return;
    }
    let Some(output) = as_nobody(&["boot", "--kernel", "/etc/shadow"]) else { return };
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("cannot read /etc/shadow: Permission denied"), "{told}");
}
