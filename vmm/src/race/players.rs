//! The vCPUs of a scenario, each in a thread of its own, and what is asked of them.
//!
//! Invariant: every wait for a vCPU ends, with what it did last if it does not come. Once one has failed, everything that is
//! asked later fails for the same reason: what it holds is unknown from then on. No thread is waited for without an end.

use std::fmt;
use std::hint;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use guest_images::layout::{AREA_VA, player};
use mmu::address::{Access, PAGE_SIZE, VirtAddr};
use ordering::lowering::UserId;
use parking_lot::Mutex;
use race::machine::Stuck;
use race::vcpus::{Slot, Vcpus};

use super::PlayError;
use super::exchange::{Answer, Deed, Exchange};
use crate::kvm::{Exit, GuestSpace, Hypercall, PageSet, Vcpu, VcpuHandle, VcpuId, Vm, ZapPort};

/// How long a vCPU may take for an answer, and its thread for its end.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a waiter spins before it naps.
const SPIN: Duration = Duration::from_micros(30);
/// How long it naps.
const NAP: Duration = Duration::from_micros(50);
/// How long a vCPU that nobody asks stays outside the guest, unless it is woken.
const IDLE: Duration = Duration::from_millis(100);

const REFUSED: Stuck = Stuck::Waits("the shadow entry that the guest's MMU finds does not allow the access");

/// All of them.
#[derive(Debug)]
pub(super) struct Players {
    seats: Vec<Seat>,
    zaps: ZapPort,
    failure: Arc<Failure>,
    /// How long a vCPU may take for an answer.
    patience: Duration,
}

/// One of them.
#[derive(Debug)]
struct Seat {
    user: UserId,
    handle: VcpuHandle,
    /// Locked from the question to the answer.
    exchange: Mutex<Exchange>,
    /// None once it was given up.
    thread: Option<JoinHandle<()>>,
}

/// The first thing that went wrong, in words.
#[derive(Debug, Default)]
struct Failure(OnceLock<String>);

impl Players {
    /// Starts vCPUs of `vm`, one for each of `users`, and waits until each has answered once.
    pub(super) fn start(vm: &Arc<Vm>, space: &GuestSpace, users: Vec<UserId>) -> Result<Self, PlayError> {
        let ids = VcpuId::first(users.len());
        let vcpus: Vec<Vcpu> = ids.map(|id| Vcpu::new(vm, space, id)).collect::<Result<_, _>>()?;
        let zaps = ZapPort::new(Arc::clone(vm), space, vcpus.iter().map(Vcpu::handle));
        let mut players = Self { seats: Vec::new(), zaps, failure: Arc::default(), patience: TIMEOUT };
        for (user, vcpu) in users.into_iter().zip(vcpus) {
            let exchange = Exchange { memory: Arc::clone(vm.memory()), at: space.stats(vcpu.id()) };
            let (handle, exchange) = (vcpu.handle(), Mutex::new(exchange));
            let failure = Arc::clone(&players.failure);
            let builder = thread::Builder::new().name(format!("player-{}", vcpu.id().index()));
            let thread = Some(builder.spawn(move || play(vcpu, &failure))?);
            players.seats.push(Seat { user, handle, exchange, thread });
        }
        players.seats.iter().try_for_each(|seat| players.ask(seat, Deed::Wait).map(drop))?;
        Ok(players)
    }

    fn ask(&self, seat: &Seat, deed: Deed) -> Result<Answer, Stuck> {
        self.failure.check()?;
        let exchange = seat.exchange.lock();
        let number = exchange.ask(deed);
        seat.wake();
        let started = Instant::now();
        loop {
            if let Some(answer) = exchange.answer(number) {
                return Ok(answer);
            }
            self.failure.check()?;
            let waited = started.elapsed();
            if waited > self.patience {
                let (vcpu, activity) = (seat.handle.id(), seat.handle.activity());
                let waited = waited.as_millis();
                let told = format!("{vcpu} has not answered {deed:?} for {waited} ms; it is {activity}");
                return Err(self.failure.of(told));
            }
            if waited < SPIN { hint::spin_loop() } else { thread::sleep(NAP) }
        }
    }
}

impl Vcpus for Players {
    fn access(&self, vcpu: UserId, slot: Slot, access: Access, value: u64) -> Result<u64, Stuck> {
        let seat = self.seats.iter().find(|seat| seat.user == vcpu);
        let seat = seat.ok_or_else(|| Stuck::Cannot(format!("{vcpu} is no vCPU of this guest")))?;
        let deed = match access {
            Access::Read => Deed::Load(address(slot)),
            Access::Write => Deed::Store(address(slot), value),
        };
        match self.ask(seat, deed)? {
            Answer::Done(read) => Ok(read),
            Answer::Refused => Err(REFUSED),
        }
    }

    fn zap(&self, slots: &[Slot]) -> Result<(), Stuck> {
        self.failure.check()?;
        let mut set = PageSet::default();
        slots.iter().for_each(|slot| set.insert(address(*slot)));
        let requested = self.zaps.request(self.zaps.vcpus(), &set);
        self.seats.iter().for_each(Seat::wake);
        let applied = requested.and_then(|ticket| self.zaps.wait_until_applied(&ticket));
        applied.map_err(|error| self.failure.of(error.to_string()))
    }
}

/// The address in the shadow window that an entry maps.
fn address(slot: Slot) -> VirtAddr {
    VirtAddr(AREA_VA).offset(slot.0 as u64 * PAGE_SIZE)
}

/// A vCPU's thread, until it is asked to stop or cannot go on.
fn play(mut vcpu: Vcpu, failure: &Failure) {
    loop {
        match vcpu.run() {
            Ok(Exit::PageFault { .. }) => vcpu.refuse(player::REFUSED_AT),
            Ok(Exit::Hypercall(Hypercall::Yield)) => thread::park_timeout(IDLE),
            Ok(Exit::Interrupted) => return,
            Ok(Exit::Hypercall(
                other @ (Hypercall::Stopped | Hypercall::Output(_) | Hypercall::FirstViolation { .. }),
            )) => return drop(failure.of(format!("{} asks for {other:?}", vcpu.id()))),
            Err(error) => return drop(failure.of(error.to_string())),
        }
    }
}

impl Seat {
    /// Brings it back into the guest.
    fn wake(&self) {
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }

    /// Waits for its end; false: it does not come.
    fn end(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        let started = Instant::now();
        while !thread.is_finished() {
            if started.elapsed() > TIMEOUT {
                return false;
            }
            // It may have looked before it was asked, and be parked since.
            self.handle.request_stop();
            thread.thread().unpark();
            thread::sleep(NAP);
        }
        // A panic has been printed by its own thread.
        let _ended = thread.join();
        true
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        self.seats.iter().for_each(|seat| seat.handle.request_stop());
        for seat in &mut self.seats {
            if !seat.end() {
                let (vcpu, activity) = (seat.handle.id(), seat.handle.activity());
                log::error!("the thread of {vcpu} does not end and is left alone; it is {activity}");
            }
        }
    }
}

impl Failure {
    /// Keeps what went wrong, unless something did before; what did.
    fn of(&self, told: impl fmt::Display) -> Stuck {
        Stuck::Fails(self.0.get_or_init(|| told.to_string()).clone())
    }

    fn check(&self) -> Result<(), Stuck> {
        self.0.get().map_or(Ok(()), |told| Err(Stuck::Fails(told.clone())))
    }
}

#[cfg(test)]
mod tests;
