//! A debugger, and a guest that waits for it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// As much as any machine takes, however busy it is.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(5);

/// A guest with a socket for debuggers; it ends with its test.
pub(super) struct Running {
    child: Child,
    path: PathBuf,
}

impl Running {
    /// One that waits.
    pub(super) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, "", arguments)
    }

    pub(super) fn start_with(name: &str, option: &str, arguments: &[&str]) -> Self {
        let path = std::env::temp_dir().join(format!("afterimage-gdb-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_file(&path);
        let child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .args(["boot", "--timeout", "600", "--gdb", &format!("{}{option}", path.display())])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built");
        Self { child, path }
    }

    pub(super) fn connect(&self) -> UnixStream {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(&self.path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).expect("it is ours");
                    stream.set_write_timeout(Some(PATIENCE)).expect("it is ours");
                    return stream;
                }
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            sleep(LOOK);
        }
    }

    /// The only debugger. One that has gone may be there for a moment, and then the next is refused.
    pub(super) fn debugger(&self) -> Debugger {
        let begun = Instant::now();
        loop {
            let mut debugger = Debugger { stream: self.connect(), heard: Vec::new() };
            if debugger.try_ask("qSupported:swbreak+;hwbreak+").is_some() {
                return debugger;
            }
            assert!(begun.elapsed() < PATIENCE, "no debugger is taken");
            sleep(LOOK);
        }
    }

    /// The guest that echoes says what it is told.
    pub(super) fn echoes(&mut self, said: u8) {
        self.tell(said);
        assert_eq!(self.says(), said);
    }

    pub(super) fn tell(&mut self, said: u8) {
        self.child.stdin.as_mut().expect("it is piped").write_all(&[said]).expect("it is there");
    }

    pub(super) fn says(&mut self) -> u8 {
        let mut said = [0];
        self.child.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it says something");
        said[0]
    }

    pub(super) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Its status, what the guest said, and what the program told, when it has ended; its path is gone by then.
    pub(super) fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(LOOK);
        };
        assert!(!self.path.exists(), "the path stays");
        let (mut said, mut told) = (String::new(), String::new());
        self.child.stdout.as_mut().expect("it is piped").read_to_string(&mut said).expect("it is text");
        self.child.stderr.as_mut().expect("it is piped").read_to_string(&mut told).expect("it is text");
        (status.code(), said, told)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever has ended cannot be killed.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// One end of the protocol.
pub(super) struct Debugger {
    stream: UnixStream,
    heard: Vec<u8>,
}

pub(super) fn packet(text: &str) -> Vec<u8> {
    let sum = text.bytes().fold(0_u8, u8::wrapping_add);
    format!("${text}#{sum:02x}").into_bytes()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

impl Debugger {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("there is room");
    }

    /// The next packet; none if the connection ends.
    pub(super) fn hear(&mut self) -> Option<String> {
        let text = loop {
            if let Some(text) = self.whole_packet() {
                break text;
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer comes: {error}"),
            }
        };
        let _gone = self.stream.write_all(b"+");
        Some(text)
    }

    fn whole_packet(&mut self) -> Option<String> {
        let start = self.heard.iter().position(|byte| *byte == b'$')?;
        let end = start + self.heard[start..].iter().position(|byte| *byte == b'#')?;
        (self.heard.len() >= end + 3).then(|| {
            let packet: Vec<u8> = self.heard.drain(..end + 3).collect();
            expand(&packet[start + 1..end])
        })
    }

    /// None if the connection ends before the answer.
    pub(super) fn try_ask(&mut self, text: &str) -> Option<String> {
        self.stream.write_all(&packet(text)).ok()?;
        self.hear()
    }

    pub(super) fn ask(&mut self, text: &str) -> String {
        self.try_ask(text).unwrap_or_else(|| panic!("{text}: the connection ends"))
    }

    /// Lets the guest go on, until it stops.
    pub(super) fn go(&mut self, text: &str) -> String {
        self.ask(text)
    }

    pub(super) fn register(&mut self, number: usize) -> u64 {
        let value = self.ask(&format!("p{number:x}"));
        let bytes = unhex(&value);
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    pub(super) fn set_register(&mut self, number: usize, value: u64) {
        let bytes = hex(&value.to_le_bytes());
        assert_eq!(self.ask(&format!("P{number:x}={bytes}")), "OK", "register {number} = {value:x}");
    }

    /// None if it is refused.
    pub(super) fn memory(&mut self, at: u64, len: usize) -> Option<Vec<u8>> {
        let answer = self.ask(&format!("m{at:x},{len:x}"));
        (!answer.starts_with('E')).then(|| unhex(&answer))
    }

    /// Whether the other side closes the connection.
    pub(super) fn is_left(&mut self) -> bool {
        let _gone = self.stream.shutdown(Shutdown::Write);
        self.hear().is_none()
    }
}

/// What is repeated, in full.
fn expand(packed: &[u8]) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    let mut rest = packed.iter();
    while let Some(byte) = rest.next() {
        match (byte, bytes.last().copied()) {
            (b'*', Some(last)) => {
                let count = usize::from(*rest.next().expect("a count follows")) - 29;
                bytes.extend(std::iter::repeat_n(last, count));
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).expect("answers are text")
}
