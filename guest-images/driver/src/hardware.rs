//! Memory and ports by their numbers: the only file of the program that reaches them.
//!
//! Invariant: an access to memory lies inside a range that belongs to nobody else: the free memory behind the image and above 4 GiB, the
//! boot loader's and the firmware's pages (read only), or the addresses of devices. What lies elsewhere is refused by a
//! panic. Until [`own`] is called there is no free memory, so on a host nothing is ever accessed.
#![expect(unsafe_code, reason = "memory that devices share, and ports")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// Where boot loader and firmware leave what they tell: the first MiB.
const LOADER_END: u64 = 0x10_0000;
/// Registers of devices lie from here on, below 4 GiB.
const DEVICES: u64 = 0xc000_0000;
const DEVICES_END: u64 = 1 << 32;

/// The free memory: behind the image, and above 4 GiB.
static FREE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static FREE_ABOVE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Says which memory is free.
pub(crate) fn own(start: u64, end: u64) {
    FREE[0].store(start, Ordering::Relaxed);
    FREE[1].store(end, Ordering::Relaxed);
}

/// Says which memory above 4 GiB is free, as far as it is mapped.
pub(crate) fn own_above(start: u64, end: u64) {
    FREE_ABOVE[0].store(start, Ordering::Relaxed);
    FREE_ABOVE[1].store(end, Ordering::Relaxed);
}

fn check(address: u64, len_bytes: u64, readable_end: u64) {
    let bounds = |range: &[AtomicU64; 2]| [0, 1].map(|at: usize| range[at].load(Ordering::Relaxed));
    let ([start, end], [above, above_end]) = (bounds(&FREE), bounds(&FREE_ABOVE));
    let last = address.saturating_add(len_bytes);
    let is_free = start <= address && last <= end || above <= address && last <= above_end;
    let is_device = DEVICES <= address && last <= DEVICES_END && end > 0;
    let is_loaders = last <= readable_end && end > 0;
    assert!(
        (is_free || is_device || is_loaders) && address.is_multiple_of(len_bytes),
        "no access to {address:#x}"
    );
}

macro_rules! load {
    ($name:ident, $word:ty) => {
        /// Reads one word.
        pub(crate) fn $name(address: u64) -> $word {
            check(address, size_of::<$word>() as u64, LOADER_END);
            // SAFETY: memory is mapped as it lies, and `check` found the word aligned and nobody else's.
            unsafe { (address as *const $word).read_volatile() }
        }
    };
}

macro_rules! store {
    ($name:ident, $word:ty) => {
        /// Writes one word. What was written before is in memory by then.
        pub(crate) fn $name(address: u64, value: $word) {
            check(address, size_of::<$word>() as u64, 0);
            compiler_fence(Ordering::SeqCst);
            // SAFETY: as for loads; nothing of Rust's lies there.
            unsafe { (address as *mut $word).write_volatile(value) }
        }
    };
}

load!(load8, u8);
load!(load16, u16);
load!(load32, u32);
load!(load64, u64);
store!(store8, u8);
store!(store16, u16);
store!(store32, u32);
store!(store64, u64);

/// Writes a byte to a port.
pub(crate) fn out8(port: u16, value: u8) {
    // SAFETY: a port changes no memory of the program.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes a doubleword to a port.
pub(crate) fn out32(port: u16, value: u32) {
    // SAFETY: a port changes no memory of the program.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}

/// Writes bytes to a port, one after the other: one instruction, and one exit of the guest.
pub(crate) fn out_all(port: u16, bytes: &[u8]) {
    // SAFETY: the instruction reads the slice and nothing else.
    unsafe {
        asm!(
            "rep outsb",
            in("dx") port,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// Executes what is no instruction, so that it is seen how the program breaks down.
pub(crate) fn break_down() -> ! {
    // SAFETY: the exception does not return.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}
