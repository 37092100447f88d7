//! Two 8259 interrupt controllers that nothing is wired to: software initialises them, masks them and forgets them.
//!
//! Invariant: the mask reads back as it was written, no interrupt is ever requested or in service, and none is sent to a
//! processor, masked or not: devices interrupt by the I/O APIC and by messages. Source: Intel 8259A data sheet.

use parking_lot::Mutex;

/// Inputs that are edge triggered whatever is written: timer, keyboard, cascade; clock, coprocessor.
const EDGES: [u8; 2] = [0b0000_0111, 0b0010_0001];

/// In the first port: a first command of the initialisation, and whether more than a third and a fourth follow.
const INITIALIZE: u8 = 1 << 4;
const SINGLE: u8 = 1 << 1;
const FOURTH: u8 = 1 << 0;

/// What the next write to the second port is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expects {
    Mask,
    /// The second word of the initialisation, and what follows it.
    Vector {
        third: bool,
        fourth: bool,
    },
    Cascade {
        fourth: bool,
    },
    Environment,
}

#[derive(Clone, Copy, Debug)]
struct Chip {
    expects: Expects,
    mask: u8,
    level: u8,
}

/// The pair.
#[derive(Debug)]
pub struct Pics(Mutex<[Chip; 2]>);

impl Default for Pics {
    /// All masked.
    fn default() -> Self {
        Self(Mutex::new([Chip { expects: Expects::Mask, mask: 0xff, level: 0 }; 2]))
    }
}

/// A register of one of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// The first port: commands, and what is requested or in service.
    Command(usize),
    /// The second port.
    Mask(usize),
    /// Which inputs are level triggered.
    Trigger(usize),
}

impl Register {
    /// The one that `port` belongs to.
    #[must_use]
    pub const fn at(port: u16) -> Option<Self> {
        match port {
            0x20 => Some(Self::Command(0)),
            0x21 => Some(Self::Mask(0)),
            0xa0 => Some(Self::Command(1)),
            0xa1 => Some(Self::Mask(1)),
            0x4d0 => Some(Self::Trigger(0)),
            0x4d1 => Some(Self::Trigger(1)),
            _ => None,
        }
    }
}

impl Pics {
    /// An `in`.
    #[must_use]
    pub fn read(&self, register: Register) -> u8 {
        let chips = self.0.lock();
        match register {
            Register::Command(_) => 0,
            Register::Mask(chip) => chips[chip].mask,
            Register::Trigger(chip) => chips[chip].level,
        }
    }

    /// An `out`.
    pub fn write(&self, register: Register, value: u8) {
        let mut chips = self.0.lock();
        match register {
            Register::Command(chip) => chips[chip].command(value),
            Register::Mask(chip) => chips[chip].second(value),
            Register::Trigger(chip) => chips[chip].level = value & !EDGES[chip],
        }
    }
}

impl Chip {
    /// The other commands say that an interrupt is over, or which register is read next; both are 0.
    fn command(&mut self, value: u8) {
        if value & INITIALIZE != 0 {
            self.mask = 0;
            self.expects = Expects::Vector { third: value & SINGLE == 0, fourth: value & FOURTH != 0 };
        }
    }

    fn second(&mut self, value: u8) {
        self.expects = match self.expects {
            Expects::Mask => {
                self.mask = value;
                Expects::Mask
            }
            Expects::Vector { third: true, fourth } => Expects::Cascade { fourth },
            Expects::Vector { third: false, fourth: true } | Expects::Cascade { fourth: true } => {
                Expects::Environment
            }
            Expects::Vector { third: false, fourth: false }
            | Expects::Cascade { fourth: false }
            | Expects::Environment => Expects::Mask,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Pics, Register};

    fn initialize(pics: &Pics, words: &[u8]) {
        pics.write(Register::Command(0), words[0]);
        assert_eq!(pics.read(Register::Mask(0)), 0, "it unmasks all");
        for word in &words[1..] {
            pics.write(Register::Mask(0), *word);
        }
    }

    #[test]
    fn the_mask_reads_back_before_and_after_each_kind_of_initialisation() {
        let pics = Pics::default();
        assert_eq!(pics.read(Register::Mask(0)), 0xff);
        for words in [&[0x11, 0x20, 4, 1][..], &[0x10, 0x20, 4], &[0x13, 0x20, 1], &[0x12, 0x20]] {
            initialize(&pics, words);
            pics.write(Register::Mask(0), 0xfb);
            assert_eq!(pics.read(Register::Mask(0)), 0xfb, "{words:x?}");
        }
        assert_eq!(pics.read(Register::Mask(1)), 0xff, "the other one is another one");
    }

    #[test]
    fn nothing_is_requested_and_an_end_of_interrupt_changes_nothing() {
        let pics = Pics::default();
        for command in [0x20, 0x60, 0x0a, 0x0b, 0x0c, 0xc7] {
            pics.write(Register::Command(0), command);
            assert_eq!((pics.read(Register::Command(0)), pics.read(Register::Mask(0))), (0, 0xff));
        }
    }

    #[test]
    fn inputs_that_are_never_level_triggered_stay_edges() {
        let pics = Pics::default();
        for chip in [0, 1] {
            pics.write(Register::Trigger(chip), 0xff);
        }
        assert_eq!([0, 1].map(|chip| pics.read(Register::Trigger(chip))), [0xf8, 0xde]);
    }

    #[test]
    fn every_port_has_its_register_and_no_other_has_one() {
        let found = (0..=u16::MAX).filter(|port| Register::at(*port).is_some());
        assert_eq!(found.collect::<Vec<_>>(), [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]);
    }
}
