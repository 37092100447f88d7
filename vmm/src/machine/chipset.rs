//! Ports of a PC's chipset, which are on no bus: timers, interrupt controllers, ways to restart, the test device.
//!
//! Invariant: any access of any width is harmless. Ports of one byte take the bytes of a longer access one after the
//! other, as a string instruction means them.

use std::io;
use std::sync::Arc;

use devices::bus::Registers;
use devices::cmos_clock::{self, CmosClock};
use devices::interrupt::Wire;
use devices::pc_testdev::{self, PcTestdev};
use devices::pic::{self, Pics};
use devices::pit::{self, Pit};
use devices::pm_timer::{self, PmTimer};
use devices::port92::{self, Port92, Request};
use devices::pvpanic;
use devices::worker::Hooks;

use super::ending::{End, Ending};

/// The devices behind the ports.
pub(super) struct Chipset {
    pit: Pit,
    pm_timer: PmTimer,
    clock: CmosClock,
    pics: Pics,
    port92: Port92,
    testdev: PcTestdev,
    end: Arc<End>,
}

/// What a port belongs to, and which of its ports it is.
#[derive(Clone, Copy)]
enum Part {
    Pit(u16),
    PitGate,
    PmTimer(u16),
    Clock(u16),
    Pic(pic::Register),
    Port92,
    Pvpanic,
    TestWord(u16),
    TestLine(u16),
}

impl Chipset {
    /// All in the state that firmware would leave them in; the timer's thread has `hooks`, `wires` lead to the inputs of the I/O APIC, from the first on.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub(super) fn new(wires: &[Wire], end: Arc<End>, hooks: Hooks) -> io::Result<Self> {
        Ok(Self {
            pit: Pit::start(wires[usize::from(pit::PIN)].line(), hooks)?,
            pm_timer: PmTimer::default(),
            clock: CmosClock::default(),
            pics: Pics::default(),
            port92: Port92::default(),
            testdev: PcTestdev::new(wires.iter().map(Wire::line).collect()),
            end,
        })
    }

    /// The test device's memory.
    pub(super) fn test_memory(&self) -> &dyn Registers {
        &self.testdev
    }

    /// Answers an `in`; none if the port is not of the chipset.
    pub(super) fn read(&self, port: u16, bytes: &mut [u8]) -> Option<()> {
        match self.part(port)? {
            Part::Pit(offset) => self.pit.read(offset, bytes),
            Part::PitGate => bytes.fill_with(|| self.pit.read_gate()),
            Part::PmTimer(offset) => self.pm_timer.read(offset, bytes),
            Part::Clock(offset) => bytes.fill_with(|| self.clock.read(offset)),
            Part::Pic(register) => bytes.fill_with(|| self.pics.read(register)),
            Part::Port92 => bytes.fill_with(|| self.port92.read()),
            Part::Pvpanic => bytes.fill(pvpanic::SUPPORTED),
            Part::TestWord(offset) => self.testdev.read_word(offset, bytes),
            Part::TestLine(_) => bytes.fill(0xff),
        }
        Some(())
    }

    /// Takes an `out`; none if the port is not of the chipset.
    pub(super) fn write(&self, port: u16, bytes: &[u8]) -> Option<()> {
        match self.part(port)? {
            Part::Pit(offset) => self.pit.write(offset, bytes),
            Part::PitGate => bytes.iter().for_each(|byte| self.pit.write_gate(*byte)),
            Part::PmTimer(_) => {}
            Part::Clock(offset) => bytes.iter().for_each(|byte| self.clock.write(offset, *byte)),
            Part::Pic(register) => bytes.iter().for_each(|byte| self.pics.write(register, *byte)),
            Part::Port92 => bytes.iter().for_each(|byte| self.write_port92(*byte)),
            Part::Pvpanic => bytes.iter().for_each(|byte| self.write_pvpanic(*byte)),
            Part::TestWord(offset) => self.testdev.write_word(offset, bytes),
            Part::TestLine(number) => self.testdev.write_line(number, bytes),
        }
        Some(())
    }

    fn part(&self, port: u16) -> Option<Part> {
        let within = |first: u16, count: u16| port.checked_sub(first).filter(|offset| *offset < count);
        match port {
            pit::GATE_PORT => return Some(Part::PitGate),
            port92::PORT => return Some(Part::Port92),
            pvpanic::PORT => return Some(Part::Pvpanic),
            _ => {}
        }
        let pit = || within(pit::PORT, pit::PORTS).map(Part::Pit);
        let pm_timer = || within(pm_timer::PORT, pm_timer::PORTS).map(Part::PmTimer);
        let clock = || within(cmos_clock::PORT, cmos_clock::PORTS).map(Part::Clock);
        let word = |first| within(first, pc_testdev::WORD_BYTES).map(Part::TestWord);
        let line = || within(pc_testdev::LINE_PORT, self.testdev.lines()).map(Part::TestLine);
        pit()
            .or_else(pm_timer)
            .or_else(clock)
            .or_else(|| pic::Register::at(port).map(Part::Pic))
            .or_else(|| pc_testdev::WORD_PORTS.into_iter().find_map(word))
            .or_else(line)
    }

    fn write_port92(&self, value: u8) {
        match self.port92.write(value) {
            Request::Nothing => {}
            Request::Reset => self.end.finish(Ending::Reset),
        }
    }

    fn write_pvpanic(&self, value: u8) {
        match pvpanic::event(value) {
            Some(pvpanic::Event::Panicked) => self.end.finish(Ending::Panicked),
            Some(pvpanic::Event::CrashLoaded) => log::warn!("the guest panicked; its crash kernel goes on"),
            None => {}
        }
    }
}
