//! virtio-vsock of `afterimage boot`, by a driver behind the unit, inside the fence, and a program of the host's.
//!
//! Invariant: no time is asserted; counts and contents are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::{afterimage, has_kvm, text};

/// A path where nothing is. It is short, as one of a socket must be.
fn socket(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("afterimage-vsock-{}-{name}", std::process::id()));
    let _of_an_earlier_run = fs::remove_file(&path);
    path
}

/// The guest that sends everything back, once it listens.
fn start(path: &Path, arguments: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
        .args(["boot", "--timeout", "60", "--guest", "virtio", "--vsock", &format!("52,{}", path.display())])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut line = String::new();
    let mut told = BufReader::with_capacity(1, child.stdout.as_mut().expect("it is piped"));
    told.read_line(&mut line).expect("the guest speaks");
    if line != "sockets: listening\n" {
        let output = child.wait_with_output().expect("it is ours");
        panic!("{line}{}", text(&output.stderr));
    }
    child
}

fn connect(path: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a minute is a time");
    stream.write_all(b"CONNECT 7\n").expect("somebody reads");
    stream
}

/// The line that says that it is connected.
fn expect_ok(stream: &mut UnixStream) {
    let mut line = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut line).expect("the guest accepts");
    assert!(line.starts_with("OK ") && line.ends_with('\n'), "{line}");
}

fn end(child: Child, path: &Path) -> Output {
    let output = child.wait_with_output().expect("it is ours");
    assert!(!path.exists(), "the path stays");
    output
}

#[test]
fn what_a_program_of_the_hosts_sends_comes_back_and_has_no_report() {
    if !has_kvm() {
        return;
    }
    for unit in ["vtd", "vtd,report=first-use", "vtd,caching-mode=on", "vtd,caches=never-evict"] {
        let path = socket("echo");
        let child = start(&path, &["--iommu", unit]);
        let mut stream = connect(&path);
        expect_ok(&mut stream);
        let sent: Vec<u8> = (0_u32..100_000).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
        let mut writer = stream.try_clone().expect("the host has descriptors");
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).expect("the guest reads");
            writer.shutdown(Shutdown::Write).expect("it is connected");
        });
        let mut came = Vec::new();
        stream.read_to_end(&mut came).expect("the guest answers, and ends it");
        writing.join().expect("it is written");
        assert_eq!(came, expected, "{unit}");
        let output = end(child, &path);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{unit}: {told}{}", text(&output.stderr));
        assert_eq!(told, "sockets: 100000 bytes echoed\npassed\n", "{unit}");
        assert_eq!(text(&output.stderr), "stale uses: none\n", "{unit}");
    }
}

#[test]
fn a_page_that_moves_under_sockets_without_an_invalidation_is_reported() {
    if !has_kvm() {
        return;
    }
    let path = socket("bug");
    let child = start(&path, &["--cmdline", "bug=missing-flush-received"]);
    let mut stream = connect(&path);
    expect_ok(&mut stream);
    stream.write_all(b"hello").expect("somebody reads");
    let output = end(child, &path);
    let (told, reports) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(4), "{told}{reports}");
    assert!(told.contains("a packet came to a page that had moved"), "{told}");
    for part in [
        "stale use: 00:01.0 wrote 0x140001000 through the IOTLB",
        "mistake: nothing was invalidated for the page",
    ] {
        assert!(reports.contains(part), "no `{part}` in {reports}");
    }
}

/// A guest that connects to that port of the host's.
fn connecting(path: &Path, port: u32) -> Output {
    let words = format!("52,{}", path.display());
    let cmdline = format!("do=connect port={port}");
    afterimage(&["boot", "--timeout", "60", "--guest", "virtio", "--vsock", &words, "--cmdline", &cmdline])
}

#[test]
fn a_guest_reaches_the_program_of_the_hosts_that_listens_beside_the_path_and_nothing_else() {
    if !has_kvm() {
        return;
    }
    let path = socket("outward");
    let beside = socket("outward_77");
    let listener = UnixListener::bind(&beside).expect("it is free");
    let host = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the guest connects");
        let mut bytes = vec![0; 4052];
        stream.read_exact(&mut bytes).expect("the guest sends");
        stream.write_all(&bytes).expect("the guest reads");
        let mut behind = Vec::new();
        stream.read_to_end(&mut behind).expect("the guest ends it");
        assert_eq!(behind, b"", "nothing but what the guest sent, no line of the device's");
    });
    let output = connecting(&path, 77);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert_eq!(told, "sockets: connected to 77\nsockets: 4052 bytes came back\npassed\n");
    assert_eq!(text(&output.stderr), "stale uses: none\n");
    host.join().expect("the host saw what it should");
    assert!(!path.exists() && beside.exists(), "what the program made is gone, and nothing else");
    // The listener is gone; a plain file; nothing at all.
    let plain = socket("outward_79");
    File::create(&plain).expect("the folder can be written");
    for port in [77, 78, 79, 0, u32::MAX] {
        let output = connecting(&path, port);
        let told = text(&output.stdout);
        assert_eq!(told, format!("sockets: {port} is refused\npassed\n"), "{}", text(&output.stderr));
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "stale uses: none\n"));
    }
    fs::remove_file(plain).expect("it is there");
    fs::remove_file(beside).expect("it is there");
}

#[test]
fn a_listener_that_accepts_nobody_holds_nobody_up() {
    if !has_kvm() {
        return;
    }
    let path = socket("full");
    let beside = socket("full_77");
    let _listener = UnixListener::bind(&beside).expect("it is free");
    // Until there is no room any more: who connects then would wait.
    let full = || {
        let stream = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .expect("the host has descriptors");
        let address = rustix::net::SocketAddrUnix::new(&beside).expect("it is short");
        rustix::net::connect(&stream, &address).map(|()| stream)
    };
    let waiting: Vec<_> = std::iter::from_fn(|| full().ok()).collect();
    assert!(!waiting.is_empty());
    let output = connecting(&path, 77);
    assert_eq!(text(&output.stdout), "sockets: 77 is refused\npassed\n", "{}", text(&output.stderr));
    fs::remove_file(beside).expect("it is there");
}

#[test]
fn a_run_ends_with_a_program_connected_that_says_nothing() {
    if !has_kvm() {
        return;
    }
    let path = socket("idle");
    let child = start(&path, &[]);
    let _silent = UnixStream::connect(&path).expect("somebody listens");
    let mut asked = connect(&path);
    expect_ok(&mut asked);
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("there is kill").success());
    let output = end(child, &path);
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));
}

#[track_caller]
fn assert_refused(output: &Output, part: &str) {
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{part}: {told}");
    assert!(told.starts_with("afterimage: ") && told.contains(part), "no `{part}` in {told}");
    assert!(output.stdout.is_empty(), "nothing has run: {}", text(&output.stdout));
}

fn boot(cid: &str, path: &Path) -> Output {
    afterimage(&["boot", "--guest", "virtio", "--vsock", &format!("{cid},{}", path.display())])
}

#[test]
fn what_cannot_be_a_socket_is_wrong_usage_in_one_line_that_says_what_to_do() {
    let taken = socket("taken");
    let listener = UnixListener::bind(&taken).expect("it is free");
    assert_refused(&boot("3", &taken), "another program listens at");
    drop(listener);
    assert_refused(&boot("3", &taken), "remove it");
    fs::remove_file(&taken).expect("it is there");
    File::create(&taken).expect("the folder can be written");
    assert_refused(&boot("3", &taken), "is there and no socket; give another path");
    fs::remove_file(&taken).expect("it is there");
    assert_refused(&boot("3", &std::env::temp_dir().join("n".repeat(120))), "give another path");
    assert_refused(&boot("3", Path::new("/nosuchfolder/s")), "give another path");
    assert_refused(&boot("3", Path::new("/proc/s")), "give another path");
}

#[test]
fn a_cid_that_no_guest_has_is_wrong_usage_that_says_which_it_may() {
    for wrong in ["0", "2", "4294967295", "x"] {
        let output = boot(wrong, &socket("cid"));
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let told = text(&output.stderr);
        assert!(told.contains("give CID,PATH, a CID from 3 to 4294967294"), "{wrong}: {told}");
    }
}
