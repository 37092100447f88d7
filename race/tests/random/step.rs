//! A random step, operation, entry or condition, from the form in which the reference page writes it.
//!
//! Invariant: a word in capitals is a place, and what stands in brackets may be left out. A place that is not known here
//! fails the test: whoever adds one says what stands for it.

use steps::entry::Feature;
use steps::table::{LOOKS, OPERATIONS, Row, SAME};

use super::draw::Draw;

/// Bits of an entry that maps a huge frame.
const HUGE: &str = " huge";

impl Draw {
    /// A step of this scenario: often the one that its seed names.
    pub(super) fn step(&mut self) -> String {
        let steps = if self.once_in(4) { vec![self.steps[0]] } else { self.steps.clone() };
        let row: &Row = self.rng.choice(&steps).expect("a scenario has steps");
        self.written(row.form)
    }

    /// An operation of several steps.
    pub(super) fn operation(&mut self) -> String {
        let form = self.rng.choice(OPERATIONS).expect("there are operations").form;
        self.written(form)
    }

    /// What a form stands for.
    pub(super) fn written(&mut self, form: &str) -> String {
        let words: Vec<_> = form.split(' ').filter_map(|word| self.word(word)).collect();
        words.join(" ")
    }

    fn word(&mut self, word: &str) -> Option<String> {
        match word.strip_prefix('[') {
            Some("UNDER]") if self.things.tags.is_empty() => None,
            None => Some(self.placed(word)),
            Some(_) if self.rng.bool() => None,
            Some(word) => Some(self.placed(word.trim_end_matches(']'))),
        }
    }

    fn placed(&mut self, word: &str) -> String {
        let none = self.once_in(5);
        let things = &self.things;
        let names = match word {
            "PAGE" => things.pages.clone(),
            "TO" => return format!("to {}", self.one(&things.pages.clone())),
            "PMD" => things.pmds.clone(),
            "PASID" => things.pasids.clone(),
            "TAG" => things.tags.clone(),
            "UNDER" => return format!("tag {}", self.one(&things.tags.clone())),
            "CONTEXT" => things.contexts.clone(),
            "MM" if none => vec!["none"],
            "MM" => things.mms.clone(),
            "LOCK" => return self.lock(),
            "LABEL" => vec!["out"],
            "OTHERWISE" => return "else out".to_owned(),
            "DEV" => things.devices.clone(),
            "ENTRY" => return self.entry(),
            "BITS" => return self.bits(),
            "VALUE" => return self.rng.u32(0..4).to_string(),
            "HANDLE" => vec!["h", "i"],
            "FRAME" => return self.frame(),
            "CPUS" => return self.whose(&["own", "others"], &self.things.cpus.clone()),
            "CPU" => things.cpus.clone(),
            "DEVICE" => return self.whose(&[], &self.things.devices.clone()),
            "VCPU" => return self.whose(&[], &self.things.vcpus.clone()),
            "ORDER" => return self.order(),
            _ => {
                assert!(!word.chars().all(|letter| letter.is_ascii_uppercase()), "what is a {word}?");
                return word.to_owned();
            }
        };
        self.one(&names).to_owned()
    }

    fn order(&mut self) -> String {
        self.one(&["\"no-notify\"", "\"notify-before-clear\"", "\"free-before-notify\""]).to_owned()
    }

    fn whose(&mut self, words: &[&'static str], users: &[&'static str]) -> String {
        match self.rng.choice(words) {
            Some(word) if self.rng.bool() => (*word).to_owned(),
            Some(_) | None => format!("on {}", self.one(users)),
        }
    }

    fn lock(&mut self) -> String {
        match self.rng.bool() {
            true => "L".to_owned(),
            false => format!("ptl({})", self.one(&self.things.pages.clone())),
        }
    }

    fn frame(&mut self) -> String {
        let frames = self.things.frames.clone();
        let named = match self.rng.u32(0..10) {
            0 => self.things.tables.clone(),
            1 => self.things.slots.clone(),
            2 | 3 => vec!["h", "i"],
            _ => frames.clone(),
        };
        self.rng.choice(&named).map_or_else(|| self.one(&frames).to_owned(), |name| (*name).to_owned())
    }

    /// Some bits, each there or cleared.
    fn bits(&mut self) -> String {
        let mut said = vec![self.one(&["rw", "ro"]).to_owned()];
        for bit in self.things.bits.clone().into_iter().filter(|bit| *bit != "rw") {
            match self.rng.u32(0..4) {
                0 => said.push(format!("-{bit}")),
                1 => said.push(bit.to_owned()),
                _ => {}
            }
        }
        said.join(" ")
    }

    fn bits_there(&mut self) -> String {
        let bits = self.bits();
        let there: Vec<_> = bits.split(' ').filter(|bit| !bit.starts_with('-')).collect();
        there.join(" ")
    }

    pub(super) fn huge(&mut self) -> String {
        format!("{} {}{HUGE}", self.one(&self.things.frames.clone()), self.bits_there())
    }

    /// An entry that is there at the start.
    pub(super) fn start_entry(&mut self) -> String {
        let frame = self.one(&self.things.frames.clone());
        match self.rng.u32(0..8) {
            0 => "none".to_owned(),
            1 => "marker".to_owned(),
            2 => format!("migration {frame} {}", self.bits_there()),
            3 if !self.things.slots.is_empty() => self.one(&self.things.slots.clone()).to_owned(),
            _ => format!("{frame} {}", self.bits_there()),
        }
    }

    /// An entry that a program writes.
    fn entry(&mut self) -> String {
        let frame = self.frame();
        let orig = self.one(&["orig", "migration orig"]);
        match self.rng.u32(0..10) {
            0 => orig.to_owned(),
            1 => format!("{orig} {}", self.bits()),
            2 => format!("{frame} like orig {}", self.bits()),
            3 if !self.things.tables.is_empty() => self.one(&self.things.tables.clone()).to_owned(),
            4 if !self.things.pmds.is_empty() => self.huge(),
            5 => format!("{} {}", self.one(&["h", "i"]), self.bits()),
            6 if !self.things.slots.is_empty() => format!("{} exclusive", self.one(&["s0", "s0"])),
            _ => self.start_entry(),
        }
    }

    fn look(&mut self) -> String {
        let handles = ["h", "i"];
        match self.rng.u32(0..8) {
            0 => self.one(&handles).to_owned(),
            1 | 2 if !self.things.vars.is_empty() => self.one(&self.things.vars.clone()).to_owned(),
            _ => {
                let (form, _) = self.rng.choice(LOOKS).expect("there are looks");
                self.looked(form)
            }
        }
    }

    fn looked(&mut self, form: &str) -> String {
        if SAME.iter().any(|word| form.starts_with(word)) {
            return self.written(form);
        }
        let (name, places) = form.trim_end_matches(')').split_once('(').expect("a look has places");
        let devices = self.things.devices.clone();
        let vcpus = self.things.vcpus.clone();
        let users: Vec<_> = self.things.cpus.iter().chain(&devices).copied().collect();
        let places: Vec<_> = places
            .split(", ")
            .map(|place| match place {
                "DEVICE" => self.one(&devices).to_owned(),
                "VCPU" => self.one(&vcpus).to_owned(),
                "CPU" if name == "pwc" => self.one(&users).to_owned(),
                "FRAME" => self.one(&self.things.frames.clone()).to_owned(),
                other => self.placed(other),
            })
            .collect();
        format!("{name}({})", places.join(", "))
    }

    /// A comparison, or two.
    pub(super) fn condition(&mut self) -> String {
        let look = self.look();
        let feature = self.one(&Feature::words());
        let sign = self.one(&["==", "!=", "<", "<=", ">", ">="]);
        let one = match self.rng.u32(0..6) {
            0 => look,
            1 => format!("{look} == none"),
            2 => format!("{look} has {feature}"),
            3 => format!("{look} == {}", self.start_entry()),
            _ => format!("{look} {sign} {}", self.rng.u32(0..3)),
        };
        match self.rng.u32(0..8) {
            0 => format!("!({one})"),
            1 => format!("{one} && {}", self.condition()),
            2 => format!("{one} || {}", self.condition()),
            _ => one,
        }
    }
}
