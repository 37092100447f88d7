//! Where a page's entry lies in the kernel's memory: the address that a data watchpoint needs.
//!
//! The kernel maps all of memory at one address, its direct map. A buffer of which the kernel tells both frame and address
//! says where. The frame of a table is told when the first page below it is touched. That both are right is tried:
//! the entry is watched while its page comes and goes.
//!
//! Invariant: an address that has not shown each of these writes is not used. Source: arch/x86/mm/kaslr.c,
//! include/trace/events/kmem.h, mm/memory.c `__pte_alloc`.

use observe::line::{Event, Line};
use observe::reader;
use rustix::io::Errno;
use rustix::mm::Advice;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::thread::gettid;

use super::host::{PAGE, frame};
use super::instance::Instance;
use super::pages::{Kept, Pages};
use super::watch::Watch;

/// The direct map begins at a multiple of this.
const ALIGNMENT: u64 = 1 << 30;
/// Entries of a table, and bytes of one.
const ENTRIES: u64 = 512;
const ENTRY: u64 = 8;
/// A pipe of so many pages has a ring that is no object of a cache of small ones.
const PIPE_BYTES: usize = 1 << 20;
/// The greatest object of such a cache.
const SMALL_BYTES: u64 = 2 * PAGE as u64;

/// How often one is looked for.
const TRIES: usize = 5;

/// Pages whose entries are known.
pub(super) struct Site {
    kept: Kept,
    /// In the kernel.
    entry: u64,
}

impl Site {
    /// Finds one.
    ///
    /// # Errors
    /// Why entries cannot be watched.
    pub(super) fn find(instance: &Instance) -> Result<Self, String> {
        // An interrupt may allocate in between, in the name of this thread.
        let mut found = Self::found(instance);
        for _ in 1..TRIES {
            if found.is_ok() {
                break;
            }
            found = Self::found(instance);
        }
        found
    }

    fn found(instance: &Instance) -> Result<Self, String> {
        let kept = Kept::new().map_err(|error| format!("memory cannot be mapped: {error}"))?;
        let text = instance.allocations(|| {
            let failed = |error: Errno| error.to_string();
            let (_reads, writes) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
            fcntl_setpipe_size(&writes, PIPE_BYTES).map_err(failed)?;
            Ok(())
        })?;
        let map = direct_map(&text).ok_or("the kernel does not tell where it maps memory (kmem:kmalloc)")?;
        let text = instance.allocations(|| {
            kept.touch();
            Ok(())
        })?;
        let data = frame(kept.touched())?.ok_or("a page that was touched is gone")?;
        let table = table(&text, data)
            .ok_or("the kernel does not tell which frame a table has (kmem:mm_page_alloc)")?;
        let index = kept.address() as u64 / PAGE as u64 % ENTRIES;
        let site = Self { kept, entry: map + table * PAGE as u64 + index * ENTRY };
        site.prove().map(|()| site)
    }

    /// Sees the entry written when its page is touched, given up and touched again.
    fn prove(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("perf refuses a data watchpoint: {error}");
        let mut watch = self.watch(gettid().as_raw_nonzero().get()).map_err(failed)?;
        let pages = Pages::anonymous(1, Some(&self.kept)).map_err(|error| error.to_string())?;
        watch.switch_on().map_err(failed)?;
        pages.fill(1);
        let mut seen = vec![watch.written()?.len()];
        pages.advise(Advice::LinuxDontNeed).map_err(|error| error.to_string())?;
        seen.push(watch.written()?.len());
        pages.fill(1);
        seen.push(watch.written()?.len());
        watch.switch_off().map_err(failed)?;
        let all_seen = seen.iter().all(|number| *number > 0);
        all_seen
            .then_some(())
            .ok_or_else(|| "a watched entry was written, and no write of it was shown".to_owned())
    }

    /// Watches the entry of the first page here.
    pub(super) fn watch(&self, thread: i32) -> std::io::Result<Watch> {
        Watch::open(self.entry, thread)
    }

    pub(super) const fn kept(&self) -> &Kept {
        &self.kept
    }
}

/// Where the direct map begins, by a buffer of whole pages: its frame and its address are told one behind the other.
pub(super) fn direct_map(text: &str) -> Option<u64> {
    let mut pages = None;
    for event in events(text) {
        match event.name.as_ref() {
            "mm_page_alloc" => {
                let bytes = (PAGE as u64).checked_shl(u32::try_from(decimal(&event, "order")?).ok()?)?;
                pages = Some((event.number("pfn")?, bytes));
            }
            "kmalloc" => {
                if let Some((frame, bytes)) = pages.take()
                    && bytes > SMALL_BYTES
                    && decimal(&event, "bytes_alloc")? == bytes
                {
                    let map = event.number("ptr")?.checked_sub(frame.checked_mul(PAGE as u64)?)?;
                    return (map % ALIGNMENT == 0 && map >> 63 == 1).then_some(map);
                }
            }
            _other => {}
        }
    }
    None
}

/// The frame of the table that was needed to map a page of that frame: of two that were given out the other one.
pub(super) fn table(text: &str, data: u64) -> Option<u64> {
    let of_pages = |event: &Event<'_>| (event.name == "mm_page_alloc").then(|| event.number("pfn"));
    let frames: Option<Vec<u64>> = events(text).filter_map(|event| of_pages(&event)).collect();
    let frames = frames?;
    let others: Vec<u64> = frames.iter().copied().filter(|frame| *frame != data).collect();
    match others.as_slice() {
        [table] if frames.len() == 2 => Some(*table),
        _fewer_or_more => None,
    }
}

fn decimal(event: &Event<'_>, key: &str) -> Option<u64> {
    event.word(key)?.parse().ok().filter(|number| *number < 1 << 40)
}

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    text.lines().filter_map(|line| match reader::read(line) {
        Line::Event(event) => Some(event),
        Line::Section(_)
        | Line::Cut
        | Line::Lost(_)
        | Line::Overwritten(_)
        | Line::Watched(_)
        | Line::Kernel(_)
        | Line::Remark
        | Line::Unreadable => None,
    })
}
