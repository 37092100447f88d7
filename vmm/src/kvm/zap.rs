//! Taking translations from vCPUs that run: request, kick, acknowledge.
//!
//! Invariant: when [`ZapPort::wait`] returns, no vCPU of the request executes another CPL3 instruction through an
//! entry that was zapped before the request, and none writes such an entry any more.
//!
//! All vCPUs share one leaf table, so an answer that a vCPU has not written yet is a danger to the others: written
//! after they dropped the page, it would bring the old frame back for them. The request therefore begins with the
//! answers: one that was not taken is revoked, one that was is waited for. (Answers are posted under the lock that
//! requests are made under, so no new one comes.) Then the bits are set and the kicks sent, and each vCPU ends in
//! one of three states:
//!
//! 1. **It acknowledged.** Its stub loaded the request count, then took the bits and cleared entry and translation
//!    for each, then stored the count. The bits were set before the count was raised, so they were among those taken.
//! 2. **It is outside the guest.** The kick is pending in its local APIC before `in_guest` is read, and the vCPU
//!    sets `in_guest` before KVM_RUN looks for interrupts; both sides have a full barrier in between (the ioctl, a
//!    sequentially consistent store). So a vCPU seen outside finds the kick when it enters: at CPL3 the interrupt
//!    comes before the next instruction, in the stub (interrupts off) the handler looks at the count before `iretq`,
//!    and an interrupt that comes after that look comes before CPL3's next instruction.
//! 3. **Its thread is not on a CPU** (KVM's steal-time record says "preempted"). KVM sets that byte when it takes
//!    the vCPU off its CPU, which flushes nothing but executes nothing either; it clears it on the way back in,
//!    before it enters guest mode with a full barrier and looks for interrupts. As in 2, the kick is pending before
//!    the byte is read. This is the rule by which Linux guests skip TLB shootdowns of preempted vCPUs
//!    (arch/x86/kernel/kvm.c kvm_flush_tlb_multi()).
//!
//! Some KVMs never set that byte (kvm-pvm, which does not know an instruction boundary); then 1 and 2 decide.
//!
//! The kick is always sent, also to a vCPU that is outside: that is what 2 and 3 rest on. A vCPU that takes it with
//! nothing left to do loses the time of one interrupt.

mod mailbox;
mod pages;

use std::hint;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use guest_images::layout::{MAX_VCPUS, vector};
use mmu::address::VirtAddr;
use thiserror::Error;

use super::vcpu::Activity;
use super::{GuestSpace, VcpuHandle, VcpuId, Vm, VmError, guest};
use mailbox::Mailbox;
pub use pages::{PageSet, VcpuSet};

/// How long a vCPU may take before it counts as lost.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a waiter spins before it naps, if it has a CPU for that; a kick takes about 50 µs.
const SPIN: Duration = Duration::from_micros(60);
/// How long it naps. Shorter naps end before the scheduler has let a waiting vCPU run.
const NAP: Duration = Duration::from_micros(50);

/// Why translations could not be taken.
#[derive(Debug, Error)]
pub enum ZapError {
    /// A vCPU neither acknowledged nor left the guest.
    #[error(
        "{vcpu} made no progress for {waited_ms} ms: zap {requested} requested, {acknowledged} acknowledged; it is {activity}; is the stub stuck, or the host starved of CPU?"
    )]
    NoProgress {
        /// Which one.
        vcpu: VcpuId,
        /// How long it was waited for, in milliseconds.
        waited_ms: u128,
        /// The count it should have acknowledged.
        requested: u64,
        /// The count it acknowledged last.
        acknowledged: u64,
        /// What it did last.
        activity: Activity,
    },
    /// The kick could not be sent.
    #[error(transparent)]
    Kick(#[from] VmError),
}

/// The way to zap entries of the shadow window; shared by all host threads.
#[derive(Debug)]
pub struct ZapPort {
    vm: Arc<Vm>,
    targets: Vec<Target>,
    timeout: Duration,
    /// CPUs of the host.
    cpus: usize,
}

#[derive(Debug)]
struct Target {
    handle: VcpuHandle,
    mailbox: Mailbox,
}

/// A request that can be waited for: what each of its vCPUs has to acknowledge.
#[derive(Clone, Debug)]
#[must_use = "translations are gone only after `wait`"]
pub struct ZapTicket {
    vcpus: VcpuSet,
    requests: [u64; MAX_VCPUS],
}

impl ZapPort {
    /// A port to the vCPUs behind `handles`, all of `vm` and `space`.
    ///
    /// # Panics
    /// If a handle is not of a vCPU of `space`.
    #[must_use]
    pub fn new(vm: Arc<Vm>, space: &GuestSpace, handles: impl IntoIterator<Item = VcpuHandle>) -> Self {
        let target = |handle: VcpuHandle| {
            let at = space.mailbox(handle.id());
            Target { handle, mailbox: Mailbox { memory: Arc::clone(vm.memory()), at } }
        };
        let mut targets: Vec<_> = handles.into_iter().map(target).collect();
        targets.sort_by_key(|target| target.handle.id());
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        Self { vm, targets, timeout: TIMEOUT, cpus }
    }

    /// The same port with another patience than 2 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// All vCPUs of the port.
    #[must_use]
    pub fn vcpus(&self) -> VcpuSet {
        self.targets.iter().map(|target| target.handle.id()).collect()
    }

    /// Asks `vcpus` to zap `pages` and kicks each, once no answer for one of the pages can be written any more. Call it
    /// under the lock that answers are posted under.
    ///
    /// # Errors
    /// [`ZapError::Kick`] if KVM refuses the kick, [`ZapError::NoProgress`] if a vCPU took an answer and does not
    /// write it.
    pub fn request(&self, vcpus: VcpuSet, pages: &PageSet) -> Result<ZapTicket, ZapError> {
        let started = Instant::now();
        for target in self.targets_in(vcpus) {
            target.mailbox.revoke_answer(pages);
            self.wait_until(target, 0, started, |target| !target.is_writing_an_answer())?;
        }
        let mut ticket = ZapTicket { vcpus, requests: [0; MAX_VCPUS] };
        for target in self.targets_in(vcpus) {
            let id = target.handle.id();
            ticket.requests[id.index()] = target.mailbox.request(pages);
            self.vm.signal_msi(id, vector::KICK)?;
        }
        Ok(ticket)
    }

    /// Waits until none of the ticket's vCPUs can use a zapped translation any more.
    ///
    /// # Errors
    /// [`ZapError::NoProgress`] names the vCPU that did not come, after 2 s.
    pub fn wait(&self, ticket: &ZapTicket) -> Result<(), ZapError> {
        let started = Instant::now();
        for target in self.targets_in(ticket.vcpus) {
            let requested = ticket.requests[target.handle.id().index()];
            self.wait_until(target, requested, started, |target| target.is_done(requested))?;
        }
        Ok(())
    }

    /// Waits until each of the ticket's vCPUs has applied it, wherever it is: from then on none empties these entries, and
    /// whoever writes one anew need not [`cancel`](Self::cancel). A vCPU that nobody runs never comes.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_until_applied(&self, ticket: &ZapTicket) -> Result<(), ZapError> {
        let started = Instant::now();
        for target in self.targets_in(ticket.vcpus) {
            let requested = ticket.requests[target.handle.id().index()];
            self.wait_until(target, requested, started, |target| target.mailbox.acknowledged() >= requested)?;
        }
        Ok(())
    }

    /// Takes back the zap of one page for one vCPU that is outside the guest: an entry is about to be installed
    /// there, and the vCPU drops its old translation with that.
    pub fn cancel(&self, vcpu: VcpuId, address: VirtAddr) {
        let target = self.targets.iter().find(|target| target.handle.id() == vcpu);
        if let (Some(target), Some(page)) = (target, guest::area_page(address)) {
            target.mailbox.cancel(page);
        }
    }

    fn targets_in(&self, vcpus: VcpuSet) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(move |target| vcpus.contains(target.handle.id()))
    }

    fn wait_until(
        &self,
        target: &Target,
        requested: u64,
        started: Instant,
        done: impl Fn(&Target) -> bool,
    ) -> Result<(), ZapError> {
        while !done(target) {
            let waited = started.elapsed();
            if waited > self.timeout {
                return Err(target.no_progress(requested, waited));
            }
            if waited < SPIN && self.has_cpu_to_spare() {
                hint::spin_loop();
            } else {
                thread::sleep(NAP);
            }
        }
        Ok(())
    }

    /// Whether the vCPUs inside the guest leave a CPU for a thread that spins. Without one, a spinning waiter
    /// stands in the way of the vCPU it waits for, and `sched_yield` does not help: measured 4 ms a wait, against
    /// 0.15 ms of naps.
    fn has_cpu_to_spare(&self) -> bool {
        self.targets.iter().filter(|target| target.handle.in_guest()).count() < self.cpus
    }
}

impl Target {
    fn is_done(&self, requested: u64) -> bool {
        self.mailbox.acknowledged() >= requested || !self.handle.in_guest() || self.mailbox.is_preempted()
    }

    /// Between taking an answer and having written it, a handful of instructions of the stub. A vCPU that was stopped
    /// there never runs again.
    fn is_writing_an_answer(&self) -> bool {
        self.mailbox.is_answer_taken() && (self.handle.in_guest() || !self.handle.is_stopping())
    }

    fn no_progress(&self, requested: u64, waited: Duration) -> ZapError {
        ZapError::NoProgress {
            vcpu: self.handle.id(),
            waited_ms: waited.as_millis(),
            requested,
            acknowledged: self.mailbox.acknowledged(),
            activity: self.handle.activity(),
        }
    }
}

#[cfg(test)]
mod tests;
