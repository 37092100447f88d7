//! The invalidation queue: what is posted is done later, one at a time.
//!
//! Invariant: what is posted stays there until hardware has done it or given it up; a full queue makes the next one wait.
//! What is given up is given up whole. Source: VT-d 6.5.2, 6.5.2.11 (time-outs); SMMUv3 command queue.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use ordering::lowering::{AgentId, Numbers, Part};
use steps::{Invalidation, Waited};

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    pub(crate) fn post(&self, agent: AgentId, invalidation: &Invalidation<Numbers>) -> Result<(), Stuck> {
        let is_it = |posted: &(AgentId, Option<Invalidation<Numbers>>)| {
            *posted == (agent, Some(invalidation.clone()))
        };
        self.append(self.number(is_it)?)
    }

    /// Puts a wait for all behind everything that is in the queue.
    pub(crate) fn send_wait(&self, agent: AgentId) -> Result<(), Stuck> {
        self.append(self.number(|posted| *posted == (agent, None))?)
    }

    /// The number of something that can be posted.
    fn number(
        &self,
        is_it: impl Fn(&(AgentId, Option<Invalidation<Numbers>>)) -> bool,
    ) -> Result<u32, Stuck> {
        let number = self.scene.posted.iter().position(is_it);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Stuck::Cannot("nobody was seen to post this".to_owned()))
    }

    fn append(&self, number: u32) -> Result<(), Stuck> {
        let mut queue = self.shared.queue.lock();
        if queue.len() >= self.scene.slots {
            return Err(Stuck::Waits("the queue is full"));
        }
        queue.push_back(number);
        Ok(())
    }

    /// Hardware does what is posted at that place of the queue. A wait for all is done when it is the oldest.
    pub(crate) fn perform(&self, number: u32, place: u32) -> Result<(), Stuck> {
        let mut queue = self.shared.queue.lock();
        let place = self.stands(&queue, number, place)?;
        let (agent, posted) = &self.scene.posted[number as usize];
        match posted {
            Some(invalidation) => self.invalidate(invalidation, *agent)?,
            None if place == 0 => {}
            None => return Err(Stuck::Waits("something stands before the wait in the queue")),
        }
        queue.remove(place);
        Ok(())
    }

    /// Hardware gives up what is posted at that place of the queue, as a device does not answer. Whoever has something in the
    /// queue then finds his wait aborted.
    pub(crate) fn time_out(&self, number: u32, place: u32) -> Result<(), Stuck> {
        let mut queue = self.shared.queue.lock();
        let place = self.stands(&queue, number, place)?;
        let (agent, Some(invalidation)) = &self.scene.posted[number as usize] else {
            return Err(Stuck::Cannot("a wait in the queue is answered by no device".to_owned()));
        };
        let mut late = self.late(invalidation, *agent).peekable();
        if late.peek().is_none() {
            return Err(Stuck::Waits("every device answers"));
        }
        let pages = self.pages_of(invalidation);
        late.filter_map(|user| self.device(user))
            .try_for_each(|device| device.times_out(invalidation, &pages))?;
        for number in queue.iter() {
            let (agent, _) = &self.scene.posted[*number as usize];
            self.held[*agent].aborted.store(true, Ordering::Release);
        }
        queue.remove(place);
        Ok(())
    }

    /// The place, if that is what stands there, and the queue may take it.
    fn stands(&self, queue: &VecDeque<u32>, number: u32, place: u32) -> Result<usize, Stuck> {
        let place = place as usize;
        if queue.get(place) != Some(&number) || (self.scene.options.ordered_queue && place != 0) {
            return Err(Stuck::Waits("something else stands there in the queue"));
        }
        Ok(place)
    }

    /// Goes on when nothing is left of what is waited for; [`Part::Nothing`]: the wait was aborted. Who does not ask for that
    /// waits for ever.
    pub(crate) fn wait(&self, agent: AgentId, waited: Waited, asks: bool) -> Result<Part, Stuck> {
        let queue = self.shared.queue.lock();
        let aborted = &self.held[agent].aborted;
        if aborted.load(Ordering::Acquire) {
            if asks {
                aborted.store(false, Ordering::Release);
                return Ok(Part::Nothing);
            }
            return Err(Stuck::Waits("its wait was aborted, and is never answered"));
        }
        let is_waited_for = |number: &u32| {
            let (poster, posted) = &self.scene.posted[*number as usize];
            *poster == agent && (waited == Waited::Own || posted.is_none())
        };
        match queue.iter().any(is_waited_for) {
            true => Err(Stuck::Waits("something that it posted is not done")),
            false => Ok(Part::Whole),
        }
    }
}
