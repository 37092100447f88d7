//! One counter: what it counts and what its output is at a time.
//!
//! Invariant: a counter is never advanced; its count and its output are computed from when it was started. A new count
//! takes effect at once, where the chip would end the period before. Source: Intel 82C54, "Mode definitions".

/// A time in periods of the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticks(pub(super) u64);

/// How a counter counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// 0: high when it is over.
    Terminal = 0,
    /// 1: low for a while after its gate rose.
    OneShot = 1,
    /// 2: low for one period of the clock, again and again.
    Rate = 2,
    /// 3: half the time high, half the time low.
    Square = 3,
    /// 4: low for one period when it is over.
    Strobe = 4,
    /// 5: the same, after its gate rose.
    GatedStrobe = 5,
}

impl Mode {
    /// From three bits, of which the first says nothing in modes 2 and 3.
    pub(super) const fn of(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Terminal,
            1 => Self::OneShot,
            2 | 6 => Self::Rate,
            3 | 7 => Self::Square,
            4 => Self::Strobe,
            _ => Self::GatedStrobe,
        }
    }

    const fn waits_for_gate(self) -> bool {
        match self {
            Self::OneShot | Self::GatedStrobe => true,
            Self::Terminal | Self::Rate | Self::Square | Self::Strobe => false,
        }
    }
}

/// What a digit of the count is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Digits {
    Binary,
    Decimal,
}

/// A level of gate or output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Low,
    High,
}

/// Where counting stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// No count was written since the mode, or its gate has not risen.
    Waiting,
    /// Since then.
    Since(Ticks),
    /// The gate stopped it after so many periods.
    Held(u64),
}

/// The counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    mode: Mode,
    digits: Digits,
    gate: Level,
    /// From what it counts down, 1 to 0x10000; 0 if no count was written.
    initial: u64,
    progress: Progress,
}

impl Counter {
    /// Binary, mode 0, without a count.
    pub(super) const fn new(gate: Level) -> Self {
        Self { mode: Mode::Terminal, digits: Digits::Binary, gate, initial: 0, progress: Progress::Waiting }
    }

    /// A mode was written: a count is to follow.
    pub(super) fn set_mode(&mut self, mode: Mode, digits: Digits) {
        *self = Self { mode, digits, gate: self.gate, initial: 0, progress: Progress::Waiting };
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) const fn digits(&self) -> Digits {
        self.digits
    }

    /// Whether a count is still to be written.
    pub(super) const fn is_without_count(&self) -> bool {
        self.initial == 0
    }

    /// A count was written.
    pub(super) fn load(&mut self, count: u16, now: Ticks) {
        let count = self.of_digits(count);
        self.initial = if count == 0 { self.modulus() } else { count };
        if !self.mode.waits_for_gate() {
            self.progress = match self.gate {
                Level::High => Progress::Since(now),
                Level::Low => Progress::Held(0),
            };
        }
    }

    /// The gate's level from now on.
    pub(super) fn set_gate(&mut self, gate: Level, now: Ticks) {
        let before = std::mem::replace(&mut self.gate, gate);
        if before == gate || self.is_without_count() {
            return;
        }
        self.progress = match (gate, self.mode) {
            (Level::High, Mode::Terminal | Mode::Strobe) => {
                Progress::Since(Ticks(now.0.saturating_sub(self.elapsed(now).unwrap_or(0))))
            }
            (Level::High, Mode::OneShot | Mode::Rate | Mode::Square | Mode::GatedStrobe) => {
                Progress::Since(now)
            }
            (Level::Low, Mode::Terminal | Mode::Strobe) => Progress::Held(self.elapsed(now).unwrap_or(0)),
            (Level::Low, Mode::Rate | Mode::Square) => Progress::Held(0),
            (Level::Low, Mode::OneShot | Mode::GatedStrobe) => self.progress,
        };
    }

    /// Periods since it was started, if it was.
    fn elapsed(&self, now: Ticks) -> Option<u64> {
        match self.progress {
            Progress::Waiting => None,
            Progress::Since(start) => Some(now.0.saturating_sub(start.0)),
            Progress::Held(elapsed) => Some(elapsed),
        }
    }

    /// What it has come to, in its digits.
    pub(super) fn count(&self, now: Ticks) -> u16 {
        let Some(elapsed) = self.elapsed(now) else { return self.in_digits(self.initial) };
        let count = match self.mode {
            Mode::Rate => self.initial - elapsed % self.initial,
            Mode::Square => (self.initial - elapsed % self.initial * 2 % self.initial) & !1,
            // These go on below 0.
            Mode::Terminal | Mode::OneShot | Mode::Strobe | Mode::GatedStrobe => {
                let modulus = self.modulus();
                (self.initial + modulus - elapsed % modulus) % modulus
            }
        };
        self.in_digits(count)
    }

    /// The level of its output.
    pub(super) fn output(&self, now: Ticks) -> Level {
        let Some(elapsed) = self.elapsed(now) else {
            return if self.mode == Mode::Terminal { Level::Low } else { Level::High };
        };
        let is_high = match self.mode {
            Mode::Terminal | Mode::OneShot => elapsed >= self.initial,
            Mode::Rate => elapsed % self.initial != self.initial - 1 || self.gate == Level::Low,
            Mode::Square => elapsed % self.initial < self.initial.div_ceil(2),
            Mode::Strobe | Mode::GatedStrobe => elapsed != self.initial,
        };
        if is_high { Level::High } else { Level::Low }
    }

    /// When its output rises first after `seen`, if it does.
    pub(super) fn next_rise(&self, seen: Ticks) -> Option<Ticks> {
        let Progress::Since(start) = self.progress else { return None };
        let rise = match self.mode {
            Mode::Terminal | Mode::OneShot => start.0.checked_add(self.initial)?,
            Mode::Strobe | Mode::GatedStrobe => start.0.checked_add(self.initial + 1)?,
            Mode::Rate | Mode::Square => {
                let periods = seen.0.saturating_sub(start.0) / self.initial + 1;
                start.0.checked_add(periods.checked_mul(self.initial)?)?
            }
        };
        Some(Ticks(rise)).filter(|rise| *rise > seen)
    }

    const fn modulus(&self) -> u64 {
        match self.digits {
            Digits::Binary => 0x1_0000,
            Digits::Decimal => 10_000,
        }
    }

    fn of_digits(&self, count: u16) -> u64 {
        match self.digits {
            Digits::Binary => count.into(),
            Digits::Decimal => {
                (0..4).rev().fold(0, |value, digit| value * 10 + u64::from(count >> (4 * digit) & 0xf))
            }
        }
    }

    fn in_digits(&self, count: u64) -> u16 {
        let count = count % self.modulus();
        let value = match self.digits {
            Digits::Binary => count,
            Digits::Decimal => {
                [1000, 100, 10, 1].iter().fold(0, |value, unit| (value << 4) | (count / unit % 10))
            }
        };
        u16::try_from(value).unwrap_or_else(|_| unreachable!("{value:#x} is below the modulus"))
    }
}

#[cfg(test)]
mod tests;
