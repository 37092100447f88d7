//! Debuggers that do harm.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::client::{Running, packet};
use crate::has_kvm;

/// A generator of our own, so that a failure can be repeated (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).expect("few")]
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// A request that the stub knows, with numbers that nobody checked.
    fn request(&mut self) -> String {
        let numbers = [
            "0",
            "1",
            "2",
            "3",
            "10100c",
            "101010",
            "fee00000",
            "7ffffff",
            "8000000",
            "ffffffffffffffff",
            "fffffffffffffff0",
            "-1",
            "",
            "g",
        ];
        let verb = self.of(&[
            "g",
            "G",
            "m",
            "M",
            "X",
            "p",
            "P",
            "Z0,",
            "z0,",
            "Z1,",
            "z1,",
            "Z2,",
            "vCont;c:",
            "vCont;s:",
            "vCont;c",
            "vCont?",
            "Hg",
            "Hc",
            "T",
            "qThreadExtraInfo,",
            "qXfer:features:read:target.xml:",
            "qSupported:",
            "?",
            "c",
            "s",
            "vMustReplyEmpty",
            "!",
            "QStartNoAckMode",
            "R",
            "vFile:open:",
        ]);
        let (a, b, c) = (self.of(&numbers), self.of(&numbers), self.of(&["", ",", ":", "=", ";"]));
        let middle = self.of(&[",", ":", "=", ""]);
        format!("{verb}{a}{middle}{b}{c}{}", self.of(&["", "00", "cc", "ffffffff", "x"]))
    }
}

#[test]
fn requests_with_any_numbers_never_crash_the_program() {
    if !has_kvm() {
        return;
    }
    for seed in 1..=6_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut running = Running::start_with("numbers", ",nowait", &["--guest", "echo", "--cpus", "2"]);
        running.echoes(b'a');
        for _ in 0..6 {
            let mut stream = running.connect();
            for _ in 0..60 {
                let request = random.request();
                if stream.write_all(&packet(&request)).is_err() {
                    break;
                }
                if random.below(8) == 0 && stream.write_all(&[3]).is_err() {
                    break;
                }
            }
            let _gone = stream.shutdown(Shutdown::Write);
            let _answers = stream.read_to_end(&mut Vec::new());
        }
        // The guest may have got anything into its memory; the program is well, and takes the next debugger.
        let mut debugger = running.debugger();
        debugger.send(&packet("k"));
        assert!(debugger.is_left());
        let (status, _, told) = running.end();
        assert_eq!(status, Some(0), "seed {seed}: {told}");
        assert!(!told.contains("panicked"), "seed {seed}: {told}");
    }
}

#[test]
fn who_says_garbage_or_no_end_or_does_not_read_holds_nobody_up() {
    if !has_kvm() {
        return;
    }
    let mut running = Running::start_with("garbage", ",nowait", &["--guest", "echo"]);
    running.echoes(b'a');
    let before = running.peak_kib();
    let mut random = Random(77);
    for garbage in [
        b"\0\xff\xfe".to_vec(),
        b"$".repeat(10_000),
        b"$#".repeat(5_000),
        b"#00".to_vec(),
        b"$m0,ffffffffffffffff#".to_vec(),
        packet("m0,7fffffff"),
        packet("m100000,8000000"),
        packet("vCont;c").repeat(2_000),
        [3].repeat(10_000),
        packet("g").repeat(10_000),
        b"$".iter().copied().chain(std::iter::repeat_n(b'a', 100_000)).collect(),
        random.bytes(50_000),
    ] {
        let mut stream = running.connect();
        // Nothing of what comes back is read.
        stream.set_nonblocking(true).expect("it is ours");
        for part in garbage.chunks(1000) {
            let _refused = stream.write(part);
        }
        drop(stream);
        running.echoes(b'b');
    }
    let grown = running.peak_kib() - before;
    assert!(grown < 16 << 10, "{grown} KiB");
    running.echoes(b'.');
    let (status, _, told) = running.end();
    assert_eq!(status, Some(0), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}
