//! What ends the wait of a thread that waits for descriptors.
//!
//! Invariant: a ring is not lost, whether it comes before a wait or during one. Source: eventfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A bell.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// One that nobody has rung.
    ///
    /// # Errors
    /// What the host says if it has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// Ends the wait that there is, or the next one.
    pub fn ring(&self) {
        // A counter that is full rings already.
        let _rung = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// What was rung until now is heard.
    pub fn hear(&self) {
        // Nobody may have rung.
        let _heard = rustix::io::read(&self.0, &mut [0; 8]);
    }

    /// Waits until it is rung.
    pub fn wait(&self) {
        wait_for(&mut [self.wanted()], None);
    }

    /// For a wait that has other reasons to end, too.
    #[must_use]
    pub fn wanted(&self) -> PollFd<'_> {
        PollFd::new(self, PollFlags::IN)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for one of `wanted`, or until `limit` is over. It may end early.
pub fn wait_for(wanted: &mut [PollFd<'_>], limit: Option<Timespec>) {
    if let Err(error) = poll(wanted, limit.as_ref()) {
        // What a failed call leaves in the results means nothing.
        wanted.iter_mut().for_each(PollFd::clear_revents);
        log::debug!("a wait ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::Bell;

    #[test]
    fn a_ring_before_a_wait_ends_it_and_is_heard_once() {
        let bell = Bell::new().expect("the host has descriptors");
        bell.ring();
        bell.ring();
        bell.wait();
        bell.hear();
        let mut wanted = [bell.wanted()];
        let none = super::Timespec { tv_sec: 0, tv_nsec: 0 };
        super::wait_for(&mut wanted, Some(none));
        assert!(wanted[0].revents().is_empty());
    }
}
