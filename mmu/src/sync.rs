//! The atomics, locks and barriers that [`drain`](crate::drain), [`cache`](crate::cache) and the notifiers' sequence are
//! written on: the standard library's, or loom's under `--cfg loom`.
//!
//! Invariant: those modules take every primitive that orders memory from here, so that the model checker
//! sees exactly the protocol that runs. membarrier(2) is outside loom's model; there the light and the heavy half
//! of the asymmetric barrier are both a sequentially consistent fence, which is what the pair guarantees
//! (C++ P1202, `asymmetric_thread_fence_light` and `_heavy`).

#[cfg(not(loom))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

#[cfg(loom)]
pub(crate) use self::locks::{Mutex, RwLock};
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;

/// Polls before a waiter gives up its time slice or asks the kernel for help; about a microsecond of `pause`.
/// Under loom there is one: every poll multiplies the interleavings to visit.
pub(crate) const SPIN_POLLS: u32 = if cfg!(loom) { 1 } else { 64 };

/// The reader's half of the asymmetric barrier: keeps the compiler from moving accesses across; the processor
/// is stopped by [`heavy_barrier`].
#[inline(always)]
pub(crate) fn light_barrier() {
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// The writer's half: every other thread of the process passes a full barrier before this returns.
/// False if it did not happen, because the kernel lacks it or is short of memory for the moment.
pub(crate) fn heavy_barrier() -> bool {
    #[cfg(not(loom))]
    return crate::host::process_barrier();
    #[cfg(loom)]
    {
        fence(Ordering::SeqCst);
        true
    }
}

#[cfg(loom)]
mod locks {
    //! loom's locks in the shape of parking_lot's: no poisoning.

    use std::sync::PoisonError;

    use loom::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
