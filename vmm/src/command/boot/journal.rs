//! The reports so far, for whoever asks while the guest runs.
//!
//! Invariant: the newest are kept, and no more bytes of them than [`MOST_BYTES`]; each has its number for good.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Bytes of reports that are kept.
const MOST_BYTES: usize = 1 << 20;

/// Reports, as objects of JSON.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    reports: VecDeque<String>,
    bytes: usize,
    /// The number of the first that is kept.
    first: u64,
}

/// Some reports in a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The number of the first of them.
    pub(super) first: u64,
    pub(super) reports: Vec<String>,
    /// The number behind the last that there is.
    pub(super) end: u64,
}

impl Journal {
    /// One more.
    pub(super) fn push(&self, report: &str) {
        let mut kept = self.0.lock();
        kept.bytes += report.len();
        kept.reports.push_back(report.to_owned());
        while kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.reports.pop_front() else { break };
            kept.bytes -= oldest.len();
            kept.first += 1;
        }
    }

    /// Those from number `from` on that are kept, as many as `most_bytes` hold, one at least.
    pub(super) fn page(&self, from: u64, most_bytes: usize) -> Page {
        let kept = self.0.lock();
        let end = kept.first + kept.reports.len() as u64;
        let first = from.clamp(kept.first, end);
        let skipped = usize::try_from(first - kept.first).unwrap_or(usize::MAX);
        let (mut reports, mut bytes) = (Vec::new(), 0);
        for report in kept.reports.iter().skip(skipped) {
            bytes += report.len();
            if bytes > most_bytes && !reports.is_empty() {
                break;
            }
            reports.push(report.clone());
        }
        Page { first, reports, end }
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, MOST_BYTES, Page};

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let journal = Journal::default();
        for report in ["aa", "bb", "cc"] {
            journal.push(report);
        }
        let page = |first, reports: &[&str]| Page {
            first,
            reports: reports.iter().map(|it| (*it).to_owned()).collect(),
            end: 3,
        };
        assert_eq!(journal.page(0, 5), page(0, &["aa", "bb"]));
        assert_eq!(journal.page(2, 1), page(2, &["cc"]), "one at least");
        assert_eq!(journal.page(3, 5), page(3, &[]));
        assert_eq!(journal.page(u64::MAX, 5), page(3, &[]));
    }

    #[test]
    fn the_oldest_make_room_and_keep_their_numbers() {
        let journal = Journal::default();
        let large = "x".repeat(MOST_BYTES / 4);
        (0..10).for_each(|_| journal.push(&large));
        let page = journal.page(0, usize::MAX);
        assert_eq!((page.first, page.reports.len(), page.end), (6, 4, 10));
        journal.push(&"y".repeat(MOST_BYTES + 1));
        assert_eq!(journal.page(0, usize::MAX), Page { first: 11, reports: Vec::new(), end: 11 });
    }
}
