//! virtio-net of `afterimage boot`, by a driver behind the unit, inside the fence.
//!
//! Invariant: no time is asserted; counts and contents are.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::{afterimage, has_kvm, text};

fn boot(arguments: &[&str]) -> Output {
    afterimage(&[&["boot", "--timeout", "60", "--guest", "virtio"], arguments].concat())
}

#[test]
fn a_right_driver_of_an_interface_is_answered_and_has_no_report() {
    if !has_kvm() {
        return;
    }
    for unit in ["vtd", "vtd,report=first-use", "vtd,caching-mode=on", "vtd,caches=never-evict"] {
        for net in ["user", "user,reach=none", "user,reach=any,mac=02:00:00:00:00:77"] {
            let output = boot(&["--net", net, "--iommu", unit]);
            let told = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{unit} {net}: {told}{}", text(&output.stderr));
            assert_eq!(told, "network: 32 questions answered\npassed\n", "{unit} {net}");
            assert_eq!(text(&output.stderr), "stale uses: none\n", "{unit} {net}");
        }
    }
}

#[test]
fn a_page_that_moves_under_an_interface_without_an_invalidation_is_reported() {
    if !has_kvm() {
        return;
    }
    for (bug, said, used) in [
        (
            "missing-flush",
            "sent from a page that moved",
            "stale use: 00:01.0 read 0x140000000 through the IOTLB",
        ),
        (
            "missing-flush-received",
            // The second answer went to the page that was there before.
            "answers in the pages [true, false]",
            "stale use: 00:01.0 wrote 0x140001000 through the IOTLB",
        ),
    ] {
        let output = boot(&["--net", "user", "--cmdline", &format!("bug={bug}")]);
        let (told, reports) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(4), "{told}{reports}");
        assert!(told.contains(said), "{told}");
        for part in [used, "mistake: nothing was invalidated for the page", "stale uses: 1\n"] {
            assert!(reports.contains(part), "no `{part}` in {reports}");
        }
    }
}

#[track_caller]
fn assert_refused(output: &Output, part: &str) {
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{part}: {told}");
    assert!(told.starts_with("afterimage: ") && told.contains(part), "no `{part}` in {told}");
    assert!(output.stdout.is_empty(), "nothing has run: {}", text(&output.stdout));
}

#[test]
fn what_cannot_be_an_interface_is_wrong_usage_in_one_line_that_says_what_to_do() {
    for (arguments, parts) in [
        (
            &["--net", "tap=nosuchtap0"][..],
            ["the host has no such interface; `ip tuntap add dev", "--net user"],
        ),
        (&["--net", "tap=fd:200"], ["no such descriptor is open", "--net user"]),
        (
            &["--net", "user,mac=02:00:00:00:00:01", "--net", "user,mac=02:00:00:00:00:01"],
            ["two interfaces have the address 02:00:00:00:00:01", "by mac="],
        ),
    ] {
        parts.iter().for_each(|part| assert_refused(&boot(arguments), part));
    }
    // An open file that is none.
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 7< /dev/null", env!("CARGO_BIN_EXE_afterimage")])
        .args(["boot", "--guest", "virtio", "--net", "tap=fd:7"])
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    assert_refused(&output, "fd:7 is no TAP interface; open /dev/net/tun with IFF_TAP");
    let output = boot(&["--net", "user,mac=01:00:00:00:00:01"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is the address of a group"), "{}", text(&output.stderr));
}

/// Whether interfaces can be made here, in a network of their own.
fn has_taps() -> bool {
    let tried =
        Command::new("unshare").args(["-n", "ip", "tuntap", "add", "dev", "tap0", "mode", "tap"]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => text(&output.stderr),
        Err(error) => error.to_string(),
    };
    writeln!(std::io::stdout(), "skipped: no TAP interface can be made: {}", why.trim())
        .expect("a test can be read");
    false
}

/// Runs it in a network with one interface, tap0, behind which the kernel is 10.0.2.2; before it what `before` says.
fn boot_in_a_network(before: &str, arguments: &[&str]) -> Output {
    let script = format!(
        "set -e; sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip tuntap add dev tap0 mode tap; \
         ip addr add 10.0.2.2/24 dev tap0; ip link set tap0 up; {before} \"$0\" \"$@\""
    );
    Command::new("unshare")
        .args(["-n", "sh", "-c", &script, env!("CARGO_BIN_EXE_afterimage")])
        .args(["boot", "--timeout", "60", "--guest", "virtio"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell")
}

#[test]
fn the_kernel_answers_a_guest_behind_a_tap_interface() {
    if !has_kvm() || !has_taps() {
        return;
    }
    let output = boot_in_a_network("exec", &["--net", "tap=tap0"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert_eq!(told, "network: 32 questions answered\npassed\n");
    assert_eq!(text(&output.stderr), "stale uses: none\n");
    let output = boot_in_a_network("exec", &["--net", "tap=tap0", "--cmdline", "bug=missing-flush-received"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("stale uses: 1\n"), "{}", text(&output.stderr));
}

#[test]
fn a_tap_that_is_somebody_elses_or_none_is_wrong_usage_in_one_line() {
    if !has_taps() {
        return;
    }
    for (before, arguments, part) in [
        (
            "exec",
            &["--net", "tap=tap0", "--net", "tap=tap0"][..],
            "tap=tap0 is in use, by another guest or twice",
        ),
        ("exec", &["--net", "tap=lo"], "tap=lo is no TAP interface of one queue; `ip tuntap add"),
        (
            "ip tuntap del dev tap0 mode tap; ip tuntap add dev tap0 mode tap user 12345; \
             exec setpriv --bounding-set=-net_admin",
            &["--net", "tap=tap0"],
            "tap=tap0 is not yours; `ip tuntap add dev tap0 mode tap user NAME`",
        ),
    ] {
        assert_refused(&boot_in_a_network(before, arguments), part);
    }
}
