//! `--api-socket`, from the side of a client: what is answered, and that no client can hold anything up.
//!
//! Invariant: no time is asserted but that an answer comes; whoever would hang fails in the end.

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

/// As much as any machine takes, however busy it is.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(5);

/// A guest with a socket; it ends with its test.
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
        let path = socket(name);
        let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["boot", "--timeout", "600", "--api-socket"])
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
                    stream.set_read_timeout(Some(PATIENCE)).expect("it is ours");
                    return Client { input: BufReader::new(stream) };
                }
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            sleep(LOOK);
        }
    }

    /// Its status and what it said on standard error, when it has ended; its path is gone by then.
    fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(LOOK);
        };
        assert!(!self.path.exists(), "the path stays");
        let mut told = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut told).expect("it is text");
        (status.code(), told)
    }

    /// The guest that echoes says what it is told: so it runs, and everything of its machine is there.
    fn echoes(&mut self, said: u8) {
        self.child.stdin.as_mut().expect("it is piped").write_all(&[said]).expect("it is there");
        assert_eq!(self.says(), said);
    }

    /// The next byte that the guest says.
    fn says(&mut self) -> u8 {
        let mut said = [0];
        self.child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it says something");
        said[0]
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever has ended cannot be killed.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A path for a socket: a short one, for 107 bytes are the most. Whatever is there is of an earlier run.
fn socket(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("afterimage-api-{}-{name}", std::process::id()));
    let _left_over = std::fs::remove_file(&path);
    path
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

    /// Holds the guest until all its processors rest. On a busy machine that may take longer than one answer waits.
    fn pause(&mut self) -> Value {
        let _may_be_late = self.ask(r#"{"command":"pause"}"#);
        let begun = Instant::now();
        loop {
            let state = self.result(STATE);
            if state["at_rest"] == state["vcpus"] {
                return state;
            }
            assert!(begun.elapsed() < PATIENCE, "{state}");
            sleep(LOOK);
        }
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
        let state = client.pause();
        assert_eq!((&state["state"], &state["at_rest"]), (&"paused".into(), &2.into()), "{state}");
        running.child.stdin.as_mut().expect("it is piped").write_all(b"a").expect("it is there");
        sleep(Duration::from_millis(50));
        assert_eq!(client.result(STATE)["at_rest"], 2, "it stays so");
        assert!(!is_readable(running.child.stdout.as_ref().expect("it is piped")), "it says nothing");
        assert_eq!(client.result(r#"{"command":"resume"}"#)["state"], "running");
        assert_eq!(running.says(), b'a', "it goes on");
    }
    client.pause();
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
    assert_eq!(running.says(), b'l', "it listens");
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
        assert!(begun.elapsed() < PATIENCE, "{page}");
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
        client.pause();
        let shown = client.result(&request);
        assert!(shown["iotlb"]["count"].is_u64() && shown["device_tlb"]["entries"].is_array(), "{shown}");
        assert_eq!(shown["walk"]["address"], address);
        if shown["walk"]["readings"].as_array().is_some_and(|all| !all.is_empty()) {
            break;
        }
        // The driver has just taken the device's tables away; it gives them back.
        assert!(shown["walk"]["fault"]["code"].is_u64() && begun.elapsed() < PATIENCE, "{shown}");
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
    let dead = socket("dead");
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
    std::fs::remove_file(dead).expect("the test has made it");
    client.result(QUIT);
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn the_path_goes_with_a_program_that_is_killed_and_what_stands_there_since_does_not() {
    if !has_kvm() {
        return;
    }
    // The path, when whoever looks after it has looked at it for the last time.
    let killed = |name, meanwhile: &dyn Fn(&Path)| {
        let mut running = Running::start(name, &["--guest", "echo"]);
        running.client().result(STATE);
        meanwhile(&running.path);
        let keeper = children(running.child.id());
        assert_eq!(keeper.len(), 1, "{keeper:?}");
        running.child.kill().expect("it is ours");
        running.child.wait().expect("it ends");
        let begun = Instant::now();
        while is_alive(&keeper[0]) {
            assert!(begun.elapsed() < PATIENCE, "it looks after nothing, for ever");
            sleep(LOOK);
        }
        running.path.clone()
    };
    assert!(!killed("killed", &|_| {}).exists(), "it stays");
    let path = killed("replaced", &|path| {
        std::fs::remove_file(path).expect("it is ours");
        std::fs::write(path, "another").expect("it is free");
    });
    assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some("another"));
    std::fs::remove_file(path).expect("it is ours");
}

/// State and parent of a process; none if it is gone.
fn state_and_parent(process: &str) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name, in parentheses, may be anything.
    let mut words = text.rsplit(") ").next()?.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

fn children(process: u32) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("it is mounted").filter_map(Result::ok);
    let names = all.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| state_and_parent(name).is_some_and(|(_, parent)| parent == process)).collect()
}

/// Whether it has not ended; who should ask for its status has perhaps not done so yet.
fn is_alive(process: &str) -> bool {
    state_and_parent(process).is_some_and(|(state, _)| !["Z", "X"].contains(&state.as_str()))
}
