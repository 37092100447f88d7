//! The fault log.
//!
//! Invariant: records are written in a ring, each only when software has freed it; PPF is set exactly while one is in
//! use. The event is raised when the first status bit is set, not again while one is. Source: VT-d 7.2, 7.3, 11.4.7,
//! 11.4.14.

use crate::spec::fault::{FaultRecord, RECORD_IN_USE};
use crate::spec::register::{FAULT_RECORD_BYTES, Register};
use crate::spec::status;
use crate::vtd::Vtd;
use crate::vtd::event::Event;
use crate::vtd::options::FAULT_RECORDS;
use crate::vtd::registers::Registers;

/// Status bits that stand for something software has to look at.
const REASONS: u32 = status::FAULT_OVERFLOW
    | status::FAULT_PENDING
    | status::QUEUE_ERROR
    | status::COMPLETION_ERROR
    | status::TIME_OUT_ERROR;

impl Vtd {
    /// Records a fault, if there is room.
    pub(super) fn record_fault(&self, record: &FaultRecord) {
        if let Some(witness) = self.witness() {
            witness.faulted(record);
        }
        let mut registers = self.registers.lock();
        if registers.word(Register::FAULT_STATUS) & status::FAULT_OVERFLOW != 0 {
            return;
        }
        let quiet = registers.word(Register::FAULT_STATUS) & REASONS == 0;
        match free_record(&registers) {
            Some(place) => {
                let [low, high] = record.encode();
                registers.set_long(place, low);
                registers.set_long(place.plus(8), high);
                update_pending(&mut registers);
            }
            None => registers.raise(Register::FAULT_STATUS, status::FAULT_OVERFLOW),
        }
        let message = if quiet { Event::FAULT.happen(&mut registers) } else { None };
        drop(registers);
        self.send(message);
    }

    /// Sets an error bit and raises the fault event.
    pub(super) fn raise_fault_status(&self, bits: u32) {
        let mut registers = self.registers.lock();
        let quiet = registers.word(Register::FAULT_STATUS) & REASONS == 0;
        registers.raise(Register::FAULT_STATUS, bits);
        let message = if quiet { Event::FAULT.happen(&mut registers) } else { None };
        drop(registers);
        self.send(message);
    }

    /// Software cleared records or status bits.
    pub(super) fn settle_faults(&self) {
        let mut registers = self.registers.lock();
        update_pending(&mut registers);
        if registers.word(Register::FAULT_STATUS) & REASONS == 0 {
            Event::FAULT.settle(&mut registers);
        }
    }
}

fn place(index: u16) -> Register {
    Register::FAULT_RECORDS.plus(index * FAULT_RECORD_BYTES)
}

fn is_used(registers: &Registers, index: u16) -> bool {
    registers.long(place(index).plus(8)) & RECORD_IN_USE != 0
}

/// The record behind those in use, which are consecutive from the index in FSTS on.
fn free_record(registers: &Registers) -> Option<Register> {
    let first = first_index(registers);
    (0..FAULT_RECORDS)
        .map(|offset| (first + offset) % FAULT_RECORDS)
        .find(|&index| !is_used(registers, index))
        .map(place)
}

fn first_index(registers: &Registers) -> u16 {
    let [_, _, index, _] = registers.word(Register::FAULT_STATUS).to_be_bytes();
    u16::from(index) % FAULT_RECORDS
}

/// PPF and FRI follow the records.
fn update_pending(registers: &mut Registers) {
    let first = first_index(registers);
    let used = (0..FAULT_RECORDS)
        .map(|offset| (first + offset) % FAULT_RECORDS)
        .find(|&index| is_used(registers, index));
    let status = registers.word(Register::FAULT_STATUS) & !status::FAULT_PENDING;
    let word = match used {
        Some(index) => {
            status & !(0xff << status::FAULT_INDEX_SHIFT)
                | u32::from(index) << status::FAULT_INDEX_SHIFT
                | status::FAULT_PENDING
        }
        None => status,
    };
    registers.set(Register::FAULT_STATUS, word);
}
