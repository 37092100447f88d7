//! A set of small numbers: values of a variable, variables of a model.
//!
//! Invariant: numbers at or above the capacity, a multiple of 64, are never in it. Numbers below 64 take no memory of
//! their own: few variables have more values.

/// Numbers in a word.
const WORD: usize = 64;

/// A set of numbers below a capacity of at least 64.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits {
    first: u64,
    /// Those from 64 on.
    rest: Vec<u64>,
}

impl Bits {
    /// None of `capacity` numbers.
    pub(super) fn none(capacity: usize) -> Self {
        Self { first: 0, rest: vec![0; capacity.div_ceil(WORD).saturating_sub(1)] }
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        let word = if number < WORD { Some(&self.first) } else { self.rest.get(number / WORD - 1) };
        word.is_some_and(|word| word >> (number % WORD) & 1 == 1)
    }

    /// A number above the capacity is left out.
    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.word(number) {
            *word |= 1 << (number % WORD);
        }
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.word(number) {
            *word &= !(1 << (number % WORD));
        }
    }

    fn word(&mut self, number: usize) -> Option<&mut u64> {
        if number < WORD { Some(&mut self.first) } else { self.rest.get_mut(number / WORD - 1) }
    }

    fn words(&self) -> impl Iterator<Item = &u64> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    fn words_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        std::iter::once(&mut self.first).chain(&mut self.rest)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        for (index, word) in self.words_mut().enumerate() {
            *word = ones(*word).filter(|bit| keep(index * WORD + bit)).fold(0, |word, bit| word | 1 << bit);
        }
    }

    /// Adds those of `other`; whether any was new.
    pub(super) fn extend(&mut self, other: &Self) -> bool {
        let mut grown = false;
        for (mine, theirs) in self.words_mut().zip(other.words()) {
            grown |= theirs & !*mine != 0;
            *mine |= theirs;
        }
        grown
    }

    /// Adds those of `other`, whatever its capacity.
    pub(super) fn join(&mut self, other: &Self) {
        self.rest.resize(self.rest.len().max(other.rest.len()), 0);
        self.extend(other);
    }

    /// Whether both have a number.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.words().zip(other.words()).any(|(mine, theirs)| mine & theirs != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words().all(|&word| word == 0)
    }

    pub(super) fn len(&self) -> usize {
        self.words().map(|word| word.count_ones() as usize).sum()
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words().enumerate().flat_map(|(index, &word)| ones(word).map(move |bit| index * WORD + bit))
    }
}

/// The bits of a word that are set, in ascending order.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < WORD).then_some(bit)
    })
}
