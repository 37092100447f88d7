//! What is read of long, binary and endless input.

use std::io::{self, BufReader, Read};

use observe::collect::Collector;
use observe::vocabulary::Vocabulary;

use super::{InputError, LONGEST_LINE, lines, next};

/// So many bytes without ever holding them.
struct Endless {
    byte: u8,
    left: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.left);
        buffer[..length].fill(self.byte);
        self.left -= length;
        Ok(length)
    }
}

#[test]
fn a_line_that_never_ends_is_kept_up_to_its_limit() {
    let mut reader = BufReader::new(Endless { byte: b'x', left: 64 << 20 });
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
