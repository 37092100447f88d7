//! How fast a machine is there: created in this process, until its first exit.
//!
//! Invariant: it is the same machine whose start `cargo bench -p afterimage-vmm --bench start` takes apart; taking it
//! down counts nowhere.

use std::sync::Arc;
use std::time::Instant;

use guest_images::Program;
use mmu::address::Pfn;
use mmu::memory::PhysicalMemory;
use tests_support::measure::round::{Row, Turn, Unit};
use vmm::kvm::{Exit, GuestSpace, Hypercall, System, Vcpu, VcpuId, Vm};

use crate::{Failure, Run};

const MEMORY_BYTES: u64 = 64 << 20;

pub(crate) fn run(run: &mut Run) {
    let system = match System::open() {
        Ok(system) => system,
        Err(error) => return run.skipped.push(format!("start: {error}")),
    };
    let ours = || first_exit(&system).unwrap_or_else(|error| panic!("a machine does not start: {error}"));
    let row = Row::new("create VM to first exit", Unit::Milliseconds, ours).at_most(0.7, 0.42);
    run.rows.push(row.run(run.effort));
}

fn first_exit(system: &System) -> Result<Turn, Failure> {
    let began = Instant::now();
    let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES)?);
    let mut next = 0;
    let mut allocate = || {
        next += 1;
        Pfn(next)
    };
    let space = GuestSpace::build(&memory, &mut allocate, Program::FirstOutput, 1);
    let vm = Vm::new(system, memory)?;
    let mut vcpu = Vcpu::new(&vm, &space, VcpuId::FIRST)?;
    let exit = vcpu.run()?;
    let took = began.elapsed();
    match exit {
        Exit::Hypercall(Hypercall::Output(byte)) => Ok(Turn { took, operations: 1, checksum: byte.into() }),
        other => Err(format!("the guest's first exit was {other:?}").into()),
    }
}
