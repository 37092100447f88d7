//! `--api-socket`, from the side of a client: what is answered, and that no client can hold anything up.
//!
//! Invariant: no time is asserted but that an answer comes; whoever would hang fails after a minute.

mod clients;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use guest_images::bare::{BareImage, ElfWidth};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::{afterimage, has_kvm, text};

/// As much as any machine takes.
const MINUTE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// A guest with a socket.
struct Running {
    child: Child,
    path: PathBuf,
}

/// A client.
struct Client {
    input: BufReader<UnixStream>,
}

impl Running {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("api-{name}"));
        let _left_over = std::fs::remove_file(&path);
        let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["boot", "--timeout", "120", "--api-socket"])
            .arg(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built");
        Self { child, path }
    }

    fn client(&self) -> Client {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(&self.path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(MINUTE)).expect("it is ours");
                    return Client { input: BufReader::new(stream) };
                }
                Err(error) => assert!(begun.elapsed() < MINUTE, "{error}"),
            }
            sleep(LOOK);
        }
    }

    /// Its status and what it said on standard error, when it has ended; its path is gone by then.
    fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while self.child.try_wait().expect("it is ours").is_none() {
            if begun.elapsed() > MINUTE {
                self.child.kill().expect("it is ours");
                panic!("it does not end");
            }
            sleep(LOOK);
        }
        assert!(!self.path.exists(), "the path stays");
        let output = self.child.wait_with_output().expect("it has ended");
        (output.status.code(), text(&output.stderr))
    }
}

impl Client {
    fn say(&mut self, bytes: &[u8]) {
        self.input.get_mut().write_all(bytes).expect("there is room");
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.input.read_line(&mut line).expect("an answer comes");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        assert_eq!(answer["api"], 1, "{answer}");
        answer
    }

    fn ask(&mut self, request: &str) -> Value {
        self.say(format!("{request}\n").as_bytes());
        self.hear()
    }

    fn result(&mut self, request: &str) -> Value {
        let answer = self.ask(request);
        assert!(answer["error"].is_null(), "{request}: {answer}");
        answer["result"].clone()
    }

    fn error(&mut self, request: &str) -> String {
        let answer = self.ask(request);
        answer["error"].as_str().unwrap_or_else(|| panic!("{request}: {answer}")).to_owned()
    }
}

const STATE: &str = r#"{"command":"state"}"#;
const QUIT: &str = r#"{"command":"quit"}"#;

fn is_readable(file: &impl AsFd) -> bool {
    let mut files = [PollFd::new(file, PollFlags::IN)];
    poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("it is open") > 0
}

fn button(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, BareImage::Button.elf(ElfWidth::Bits32)).expect("the target folder can be written");
    path
}

#[test]
fn a_guest_that_is_paused_answers_nobody_and_goes_on_afterwards() {
    if !has_kvm() {
        return;
    }
    let mut running = Running::start("pause", &["--guest", "echo", "--cpus", "2"]);
    let mut client = running.client();
    let state = client.result(STATE);
    assert_eq!((&state["state"], &state["vcpus"]), (&"running".into(), &2.into()), "{state}");
    for _ in 0..3 {
        let state = client.result(r#"{"command":"pause"}"#);
        assert_eq!((&state["state"], &state["at_rest"]), (&"paused".into(), &2.into()), "{state}");
        running.child.stdin.as_mut().expect("it is piped").write_all(b"a").expect("it is there");
        sleep(Duration::from_millis(50));
        assert_eq!(client.result(STATE)["at_rest"], 2, "it stays so");
        assert!(!is_readable(running.child.stdout.as_ref().expect("it is piped")), "it says nothing");
        assert_eq!(client.result(r#"{"command":"resume"}"#)["state"], "running");
        let mut said = [0];
        running.child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it goes on");
        assert_eq!(&said, b"a");
    }
    client.result(r#"{"command":"pause"}"#);
    client.result(QUIT);
    let (status, told) = running.end();
    assert_eq!((status, told.as_str()), (Some(0), "stale uses: none\n"), "also while it is paused");
}

#[test]
fn power_off_is_a_press_of_the_button_and_an_error_where_nobody_listens() {
    if !has_kvm() {
        return;
    }
    let running = Running::start("deaf", &["--guest", "echo"]);
    let mut client = running.client();
    assert!(client.error(r#"{"command":"power-off"}"#).contains("`quit` ends it"));
    client.result(QUIT);
    assert_eq!(running.end().0, Some(0));
    let mut running = Running::start("button", &["--kernel", &button("api-button-image")]);
    let mut said = [0];
    running.child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it listens");
    let mut client = running.client();
    assert_eq!(client.result(r#"{"command":"power-off"}"#)["state"], "ending");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn stale_uses_and_what_is_cached_are_shown_while_the_guest_runs() {
    if !has_kvm() {
        return;
    }
    let told = "run=workload bug=missing-flush rounds=1000000000";
    let running =
        Running::start("stale", &["--guest", "vtd-driver", "--cmdline", told, "--stale-report", "off"]);
    let mut client = running.client();
    let begun = Instant::now();
    let page = loop {
        let page = client.result(r#"{"command":"stale"}"#);
        if page["end"].as_u64() > Some(2) {
            break page;
        }
        assert!(begun.elapsed() < MINUTE, "{page}");
    };
    let reports = page["reports"].as_array().expect("a list");
    assert!(reports.iter().all(|report| report["event"] == "stale-use"), "{page}");
    assert!(page["count"].as_u64() >= page["next"].as_u64() && page["from"] == 0, "{page}");
    let rest = client.result(r#"{"command":"stale","from":1}"#);
    assert_eq!((&rest["from"], &rest["reports"][0]), (&1.into(), &reports[1]));
    let address = reports[0]["address"].as_str().expect("an address");
    let request = format!(r#"{{"command":"iommu","device":"00:01.0","address":"{address}"}}"#);
    let begun = Instant::now();
    loop {
        client.result(r#"{"command":"pause"}"#);
        let shown = client.result(&request);
        assert!(shown["iotlb"]["count"].is_u64() && shown["device_tlb"]["entries"].is_array(), "{shown}");
        assert_eq!(shown["walk"]["address"], address);
        if shown["walk"]["readings"].as_array().is_some_and(|all| !all.is_empty()) {
            break;
        }
        // The driver has just taken the device's tables away; it gives them back.
        assert!(shown["walk"]["fault"]["code"].is_u64() && begun.elapsed() < MINUTE, "{shown}");
        client.result(r#"{"command":"resume"}"#);
    }
    let wrong = client.error(r#"{"command":"iommu","device":"00:09.0"}"#);
    assert!(wrong.contains("there is 00:00.0, 00:01.0, 00:02.0"), "{wrong}");
    client.result(QUIT);
    assert_eq!(running.end().0, Some(4));
}

#[test]
fn a_path_that_is_taken_is_one_line_with_what_to_do() {
    if !has_kvm() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("api-no-socket");
    std::fs::write(&file, "kept").expect("the target folder can be written");
    let running = Running::start("taken", &["--guest", "echo"]);
    let mut client = running.client();
    let dead = folder.join("api-dead");
    let _left_over = std::fs::remove_file(&dead);
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("nobody is there"));
    let long = folder.join("x".repeat(200));
    for (path, told) in [
        (&running.path, "another program listens at"),
        (&dead, "is left over from a program that is gone; remove it"),
        (&file, "is there and no socket; give another path"),
        (&PathBuf::from("/no/such/folder/socket"), "cannot listen at"),
        (&long, "cannot listen at"),
    ] {
        let path = path.to_str().expect("a plain path");
        let output = afterimage(&["boot", "--guest", "hello", "--api-socket", path]);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(client.result(STATE)["state"], "running", "and it is not disturbed");
    assert!(file.exists() && dead.exists(), "what is not ours stays");
    client.result(QUIT);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn the_path_goes_with_a_program_that_is_killed_and_what_stands_there_since_does_not() {
    if !has_kvm() {
        return;
    }
    let killed = |name, meanwhile: &dyn Fn(&Path)| {
        let mut running = Running::start(name, &["--guest", "echo"]);
        running.client().result(STATE);
        meanwhile(&running.path);
        running.child.kill().expect("it is ours");
        running.child.wait().expect("it ends");
        running.path
    };
    let path = killed("killed", &|_| {});
    let begun = Instant::now();
    while path.exists() {
        assert!(begun.elapsed() < MINUTE, "it stays");
        sleep(LOOK);
    }
    let path = killed("replaced", &|path| {
        std::fs::remove_file(path).expect("it is ours");
        std::fs::write(path, "another").expect("it is free");
    });
    sleep(Duration::from_millis(500));
    assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some("another"));
    std::fs::remove_file(path).expect("it is ours");
}
