//! Random models: small, with branches, loops, blocking, interchangeable agents and every kind of property.
//!
//! Invariant: the same seed gives the same model.

use ordering::model::{
    Agent, Alternative, Check, Guard, Instruction, Mark, MarkId, Member, Model, Pc, Property, PropertyId,
    Statement, Symmetry, Update, Var, Variable,
};

/// Draws from a seed.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn value(&mut self, sizes: &[usize], var: Var) -> u32 {
        number(self.below(sizes[usize::from(var.0)]))
    }
}

/// What a model is made of.
struct Shape {
    /// Domain of each variable: the shared ones, then those of each twin.
    sizes: Vec<usize>,
    shared: usize,
    twins: usize,
    own: usize,
    /// Properties that steps break.
    step_properties: usize,
}

/// A model from a seed.
pub(crate) fn model(seed: u64) -> Model {
    let random = &mut Random::new(seed);
    let shape = shape(random);
    let variable = |(index, &size): (usize, &usize)| Variable {
        name: format!("v{index}"),
        values: (0..size).map(|value| value.to_string()).collect(),
        initial: 0,
    };
    let mut variables: Vec<Variable> = shape.sizes.iter().enumerate().map(variable).collect();
    for variable in &mut variables[..shape.shared] {
        variable.initial = number(random.below(variable.values.len()));
    }
    let (mut agents, symmetries) = twins(random, &shape);
    let singles = 1 + random.below(if shape.twins == 0 { 3 } else { 2 });
    for index in 0..singles {
        let visible = shape.visible_to_singles(random);
        agents.push(agent(random, &shape, &visible, format!("s{index}")));
    }
    let mut model =
        Model { variables, agents, properties: properties(random, &shape), symmetries, marks: Vec::new() };
    if seed % 8 == 7 {
        widen(random, &mut model, shape.twins);
    }
    mark(random, &mut model);
    model
}

/// Marks for all ways: one of its own each, or one that a few ways share.
fn mark(random: &mut Random, model: &mut Model) {
    let mut count = 0;
    for (agent, program) in model.agents.iter_mut().enumerate() {
        for way in program.program.iter_mut().flat_map(|instruction| &mut instruction.alternatives) {
            if count == 0 || !random.one_in(4) {
                let text = format!("way {count}");
                model.marks.push(Mark::Statement(Statement { agent, row: 0, line: 0, text }));
                count += 1;
            }
            way.marks = vec![MarkId(index_of(count - 1))];
        }
    }
}

/// Flags that make a state too large for 63 bits.
const FLAGS: usize = 64;

/// Gives the agents behind the twins flags that they set, and here and there ask for.
fn widen(random: &mut Random, model: &mut Model, twins: usize) {
    let first = model.variables.len();
    let flag = |index: usize| Var(index_of(first + index));
    let values = || ["no", "yes"].map(str::to_owned).to_vec();
    let flags = (0..FLAGS).map(|index| Variable { name: format!("f{index}"), values: values(), initial: 0 });
    model.variables.extend(flags);
    for agent in &mut model.agents[twins..] {
        for (pc, instruction) in agent.program.iter_mut().enumerate() {
            for alternative in &mut instruction.alternatives {
                let set: Vec<usize> = if pc == 0 { (0..FLAGS).collect() } else { vec![random.below(FLAGS)] };
                let update = |index: usize| {
                    Update::Set(flag(index), if pc == 0 { 1 } else { number(random.below(2)) })
                };
                alternative.updates.extend(set.into_iter().map(update));
                if random.one_in(4) {
                    alternative.guard.push(Guard::Is(flag(random.below(FLAGS)), number(random.below(2))));
                }
            }
            // What nothing reads is no part of a state: this way reads all of them, and is never taken.
            if let Some(alternative) = instruction.alternatives.first().filter(|_| pc == 0) {
                let both = (0..FLAGS).flat_map(|index| [0, 1].map(|value| Guard::Is(flag(index), value)));
                let never = Alternative { guard: both.collect(), ..alternative.clone() };
                instruction.alternatives.push(never);
            }
        }
    }
}

fn shape(random: &mut Random) -> Shape {
    let shared = 2 + random.below(4);
    let twins = [0, 0, 2, 2, 3][random.below(5)];
    let own = if twins == 0 { 0 } else { random.below(3) };
    let mut sizes: Vec<usize> = (0..shared).map(|_| 2 + random.below(3)).collect();
    let own_sizes: Vec<usize> = (0..own).map(|_| 2 + random.below(2)).collect();
    (0..twins).for_each(|_| sizes.extend(&own_sizes));
    Shape { sizes, shared, twins, own, step_properties: 1 + random.below(2) }
}

impl Shape {
    fn var(index: usize) -> Var {
        Var(index_of(index))
    }

    fn own_vars(&self, twin: usize) -> Vec<Var> {
        (0..self.own).map(|index| Self::var(self.shared + twin * self.own + index)).collect()
    }

    /// Mostly few variables, so that agents are sometimes independent.
    fn visible_to_singles(&self, random: &mut Random) -> Vec<Var> {
        let wanted = 1 + random.below(3);
        (0..wanted).map(|_| Self::var(random.below(self.shared))).collect()
    }
}

/// Copies of one agent, each with variables of its own; sometimes the symmetry is declared though it does not hold.
fn twins(random: &mut Random, shape: &Shape) -> (Vec<Agent>, Vec<Symmetry>) {
    if shape.twins == 0 {
        return (Vec::new(), Vec::new());
    }
    let mut visible = shape.visible_to_singles(random);
    visible.extend(shape.own_vars(0));
    let first = agent(random, shape, &visible, "t0".to_owned());
    let mut agents: Vec<Agent> = (0..shape.twins).map(|twin| renamed(&first, shape, twin)).collect();
    if random.one_in(8) {
        agents[1] = agent(random, shape, &visible, "t1".to_owned());
    }
    let members =
        (0..shape.twins).map(|twin| Member { agents: vec![twin], vars: shape.own_vars(twin) }).collect();
    (agents, vec![Symmetry { members }])
}

fn renamed(agent: &Agent, shape: &Shape, twin: usize) -> Agent {
    let rename = |var: Var| match usize::from(var.0) {
        index if index < shape.shared => var,
        index => Shape::var(index + twin * shape.own),
    };
    let mut agent = agent.clone();
    agent.name = format!("t{twin}");
    for alternative in agent.program.iter_mut().flat_map(|instruction| &mut instruction.alternatives) {
        for guard in &mut alternative.guard {
            *guard = match *guard {
                Guard::Is(var, value) => Guard::Is(rename(var), value),
                Guard::IsNot(var, value) => Guard::IsNot(rename(var), value),
                Guard::Same(one, other) => Guard::Same(rename(one), rename(other)),
                Guard::Differ(one, other) => Guard::Differ(rename(one), rename(other)),
                Guard::Below(var, bound) => Guard::Below(rename(var), bound),
            };
        }
        for update in &mut alternative.updates {
            *update = match *update {
                Update::Set(var, value) => Update::Set(rename(var), value),
                Update::Copy { to, from } => Update::Copy { to: rename(to), from: rename(from) },
                Update::Increment(var) => Update::Increment(rename(var)),
                Update::Decrement(var) => Update::Decrement(rename(var)),
            };
        }
    }
    agent
}

fn agent(random: &mut Random, shape: &Shape, visible: &[Var], name: String) -> Agent {
    let length = 1 + random.below(6);
    let program = (0..length).map(|pc| instruction(random, shape, visible, pc, length)).collect();
    Agent { name, program, spontaneous: random.one_in(4) }
}

fn instruction(random: &mut Random, shape: &Shape, visible: &[Var], pc: usize, length: usize) -> Instruction {
    let count = [1, 1, 1, 2, 2, 3][random.below(6)];
    let alternatives = (0..count).map(|_| alternative(random, shape, visible, pc, length)).collect();
    Instruction { alternatives, may_end: random.one_in(8) }
}

fn alternative(random: &mut Random, shape: &Shape, visible: &[Var], pc: usize, length: usize) -> Alternative {
    let guards = [0, 0, 1, 1, 2][random.below(5)];
    let guard: Vec<Guard> = (0..guards).map(|_| guard(random, shape, visible)).collect();
    let mut updates: Vec<Update> = Vec::new();
    for _ in 0..[0, 1, 1, 2][random.below(4)] {
        let update = update(random, shape, visible);
        if updates.iter().all(|earlier| earlier.written() != update.written()) {
            updates.push(update);
        }
    }
    let next = if random.one_in(6) { random.below(length + 1) } else { pc + 1 };
    // A violation without a guard would be found at once.
    let violates = (guard.len() > 1 && random.one_in(3))
        .then(|| PropertyId(index_of(random.below(shape.step_properties))));
    Alternative {
        guard,
        updates,
        next: Pc(index_of(next)),
        violates,
        text: "step".to_owned(),
        line: 0,
        marks: Vec::new(),
    }
}

fn guard(random: &mut Random, shape: &Shape, visible: &[Var]) -> Guard {
    let (var, other) = (random.pick(visible), random.pick(visible));
    match random.below(8) {
        0..4 => Guard::Is(var, random.value(&shape.sizes, var)),
        4 => Guard::IsNot(var, random.value(&shape.sizes, var)),
        5 => Guard::Same(var, other),
        6 => Guard::Differ(var, other),
        _ => Guard::Below(var, random.value(&shape.sizes, var) + 1),
    }
}

fn update(random: &mut Random, shape: &Shape, visible: &[Var]) -> Update {
    let (to, from) = (random.pick(visible), random.pick(visible));
    match random.below(7) {
        0 => Update::Increment(to),
        1 => Update::Decrement(to),
        2 | 3 if shape.sizes[usize::from(to.0)] == shape.sizes[usize::from(from.0)] => {
            Update::Copy { to, from }
        }
        _ => Update::Set(to, random.value(&shape.sizes, to)),
    }
}

/// The properties of steps first, so that their numbers are known; over states only shared variables are asked about.
fn properties(random: &mut Random, shape: &Shape) -> Vec<Property> {
    let shared: Vec<Var> = (0..shape.shared).map(Shape::var).collect();
    let mut checks = vec![Check::Step; shape.step_properties];
    let formula = |random: &mut Random| -> Vec<Vec<Guard>> {
        let conjunction =
            |random: &mut Random| (0..1 + random.below(2)).map(|_| guard(random, shape, &shared)).collect();
        (0..2 + random.below(3)).map(|_| conjunction(random)).collect()
    };
    if random.one_in(4) {
        checks.push(Check::Always(formula(random)));
    }
    if random.one_in(3) {
        checks.push(Check::Finally(formula(random)));
    }
    if random.one_in(4) {
        checks.push(Check::Deadlock);
    }
    if random.one_in(2) {
        checks.push(Check::Livelock);
    }
    checks.into_iter().map(|check| Property { text: "property".to_owned(), check, line: 0 }).collect()
}

fn number(value: usize) -> u32 {
    u32::try_from(value).expect("random models are small")
}

fn index_of(index: usize) -> u16 {
    u16::try_from(index).expect("random models are small")
}
