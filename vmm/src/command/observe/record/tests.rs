//! A recording on the kernel at hand, where that lets us; where not, what it says.

use std::fs;

use observe::collect::Collector;
use observe::vocabulary::Vocabulary;
use rustix::fs::{Dir, Mode, OFlags, openat};
use steps::table::Verb;

use super::{Deed, record, tracefs};

/// CAP_SYS_ADMIN, which mounting tracefs needs.
const SYS_ADMIN: u32 = 21;

/// Whether tracefs can be opened: the kernel has it, and we may.
fn may_record() -> bool {
    let has = fs::read_to_string("/proc/filesystems").unwrap().contains("tracefs");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    has && u64::from_str_radix(capabilities.trim(), 16).unwrap() & 1 << SYS_ADMIN != 0
}

/// Instances of this process.
fn instances() -> usize {
    let root = tracefs::open().unwrap();
    let folder = openat(&root, "instances", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let own = format!("afterimage-{}", std::process::id());
    let names = Dir::read_from(&folder).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_bytes() == own.as_bytes()).count()
}

#[test]
fn what_is_recorded_shows_the_flush_and_leaves_nothing_behind() {
    let vocabulary = Vocabulary::with(None).unwrap();
    for deed in [Deed::Cow, Deed::Dontneed, Deed::Mprotect, Deed::Mremap, Deed::Fork] {
        let mut collector = Collector::new(&vocabulary, None);
        let recorded = record(deed, &vocabulary, &mut collector);
        if !may_record() {
            let error = recorded.err().unwrap();
            assert!(error.contains("root (CAP_SYS_ADMIN)") || error.contains("no tracefs"), "{error}");
            assert!(error.contains("afterimage observe FILE"), "{error}");
            continue;
        }
        let told = recorded.unwrap_or_else(|error| panic!("{deed}: {error}"));
        let found = collector.finish();
        assert!(found.seen.contains(&Verb::FlushTlb), "{deed}: {:?}", found.totals);
        assert!(found.kernel.is_some());
        let told = told.told(&found);
        assert!(told.contains("steps seen: ") && told.contains("flush_tlb"), "{told}");
        assert_eq!(instances(), 0, "{deed}");
    }
}
