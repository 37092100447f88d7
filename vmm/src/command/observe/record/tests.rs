//! A recording on the kernel at hand, where that lets us; where not, what it says.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use observe::collect::{Collector, Found};
use observe::vocabulary::Vocabulary;
use rustix::fs::{CWD, Dir, FlockOperation, Mode, OFlags, flock, mkdirat, openat};
use steps::table::Verb;

use super::deed::NOT_HERE;
use super::host::{PAGE, faults, frame, has_swap, nodes, numbers};
use super::instance::{CUT, Instance, bounded, is_event, lock, overrun};
use super::site::{direct_map, table};
use super::symbols::places_of;
use super::watch::Written;
use super::weave::woven;
use super::{Deed, Visible, record, tracefs};

/// An instance is named by its process, which records one thing at a time.
static RECORDING: Mutex<()> = Mutex::new(());

/// CAP_SYS_ADMIN, which mounting tracefs needs.
const SYS_ADMIN: u32 = 21;

/// Whether nothing can keep us from tracefs: the kernel has it and is not locked down, and we are root of the system itself,
/// unfiltered. A container may have all of the capabilities, and not be let.
fn must_be_able() -> bool {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = file("/proc/self/status");
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    let ids: Vec<String> = file("/proc/self/uid_map").split_whitespace().map(str::to_owned).collect();
    let lockdown = file("/sys/kernel/security/lockdown");
    file("/proc/filesystems").contains("tracefs")
        && u64::from_str_radix(&value("CapEff:"), 16).unwrap() & 1 << SYS_ADMIN != 0
        && value("Seccomp:") == "0"
        && ids == ["0", "0", "4294967295"]
        && (lockdown.is_empty() || lockdown.contains("[none]"))
}

/// Names of instances that begin so.
fn instances(begin: &str) -> Vec<String> {
    let root = tracefs::open().unwrap();
    let folder = openat(&root, "instances", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let names = Dir::read_from(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(begin)).collect()
}

#[test]
fn a_folder_that_somebody_keeps_locked_is_said_and_not_waited_for_for_ever() {
    let path = format!("{}/locked-{}", std::env::temp_dir().display(), std::process::id());
    fs::create_dir_all(&path).unwrap();
    let open = || openat(CWD, &path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let (mine, others) = (open(), open());
    flock(&others, FlockOperation::LockExclusive).unwrap();
    let error = lock(&mine, Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
    drop(others);
    lock(&mine, Duration::from_millis(50)).unwrap();
    fs::remove_dir(&path).unwrap();
}

#[test]
fn what_is_recorded_shows_the_flush_and_leaves_nothing_behind() {
    let _alone = RECORDING.lock().unwrap();
    let vocabulary = Vocabulary::with(None).unwrap();
    for deed in [Deed::Cow, Deed::Dontneed, Deed::Mprotect, Deed::Mremap, Deed::Fork] {
        let mut collector = Collector::new(&vocabulary, None);
        let visible = match record(deed, &vocabulary, &mut collector) {
            Ok(visible) => visible,
            Err(error) => {
                assert!(!must_be_able(), "{deed}: {error}");
                assert!(error.contains("can be read"), "{error}");
                continue;
            }
        };
        let found = collector.finish();
        let told = visible.told(&found);
        let shows = |what: &str| visible.recorded.iter().any(|recorded| recorded.contains(what));
        let flushes = found.seen.contains(&Verb::FlushTlb);
        assert!(flushes || !shows("tlb/tlb_flush") && !shows("functions"), "{deed}: {:?}", found.totals);
        assert!(found.kernel.is_some());
        shows_writes(deed, &visible, &found);
        let (seen, unseen) = told.split_once("; not visible here: ").unwrap();
        assert_eq!((seen.contains("flush_tlb"), unseen.contains("flush_tlb")), (flushes, !flushes), "{told}");
        let own = format!("afterimage-{}", std::process::id());
        assert!(!instances(&own).contains(&own), "{deed}");
    }
}

/// A data watchpoint shows what the operation does to the entry, each time. Without one the reason is said; whoever may do
/// everything has no other than that the host refuses one.
fn shows_writes(deed: Deed, visible: &Visible, found: &Found) {
    let mut missing =
        visible.missing.iter().filter_map(|missing| missing.strip_prefix("writes of entries: "));
    if let Some(why) = missing.next() {
        assert!(!must_be_able() || why.starts_with("perf refuses "), "{deed}: {why}");
        return;
    }
    let writes: &[Verb] = match deed {
        Deed::Cow | Deed::Ksm => &[Verb::PteClear, Verb::SetPte],
        Deed::Dontneed | Deed::Mremap => &[Verb::PteClear],
        Deed::Mprotect | Deed::Fork => &[Verb::PteModify],
        Deed::Migrate | Deed::Collapse | Deed::Swap => panic!("the entry of {deed}'s page is not known"),
    };
    let shown = found.orders.iter().filter(|(order, _)| {
        let watched =
            order.rows.iter().filter(|row| row.functions.iter().any(|name| name.starts_with("pte@")));
        watched.map(|row| row.verb).collect::<Vec<_>>() == writes
    });
    let times: u64 = shown.map(|(_, count)| count.times).sum();
    assert_eq!(times, u64::from(visible.happened), "{deed}: {:?}", found.orders);
}

#[test]
fn writes_stand_among_the_lines_where_they_happened_within_a_microsecond() {
    let trace = "# tracer: nop\n           job-77      [001] .....     1.000001: kvm_unmap_hva_range: range: 0x1000 -- 0x2000\n\
                 CPU:1 [LOST 2 EVENTS]\n           job-77      [001] .....     1.000002: tlb_flush: pages:1 reason:x (4)\n           \
                 job-77      [001] .....     1.000003: tracing_mark_write: end\n";
    let write = |time_ns| Written { time_ns, cpu: 1, place: 0x10 };
    let writes = [write(1_000_001_499), write(1_000_002_001)];
    let functions = ["ptep_clear_flush+0xe".to_owned(), "native_set_pte+0x3".to_owned()];
    let woven = |times: &[u64]| woven(trace, times, &writes, &functions, 77);
    let text = woven(&[1_000_001_400, 1_000_002_000, 1_000_003_000]).unwrap();
    let names: Vec<&str> = text.lines().map(|line| line.split(": ").nth(1).unwrap_or("-")).collect();
    let names = names.iter().map(|name| name.trim_start_matches("**PTE WRITE** at ")).collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "nop",
            "kvm_unmap_hva_range",
            "-",
            "ptep_clear_flush+0xe",
            "tlb_flush",
            "native_set_pte+0x3",
            "tracing_mark_write"
        ]
    );
    assert!(text.contains("job-77 [001] ..... 1.000002: **PTE WRITE** at native_set_pte+0x3\n"), "{text}");
    assert!(woven(&[1_000_001_400]).unwrap_err().contains("more lines than times"));
    assert!(
        woven(&[1_000_001_400, 1_000_002_000, 1_000_003_000, 5])
            .unwrap_err()
            .contains("fewer lines than times")
    );
    assert!(woven(&[1_000_001_400, 1_000_003_000]).unwrap_err().contains("another time"));
    // A clock that is another: a write before the first line, or behind the last one.
    assert!(woven(&[1_000_001_499, 1_000_001_500, 1_000_002_500]).is_ok());
    let shifted = |time_ns| {
        super::weave::woven(
            trace,
            &[1_000_001_400, 1_000_002_000, 1_000_003_000],
            &[write(time_ns)],
            &functions[..1],
            77,
        )
    };
    assert!(shifted(1_000_002_000).is_ok());
    for time in [5, 1_000_003_001] {
        assert!(shifted(time).unwrap_err().contains("perf's times are not those of the trace"));
    }
}

#[test]
fn a_function_is_the_nearest_symbol_below_and_hidden_addresses_are_none() {
    let symbols = "ffffffff81000000 T _text\nffffffff81000100 t ptep_clear_flush\nffffffff81000100 t alias\n\
                   ffffffff81000180 d data\nffffffff81000200 T next\t[kvm]\n";
    let places = |text: &str, address| places_of(text.as_bytes(), &[address]);
    assert_eq!(places(symbols, 0xffff_ffff_8100_018e).unwrap(), ["ptep_clear_flush+0x8e"]);
    assert_eq!(places(symbols, 0xffff_ffff_8100_0200).unwrap(), ["next+0x0"]);
    assert!(
        places("0000000000000000 T _text\n", 0xffff_ffff_8100_0200).unwrap_err().contains("kptr_restrict")
    );
}

#[test]
fn the_direct_map_and_a_table_are_told_by_allocations_or_not_at_all() {
    let line = |event: &str| format!(" job-77 [001] ..... 1.000001: {event}\n");
    let pages =
        line("mm_page_alloc: page=ffffea0007a64500 pfn=0x1e9914 order=2 migratetype=0 gfp_flags=GFP_KERNEL");
    let buffer = |address: &str, bytes: u64| {
        line(&format!(
            "kmalloc: call_site=f+0x1/0x2 ptr={address} bytes_req=10240 bytes_alloc={bytes} gfp_flags=GFP_KERNEL"
        ))
    };
    let map = |buffer: String| direct_map(&(pages.clone() + &buffer));
    assert_eq!(map(buffer("ffff8881e9914000", 16384)), Some(0xffff_8880_0000_0000));
    // Another size, a hashed pointer, a pointer into no such map.
    assert_eq!(map(buffer("ffff8881e9914000", 8192)), None);
    assert_eq!(map(buffer("00000000d76f38e8", 16384)), None);
    assert_eq!(map(buffer("ffff8881e9915000", 16384)), None);
    let frame =
        |pfn: &str| line(&format!("mm_page_alloc: page=ffffea0007a64500 pfn={pfn} order=0 migratetype=0"));
    assert_eq!(table(&(frame("0x12") + &frame("0x34")), 0x34), Some(0x12));
    assert_eq!(table(&frame("0x34"), 0x34), None);
    assert_eq!(table(&(frame("0x12") + &frame("0x34") + &frame("0x56")), 0x34), None);
}

#[test]
fn what_a_kernel_may_not_have_is_recorded_or_is_said_to_be_missing() {
    let _alone = RECORDING.lock().unwrap();
    let vocabulary = Vocabulary::with(None).unwrap();
    for deed in [Deed::Migrate, Deed::Collapse, Deed::Swap] {
        let mut collector = Collector::new(&vocabulary, None);
        let visible = match record(deed, &vocabulary, &mut collector) {
            Ok(visible) => visible,
            Err(error) => {
                assert!(error.contains(NOT_HERE) || !must_be_able(), "{deed}: {error}");
                assert!(error.contains("can be read") && !error.contains('\n'), "{error}");
                continue;
            }
        };
        let told = visible.told(&collector.finish());
        assert!((1..=8).contains(&visible.happened), "{told}");
        assert!(told.contains(&format!("recorded {deed}, {} of 8 times", visible.happened)), "{told}");
        let lacks = match deed {
            Deed::Migrate => nodes().len() < 2,
            Deed::Swap => !has_swap(),
            _other => false,
        };
        assert_eq!(visible.missing.iter().any(|missing| Some(missing) == deed.instead().as_ref()), lacks);
        let own = format!("afterimage-{}", std::process::id());
        assert!(!instances(&own).contains(&own), "{deed}");
    }
}

#[test]
fn a_page_has_a_frame_when_it_is_there_and_a_thread_faults_on_one_that_is_not() {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let before = faults(thread).unwrap();
    let mut bytes = vec![0_u8; 64 * PAGE];
    let inside = bytes.as_ptr().addr().next_multiple_of(PAGE) + 32 * PAGE;
    // A kernel may hide frames, or put huge pages there.
    let was_there = frame(inside).is_ok_and(|frame| frame.is_some());
    bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = std::hint::black_box(1));
    assert!(was_there || faults(thread).unwrap() > before);
    if let Ok(frame) = frame(inside) {
        assert!(frame.is_some());
    }
    assert_eq!(faults(-1), None);
}

#[test]
fn a_list_of_nodes_has_all_of_them_and_no_more_than_a_kernel_can_have() {
    assert_eq!(numbers("0\n"), Some(vec![0]));
    assert_eq!(numbers("0-2,5"), Some(vec![0, 1, 2, 5]));
    assert_eq!(numbers(""), None);
    assert!(numbers("0-2147483647").unwrap().len() < 2000);
}

#[test]
fn what_a_killed_recording_left_goes_with_the_next_one_and_what_lives_stays() {
    let made = tracefs::open().and_then(|root| {
        let living = Instance::create(&root, "-living").map_err(|error| error.to_string())?;
        Ok((root, living))
    });
    let (root, living) = match made {
        Ok(made) => made,
        Err(error) => {
            assert!(!must_be_able(), "{error}");
            return;
        }
    };
    let left = format!("afterimage-{}-left", std::process::id());
    mkdirat(&root, format!("instances/{left}"), Mode::RWXU).unwrap();
    let next = Instance::create(&root, "-next").unwrap();
    let own = |end: &str| !instances(&format!("afterimage-{}-{end}", std::process::id())).is_empty();
    assert_eq!((own("left"), own("living"), own("next")), (false, true, true));
    drop((living, next));
    assert_eq!((own("living"), own("next")), (false, false));
}

#[test]
fn a_text_that_is_too_long_ends_with_a_line_that_says_so() {
    let text = "one\ntwo\nthree\n";
    let read = |most| bounded(text.as_bytes(), most).unwrap();
    assert_eq!(read(text.len() as u64), text);
    assert_eq!(read(text.len() as u64 - 1), format!("one\ntwo\n{CUT}"));
    assert_eq!((read(5), read(2)), (format!("one\n{CUT}"), CUT.to_owned()));
    assert!(!is_event(CUT.trim_end()));
    let stats = "entries: 0\noverrun: 12\ncommit overrun: 3\nbytes: 5\n";
    assert_eq!((overrun(stats), overrun("entries: 0\n")), (Some(12), None));
}
