//! Random scenarios, each from its seed.
//!
//! Invariant: a scenario is one that the language accepts, is small, and uses what its themes are about; the theme that
//! its seed names comes first, so that every theme is drawn equally often.

mod kernel;
mod look;
mod property;
mod replacement;
mod things;
mod user;

use fastrand::Rng;

use super::program::Statement;
use super::setting::{Agent, Place, Scenario};
use super::step::{Invalidation, Step};

/// What a scenario is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Theme {
    Cpu,
    Device,
    Apart,
    Vcpu,
    ExplicitVcpu,
    Pasid,
    Requests,
    Upper,
    Gup,
    Sections,
    Bits,
    Swap,
    Counts,
    Control,
    Posted,
    Tso,
    Tags,
}

pub(super) const THEMES: [Theme; 17] = [
    Theme::Cpu,
    Theme::Device,
    Theme::Apart,
    Theme::Vcpu,
    Theme::ExplicitVcpu,
    Theme::Pasid,
    Theme::Requests,
    Theme::Upper,
    Theme::Gup,
    Theme::Sections,
    Theme::Bits,
    Theme::Swap,
    Theme::Counts,
    Theme::Control,
    Theme::Posted,
    Theme::Tso,
    Theme::Tags,
];

/// Draws a scenario.
struct Draw {
    rng: Rng,
    themes: Vec<Theme>,
    scenario: Scenario,
    /// The pages to which handles belong.
    handles: Vec<(usize, usize)>,
}

impl Draw {
    fn has(&self, theme: Theme) -> bool {
        self.themes.contains(&theme)
    }

    /// One time in `of`.
    fn once_in(&mut self, of: u32) -> bool {
        self.rng.u32(0..of) == 0
    }

    fn one<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(0..from.len())]
    }

    fn agents(&mut self) {
        self.agent("a0", Place::Cpu(0));
        let mut places = self.users();
        self.rng.shuffle(&mut places);
        let most = self.rng.usize(1..3);
        for (number, place) in places.into_iter().take(most).enumerate() {
            self.agent(["a1", "a2"][number], place);
        }
    }

    /// Where agents beside the first one may run: whoever the themes are about comes first.
    fn users(&mut self) -> Vec<Place> {
        let scenario = &self.scenario;
        let mut places: Vec<_> = (0..scenario.devices.len()).map(Place::Device).collect();
        places.extend((0..scenario.vcpus).map(Place::Vcpu));
        if places.is_empty() || self.once_in(3) {
            let cpus = self.scenario.cpus;
            places.extend((0..cpus).map(Place::Cpu));
            places.push(Place::Nowhere);
        }
        places
    }

    fn agent(&mut self, name: &str, place: Place) {
        let number = self.scenario.agents.len();
        let spontaneous = number > 0 && self.once_in(2) && !matches!(place, Place::Device(_));
        self.scenario.agents.push(Agent { name: name.to_owned(), place, spontaneous, body: Vec::new() });
        let is_user = match place {
            Place::Device(_) => true,
            Place::Vcpu(_) | Place::Cpu(_) if number > 0 => self.rng.u32(0..3) > 0,
            Place::Vcpu(_) | Place::Cpu(_) | Place::Nowhere => false,
        };
        if number == 0 && self.rng.u32(0..5) < 2 {
            let mut body = self.replacement();
            body.extend(self.brought().map(Statement::Step));
            self.scenario.agents[number].body = body;
            return;
        }
        let length = self.rng.usize(2..5);
        let mut body: Vec<Statement> = Vec::new();
        while body.len() < length {
            let more = if is_user { self.user(number, place) } else { self.kernel(number) };
            body.extend(more);
        }
        if !matches!(place, Place::Device(_)) {
            body = self.controlled(number, body);
        }
        if self.themes[0] == Theme::Requests && place == Place::Device(0) {
            body.insert(0, Statement::Step(Step::PageRequest(self.page())));
        }
        if number == 0 {
            let place = self.rng.usize(0..=body.len());
            let brought = self.brought();
            body.splice(place..place, brought.map(Statement::Step));
        }
        self.scenario.agents[number].body = body;
    }

    /// A step that would be rare otherwise.
    fn brought(&mut self) -> Option<Step> {
        let page = self.page();
        match self.themes[0] {
            Theme::Requests if self.rng.u32(0..3) == 0 => Some(Step::DrainRequests),
            Theme::Requests => Some(Step::PageResponse(page)),
            Theme::Tso => Some(Step::Fence),
            Theme::Upper => {
                Some(Step::Invalidate { what: Invalidation::FlushTlb(page), leaf: true, post: false })
            }
            Theme::Cpu
            | Theme::Device
            | Theme::Apart
            | Theme::Vcpu
            | Theme::ExplicitVcpu
            | Theme::Pasid
            | Theme::Gup
            | Theme::Sections
            | Theme::Bits
            | Theme::Swap
            | Theme::Counts
            | Theme::Control
            | Theme::Tags
            | Theme::Posted => None,
        }
    }
}

/// The seeds of scenarios that are first of all about `theme`; without one, all of them.
pub(super) fn seeds(theme: Option<Theme>) -> impl Iterator<Item = u64> {
    let is_first = move |seed: &u64| theme.is_none_or(|theme| first_theme(*seed) == theme);
    (0..).filter(is_first)
}

fn first_theme(seed: u64) -> Theme {
    THEMES[usize::try_from(seed).expect("seeds are small") % THEMES.len()]
}

/// The scenario of this seed.
pub(super) fn scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed);
    let mut themes = vec![first_theme(seed)];
    while themes.len() < 3 && rng.bool() {
        themes.push(THEMES[rng.usize(0..THEMES.len())]);
    }
    // What is kept of upper entries has no tags: a CPU with tags goes to no page under one.
    let has_tags = themes.contains(&Theme::Tags);
    themes.retain(|theme| *theme != Theme::Upper || !has_tags);
    let mut draw = Draw { rng, themes, scenario: things::nothing(), handles: Vec::new() };
    draw.things();
    draw.options();
    draw.agents();
    draw.options_of_steps();
    draw.properties();
    draw.scenario
}
