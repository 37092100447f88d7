//! A machine for one test: memory, frames counted up, a guest, vCPU threads that answer faults from a table.
//!
//! Invariant: a rig's vCPUs are stopped and joined when it is dropped, whatever the test found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use guest_images::Program;
use guest_images::layout::{AREA_VA, control, probe_stats};
use mmu::address::{Access, PAGE_SIZE, Pfn, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use mmu::pte::Pte;
use vmm::kvm::{
    Exit, GuestSpace, Hypercall, Install, PageSet, System, Vcpu, VcpuError, VcpuHandle, VcpuId, Vm, ZapPort,
};
use vmm_sys_util::signal::{Killable, SIGRTMIN};

/// The longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A machine whose vCPUs run `program`.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vm: Arc<Vm>,
    pub(crate) handles: Vec<VcpuHandle>,
    threads: Vec<JoinHandle<Result<Vec<Exit>, VcpuError>>>,
}

/// What the vCPU threads and the test use together.
pub(crate) struct Shared {
    pub(crate) memory: Arc<PhysicalMemory>,
    pub(crate) space: GuestSpace,
    /// What a fault on a page of the window is answered with, by page number.
    mapped: Mutex<Vec<Option<Pfn>>>,
    next_frame: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// The system, or none after saying why the test is skipped.
pub(crate) fn system() -> Option<System> {
    match System::open() {
        Ok(system) => Some(system),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// The address of page `number` of the shadow window.
pub(crate) fn page(number: u64) -> VirtAddr {
    VirtAddr(AREA_VA + number * PAGE_SIZE)
}

/// Waits until `what` holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        thread::yield_now();
    }
}

impl Shared {
    /// A frame whose first word is `word`.
    pub(crate) fn frame_with(&self, word: u64) -> Pfn {
        let pfn = Pfn(self.next_frame.fetch_add(1, Ordering::Relaxed));
        self.memory.store(pfn.address(), word);
        pfn
    }

    /// From now on faults on page `number` are answered with `frame`, writable.
    pub(crate) fn map(&self, number: u64, frame: Pfn) {
        self.mapped.lock().unwrap()[usize::try_from(number).unwrap()] = Some(frame);
    }

    /// What faults on page `number` are answered with.
    pub(crate) fn mapped_at(&self, number: usize) -> Pfn {
        self.mapped.lock().unwrap()[number].unwrap()
    }

    /// The entry that maps `frame` for user reads and writes.
    pub(crate) fn entry_for(frame: Pfn) -> u64 {
        Pte::leaf(frame).with(Pte::WRITE).0
    }

    pub(crate) fn stats(&self, vcpu: VcpuId, offset: u64) -> u64 {
        self.memory.load(self.space.stats(vcpu).offset(offset))
    }

    pub(crate) fn set_control(&self, offset: u64, value: u64) {
        self.memory.store(self.space.control().offset(offset), value);
    }

    /// Reads that the probe on `vcpu` has done.
    pub(crate) fn reads(&self, vcpu: VcpuId) -> u64 {
        self.stats(vcpu, probe_stats::READS)
    }

    /// Waits for `count` more reads of the probe on `vcpu`, then gives the value of the last.
    pub(crate) fn value_after(&self, vcpu: VcpuId, count: u64) -> u64 {
        let end = self.reads(vcpu) + count;
        wait_until("the probe reads on", || self.reads(vcpu) >= end);
        self.stats(vcpu, probe_stats::LAST_VALUE)
    }

    /// Waits for `count` more reads of the probe on each of the first vCPUs.
    pub(crate) fn wait_for_reads(&self, vcpu_count: usize, count: u64) {
        for vcpu in VcpuId::first(vcpu_count) {
            self.value_after(vcpu, count);
        }
    }

    /// Answers a fault of `vcpu` at `address`; outside the mapped pages there is no answer. The answer is posted
    /// before the lock is dropped, so a zap requested under the lock comes after it.
    pub(crate) fn answer(&self, vcpu: &Vcpu, address: VirtAddr) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let mapped = self.mapped.lock().unwrap();
        let number =
            address.0.checked_sub(AREA_VA).and_then(|offset| usize::try_from(offset / PAGE_SIZE).ok());
        let frame = number.and_then(|number| *mapped.get(number)?);
        let install = |frame| {
            let entry = self.space.leaf_entry(address)?;
            Some(Install { entry, value: Self::entry_for(frame), address })
        };
        vcpu.answer(frame.and_then(install));
    }
}

impl Rig {
    /// A rig with its vCPUs not yet running.
    pub(crate) fn build(system: &System, program: Program, vcpu_count: usize) -> (Self, Vec<Vcpu>) {
        let memory = Arc::new(PhysicalMemory::new(8 << 20).unwrap());
        let mut next = 0;
        let mut allocate = || {
            next += 1;
            Pfn(next)
        };
        let space = GuestSpace::build(&memory, &mut allocate, program, vcpu_count);
        let vm = Arc::new(Vm::new(system, Arc::clone(&memory)).unwrap());
        let vcpus: Vec<_> = VcpuId::first(vcpu_count).map(|id| Vcpu::new(&vm, &space, id).unwrap()).collect();
        let shared = Shared {
            memory,
            space,
            mapped: Mutex::new(vec![None; 512]),
            next_frame: AtomicU64::new(next + 1),
            faults: AtomicU64::new(0),
        };
        let handles = vcpus.iter().map(Vcpu::handle).collect();
        (Self { shared: Arc::new(shared), vm, handles, threads: Vec::new() }, vcpus)
    }

    /// A rig whose vCPUs run, with `frames` at the window's first pages.
    pub(crate) fn start(system: &System, program: Program, vcpu_count: usize, words: &[u64]) -> Self {
        let (mut rig, vcpus) = Self::build(system, program, vcpu_count);
        for (number, word) in (0..).zip(words) {
            rig.shared.map(number, rig.shared.frame_with(*word));
        }
        rig.shared.set_control(control::PAGE_COUNT, words.len() as u64);
        rig.run(vcpus);
        rig
    }

    /// Runs each vCPU in a thread of its own until it stops.
    pub(crate) fn run(&mut self, vcpus: Vec<Vcpu>) {
        let spawn = |vcpu| {
            let shared = Arc::clone(&self.shared);
            thread::spawn(move || serve(vcpu, &shared))
        };
        self.threads.extend(vcpus.into_iter().map(spawn));
    }

    pub(crate) fn port(&self) -> ZapPort {
        ZapPort::new(Arc::clone(&self.vm), &self.shared.space, self.handles.iter().cloned())
    }

    /// Zaps page `number` on all vCPUs and waits for it.
    pub(crate) fn zap(&self, port: &ZapPort, number: u64) {
        let ticket = port.request(port.vcpus(), &PageSet::of(page(number))).unwrap();
        port.wait(&ticket).unwrap();
    }

    /// Moves page `number` to `frame` on all vCPUs; the old frame is not used any more on return.
    pub(crate) fn move_page(&self, port: &ZapPort, number: u64, frame: Pfn) {
        let ticket = {
            let mut mapped = self.shared.mapped.lock().unwrap();
            mapped[usize::try_from(number).unwrap()] = Some(frame);
            port.request(port.vcpus(), &PageSet::of(page(number))).unwrap()
        };
        port.wait(&ticket).unwrap();
    }

    /// Sends every vCPU thread the signal that stops them, without asking them to stop.
    pub(crate) fn disturb(&self) {
        for thread in &self.threads {
            thread.kill(SIGRTMIN()).unwrap();
        }
    }

    /// Tells the programs to stop and gives what each vCPU returned except page faults.
    pub(crate) fn finish(mut self) -> Vec<Result<Vec<Exit>, VcpuError>> {
        self.shared.set_control(control::STOP, 1);
        self.join()
    }

    /// Waits for the vCPU threads to end and gives what each returned except page faults.
    pub(crate) fn join(&mut self) -> Vec<Result<Vec<Exit>, VcpuError>> {
        self.threads.drain(..).map(|thread| thread.join().unwrap()).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handles.iter().for_each(VcpuHandle::request_stop);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// Runs a vCPU to its end; gives the exits that are not page faults.
fn serve(mut vcpu: Vcpu, shared: &Shared) -> Result<Vec<Exit>, VcpuError> {
    let mut exits = Vec::new();
    loop {
        let exit = vcpu.run()?;
        match exit {
            Exit::PageFault { address, access: Access::Read | Access::Write } => {
                shared.answer(&vcpu, address);
                continue;
            }
            Exit::Hypercall(Hypercall::Yield) => thread::yield_now(),
            _ => {}
        }
        exits.push(exit);
        if matches!(exit, Exit::Hypercall(Hypercall::Stopped) | Exit::Interrupted) {
            return Ok(exits);
        }
    }
}

/// The physical address of the leaf entry of page `number`.
pub(crate) fn leaf_entry(shared: &Shared, number: u64) -> PhysAddr {
    shared.space.leaf_entry(page(number)).unwrap()
}
