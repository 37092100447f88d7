//! What is read of long, binary and endless input.

use std::io::{self, BufReader, Read};

use observe::collect::Collector;
use observe::vocabulary::Vocabulary;

use super::{InputError, LONGEST_LINE, lines, next};

/// So many bytes without ever holding them.
struct Endless {
    line: &'static [u8],
    at: usize,
    left: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.left);
        for byte in &mut buffer[..length] {
            *byte = self.line[self.at % self.line.len()];
            self.at += 1;
        }
        self.left -= length;
        Ok(length)
    }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_megabytes_take_no_more_memory_than_one() {
    let vocabulary = Vocabulary::with(None).unwrap();
    let read = |left: usize| {
        let mut collector = Collector::new(&vocabulary, None);
        let line =
            b"  task-7 [000] d..1. 12.5: kvm_unmap_hva_range: mmu notifier unmap range: 0x1000 -- 0x2000\n";
        lines(BufReader::new(Endless { line, at: 0, left }), &mut collector).unwrap();
        collector.finish().totals.lines
    };
    assert!(read(1 << 20) > 10_000);
    let before = resident_kib();
    assert!(read(100 << 20) > 1_000_000);
    assert!(resident_kib() - before < 16 << 10, "{before} KiB, then {}", resident_kib());
}

#[test]
fn a_line_that_never_ends_is_kept_up_to_its_limit() {
    let mut reader = BufReader::new(Endless { line: b"x", at: 0, left: 64 << 20 });
    let mut line = Vec::new();
    assert!(next(&mut reader, &mut line).unwrap());
    assert_eq!(line.len(), LONGEST_LINE);
    assert!(!next(&mut reader, &mut line).unwrap());
}

#[test]
fn what_other_programs_record_is_refused_with_the_way_to_its_text() {
    let vocabulary = Vocabulary::with(None).unwrap();
    for (bytes, remedy) in [
        (&b"\x17\x08\x44tracing6"[..], "trace-cmd report"),
        (b"PERFILE2h\0\0\0", "perf script"),
        (b"\x1f\x8b\x08", "gzip -d"),
        (b"\x7fELF\x02\x01\x01\0\0", "no text"),
    ] {
        let error = lines(bytes, &mut Collector::new(&vocabulary, None)).unwrap_err();
        assert!(matches!(error, InputError::Binary(_)));
        assert!(error.to_string().contains(remedy), "{error}");
    }
}
