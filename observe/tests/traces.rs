//! The traces of real kernels under tests/traces, from the text to the verdict.

use std::fs;

use observe::collect::Collector;
use observe::judge::{Judged, judge};
use observe::report::{Rest, Told};
use observe::vocabulary::Vocabulary;
use ordering::catalogue;

fn observed(text: &str) -> Vec<Judged> {
    let vocabulary = Vocabulary::with(None).unwrap();
    let mut collector = Collector::new(&vocabulary, None);
    text.lines().for_each(|line| collector.line(line));
    let found = collector.finish();
    let judged = judge(&found, &vocabulary, &catalogue::entries());
    for one in &judged {
        println!("{}", Told(one));
    }
    println!("{}", Rest(&found));
    judged
}

fn trace(name: &str) -> String {
    fs::read_to_string(format!("../tests/traces/{name}.txt")).unwrap()
}

#[test]
fn all() {
    for name in [
        "linux-6.1-cow-break",
        "linux-6.1-ksm-merge",
        "linux-6.1-dontneed-mapfixed-mprotect-collapse",
        "linux-6.1-with-pte-values",
        "linux-6.18-pte-writes",
    ] {
        println!("=========== {name}");
        observed(&trace(name));
    }
}
