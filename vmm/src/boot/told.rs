//! What Linux is told besides its command line, unless that says it already.
//!
//! Invariant: what the user wrote stands behind what is added, word for word; of a key that stands there nothing is added. A
//! word is a parameter up to `--`, behind which all is for the first process. Source: Documentation/admin-guide,
//! kernel-parameters; kernel/params.c next_arg() (quotes).

/// A word for Linux, and the keys any of which makes it needless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The word.
    pub word: String,
    /// Parameters up to `=`.
    pub unless: &'static [&'static str],
}

/// The line with what is missing in front of it.
#[must_use]
pub(super) fn complete(line: &str, besides: &[Told]) -> String {
    let is_missing = |told: &&Told| !told.unless.iter().any(|key| says(line, key));
    let missing = besides.iter().filter(is_missing).map(|told| told.word.as_str());
    let all: Vec<_> = missing.chain((!line.is_empty()).then_some(line)).collect();
    all.join(" ")
}

/// Whether the line has a parameter of that name.
#[must_use]
pub fn says(line: &str, key: &str) -> bool {
    parameters(line).any(|word| word.split('=').next() == Some(key))
}

/// Its words up to `--`. Within quotes a space is none that parts them.
fn parameters(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = line.split(move |letter: char| {
        is_quoted ^= letter == '"';
        letter.is_whitespace() && !is_quoted
    });
    parts
        .map(|word| word.trim_start_matches('"'))
        .filter(|word| !word.is_empty())
        .take_while(|word| *word != "--")
}

#[cfg(test)]
mod tests {
    use super::{Told, complete, says};

    fn besides() -> [Told; 3] {
        let told = |word: &str, unless| Told { word: word.to_owned(), unless };
        [told("console=ttyS0", &["console"]), told("root=/dev/vda1", &["root"]), told("rw", &["ro", "rw"])]
    }

    #[test]
    fn what_is_missing_stands_in_front() {
        for (line, expected) in [
            ("", "console=ttyS0 root=/dev/vda1 rw"),
            ("quiet", "console=ttyS0 root=/dev/vda1 rw quiet"),
            ("quiet -- root=x", "console=ttyS0 root=/dev/vda1 rw quiet -- root=x"),
            ("rootwait  nokaslr", "console=ttyS0 root=/dev/vda1 rw rootwait  nokaslr"),
            ("a=\"b root=c\"", "console=ttyS0 root=/dev/vda1 rw a=\"b root=c\""),
        ] {
            assert_eq!(complete(line, &besides()), expected);
        }
    }

    #[test]
    fn a_parameter_is_a_word_of_its_own_before_the_first_process() {
        for line in ["root=x", "a root=", "root", "a \"root=b c\" d"] {
            assert!(says(line, "root"), "{line}");
        }
        for line in ["", "rootwait", "a=root", "-- root=x", "a=\"b root=x\""] {
            assert!(!says(line, "root"), "{line}");
        }
    }

    #[test]
    fn what_is_there_is_not_added() {
        for (line, expected) in [
            ("console=hvc0", "root=/dev/vda1 rw console=hvc0"),
            ("console= root=/dev/nfs ro", "console= root=/dev/nfs ro"),
            ("\"root=/dev/a b\"", "console=ttyS0 rw \"root=/dev/a b\""),
            ("x\troot=y", "console=ttyS0 rw x\troot=y"),
        ] {
            assert_eq!(complete(line, &besides()), expected);
        }
    }
}
