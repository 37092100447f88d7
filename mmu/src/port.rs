//! A port: one thread's way from virtual addresses to bytes, through a translation cache and a page walk.
//!
//! Invariant: translating and accessing are two steps. [`Port::translate`] returns an [`InFlight`] access; what it
//! was translated to may be outdated by the time it is used, and a drain waits for its end. A port that faults has
//! no access in flight, so whoever resolves the fault may drain.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::address::{Access, Pfn, PhysAddr, VirtAddr};
use crate::cache::{CachePort, Section, Tag, Translation, TranslationCache};
use crate::frame::Frames;
use crate::table::Root;
use crate::trace::{Agent, Event, Observer};
use crate::walker::{Fault, walk};

/// Whose translations a port uses: the tag in the cache and the table behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The tag.
    pub tag: Tag,
    /// The table.
    pub root: Root,
}

/// One thread's access through a cache.
pub struct Port {
    cache: CachePort,
    wiring: Wiring,
}

/// What a port does not lend out with an access.
struct Wiring {
    frames: Arc<Frames>,
    agent: Agent,
    observer: Arc<dyn Observer>,
}

/// A translated access that has not ended. Dropping it ends it: `Held` is what a drain waits for.
#[derive(Debug)]
pub struct InFlight<'port, Held = Section<'port>> {
    _held: Held,
    frames: &'port Frames,
    address: PhysAddr,
}

/// What a load or store met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// A frame that somebody owns.
    Owned,
    /// A frame that was freed: the translation is stale.
    Freed,
}

/// What an access returned, and what it met on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accessed {
    /// The value loaded, or stored.
    pub value: u64,
    /// The frame.
    pub frame: Pfn,
    /// Whether somebody owned it.
    pub reached: Reached,
}

impl Port {
    /// The port of `agent` through `cache` onto `frames`; `observer` is told of its walks.
    #[must_use]
    pub fn new(
        cache: &Arc<TranslationCache>,
        frames: Arc<Frames>,
        agent: Agent,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { cache: cache.port(), wiring: Wiring { frames, agent, observer } }
    }

    /// Who accesses.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.wiring.agent
    }

    /// Translates one aligned word: a hit, or a walk whose result is filled in. A hit that is less permissive than
    /// the access, or would store without D set, walks again before it faults.
    ///
    /// # Errors
    /// [`Fault`] as the walk found it; nothing is in flight then.
    #[inline]
    pub fn translate(
        &mut self,
        context: Context,
        address: VirtAddr,
        access: Access,
    ) -> Result<InFlight<'_>, Fault> {
        let section = self.cache.enter();
        let translation = match section.lookup(context.tag, address) {
            Some(hit) if hit.serves(access) => hit,
            _ => self.wiring.walk_and_fill(&section, context, address, access)?,
        };
        Ok(InFlight::new(section, &self.wiring.frames, translation.physical(address)))
    }

    /// What the cache holds for `address` under `tag`. For inspection: nothing is in flight.
    #[must_use]
    pub fn cached(&self, tag: Tag, address: VirtAddr) -> Option<Translation> {
        self.cache.cache().contains(tag, address)
    }

    /// Tells the drains that this thread will not access for a while.
    pub fn pause(&mut self) {
        self.cache.pause();
    }
}

impl Wiring {
    /// Apart from the hit, and out of its way. Stamped before the walk reads anything.
    #[cold]
    fn walk_and_fill(
        &self,
        section: &Section<'_>,
        context: Context,
        address: VirtAddr,
        access: Access,
    ) -> Result<Translation, Fault> {
        let began = self.observer.watches().then(Instant::now);
        let walked = filled(section, context.tag, address, || {
            walk(self.frames.memory(), context.root, address, access)
        })?;
        if let Some(began) = began {
            self.observer.record(Event::walk(began, self.agent, address, &walked));
        }
        Ok(walked)
    }
}

/// What `walk` finds, and it is filled in, unless it was invalidated since the walk began.
fn filled(
    section: &Section<'_>,
    tag: Tag,
    address: VirtAddr,
    walk: impl FnOnce() -> Result<Translation, Fault>,
) -> Result<Translation, Fault> {
    let ticket = section.begin_fill(tag);
    let walked = walk()?;
    section.fill(ticket, address, walked);
    Ok(walked)
}

impl<'port, Held> InFlight<'port, Held> {
    /// An access to `address`, in flight until `held` goes.
    #[inline]
    #[must_use]
    pub fn new(held: Held, frames: &'port Frames, address: PhysAddr) -> Self {
        Self { _held: held, frames, address }
    }

    /// The frame the access reaches.
    #[inline]
    #[must_use]
    pub fn frame(&self) -> Pfn {
        self.address.pfn()
    }

    /// Loads the word (acquire), sees whether the frame still has an owner afterwards, and ends the access.
    ///
    /// A frame outside memory reads as all ones, as a bus without a device does, and counts as freed.
    #[inline]
    #[must_use]
    pub fn load(self) -> Accessed {
        let word = self.frames.memory().own_word(self.address);
        let value = word.map_or(u64::MAX, |word| word.load(Ordering::Acquire));
        self.accessed(value)
    }

    /// Stores the word (release), sees whether the frame still has an owner afterwards, and ends the access. A frame
    /// outside memory takes nothing.
    #[inline]
    pub fn store(self, value: u64) -> Accessed {
        if let Some(word) = self.frames.memory().own_word(self.address) {
            word.store(value, Ordering::Release);
        }
        self.accessed(value)
    }

    #[inline]
    fn accessed(&self, value: u64) -> Accessed {
        let frame = self.frame();
        let reached = if self.frames.is_free(frame) { Reached::Freed } else { Reached::Owned };
        Accessed { value, frame, reached }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("agent", &self.wiring.agent).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
