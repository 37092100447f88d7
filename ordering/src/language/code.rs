//! The number of each error of the language: what stands in `error[AI0012]`.
//!
//! Invariant: a number keeps its meaning for ever; one that is not used any more is not given again. What each means, with
//! an example of it, is in [`super::explain`].

use std::fmt;
use std::str::FromStr;

/// How a code is written before its number.
const PREFIX: &str = "AI";

/// Declares the codes, and the list of all.
macro_rules! codes {
    ($($(#[doc = $about:literal])+ $name:ident = $number:literal,)+) => {
        /// One kind of error.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Code {
            $($(#[doc = $about])+ $name = $number,)+
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What it is, in one line.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($about),+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// A letter that no word begins with.
    MeansNothing = 1,
    /// A text in quotes without an end.
    OpenText = 2,
    /// A number that no place takes.
    NumberTooLarge = 3,
    /// A carriage return inside of a line.
    LoneReturn = 4,
    /// Tabs and blanks before the rows of one program.
    MixedMargin = 5,
    /// A line that begins with no keyword.
    NoKeyword = 6,
    /// A file without a scenario.
    NoScenario = 7,
    /// A line above the first scenario.
    OutsideScenario = 8,
    /// A step outside of every program.
    StepOutside = 9,
    /// A scenario without a name that can be read.
    BadTitle = 10,
    /// Something else stands where a form wants a word or a sign.
    Expected = 11,
    /// A step that is not in the language.
    UnknownStep = 12,
    /// A line that says again what was said.
    SaidTwice = 13,
    /// A name for two things.
    DeclaredTwice = 14,
    /// Two scenarios of one name.
    ScenarioTwice = 15,
    /// A table without a head.
    EmptyTable = 16,
    /// A row with another number of cells than its head.
    WrongCells = 17,
    /// A program that is too long.
    TooManyRows = 18,
    /// Blocks or parentheses in too many others.
    NestsTooDeep = 19,
    /// A `:` with nothing behind it.
    EmptyBody = 20,
    /// A `repeat` that says no bound.
    UnboundedRepeat = 21,
    /// A range whose end comes first.
    BackwardRange = 22,
    /// An `else` without its `if`.
    OrphanElse = 23,
    /// Two labels of one name in one block.
    LabelTwice = 24,
    /// Rows named as a range of numbers.
    HalfOpenRows = 25,
    /// A condition with too many parts or cases.
    WideCondition = 26,
    /// What no entry can have.
    UnknownFeature = 27,
    /// What can never happen, as no step is called so.
    UnknownEvent = 28,
    /// An expected violation of what is no property.
    NoProperty = 29,
    /// A variable that begins outside of its range.
    OutsideRange = 30,
    /// An option that is not in the language.
    UnknownOption = 31,
    /// A value that an option does not have.
    UnknownValue = 32,
    /// Something other than a number is added.
    NotANumber = 33,
    /// An order that an operation does not have.
    UnknownOrder = 34,
    /// A variant of a scenario that is not above it.
    UnknownBase = 35,
    /// Variants that take over too much together.
    TakesOverTooMuch = 36,
    /// An agent that the scenario does not have.
    UnknownAgent = 37,
    /// A row that a program does not have.
    UnknownRow = 38,
    /// Rows that are moved into themselves or behind the end.
    BadMove = 39,
    /// A name that nothing declares.
    Undeclared = 40,
    /// A PASID where a context entry is meant, or the other way round.
    WrongDirectory = 41,
    /// A page that is called as all pages are.
    AnyIsTaken = 42,
    /// A label that nothing bears.
    UnknownLabel = 43,
    /// A lock that nobody takes.
    UnknownLock = 44,
    /// A handle that nothing fills.
    NeverTaken = 45,
    /// An agent that is called as hardware is.
    HardwareName = 46,
    /// An entry that does not say whether it is writable.
    NoPermission = 47,
    /// A bit that this kind of entry has no room for.
    NoSuchBit = 48,
    /// A marker that marks nothing.
    EmptyMarker = 49,
    /// A migration entry of what cannot be migrated.
    Unmigratable = 50,
    /// `orig` where nobody remembers one.
    OrigOfNothing = 51,
    /// A step that would change the size of a mapping.
    NeverHuge = 52,
    /// An entry at a height at which it cannot stand.
    WrongHeight = 53,
    /// An upper entry that names two page-table pages.
    TableTwice = 54,
    /// A page-table page of both tables.
    TableInBoth = 55,
    /// A page without a page-table page above it.
    NoEntry = 56,
    /// A page whose entry is another page's.
    SharedEntry = 57,
    /// A page-table page of the kernel in the shadow page table.
    OrigInShadow = 58,
    /// A shadow entry that is not declared.
    NoShadow = 59,
    /// The content of a page-table page.
    TableContent = 60,
    /// Bits of what is no entry.
    NoBits = 61,
    /// A number added to an entry.
    NotAddable = 62,
    /// A comparison of what cannot be compared.
    Incomparable = 63,
    /// A look that is not in the language.
    UnknownLook = 64,
    /// A property that asks for what an agent remembers.
    Remembered = 65,
    /// A cache that its user does not have.
    NoCache = 66,
    /// A cache under a tag that its CPU never uses.
    NeverUnderTag = 67,
    /// What no variable can be set to.
    NoValue = 68,
    /// A property that an option switches off.
    SwitchedOff = 69,
    /// A property that no state can break.
    AlwaysHolds = 70,
    /// A property of an event that no program has.
    NeverHappens = 71,
    /// An expected violation of a property that is not asked for.
    UnknownProperty = 72,
    /// A verdict is expected and nothing asked.
    NothingAsked = 73,
    /// A scenario in which nobody does anything.
    NoProgram = 74,
    /// A step that its agent cannot take.
    WrongActor = 75,
    /// A step that needs a CPU's TLB, of an agent without one.
    NoCpu = 76,
    /// A cache of another kind of user.
    WrongUser = 77,
    /// An invalidation at a device that does not use the PASID.
    UnusedPasid = 78,
    /// A page in no address space, where one is needed.
    NoSpace = 79,
    /// A range of pages that are not one after the other.
    BackwardPages = 80,
    /// A posted invalidation of the CPU that takes it.
    PostedOwn = 81,
    /// A wait for nothing.
    NothingPosted = 82,
    /// Tags where the CPU has none.
    NoTags = 83,
    /// A page at an address that it cannot have.
    WrongPlace = 84,
    /// An answer to a request that no device makes.
    NeverRequested = 85,
    /// Steps that cannot be one.
    Indivisible = 86,
    /// A scenario whose states do not fit.
    StateTooLarge = 87,
    /// Too many things of one kind.
    TooManyThings = 88,
    /// A variable or a count with too many values.
    TooManyValues = 89,
    /// Too many different page-table entries.
    TooManyEntries = 90,
    /// A program that unfolds to too much.
    ProgramTooLarge = 91,
    /// A step with too many cases.
    TooManyCases = 92,
    /// A row of a trace that cannot be taken there.
    CannotHappen = 93,
    /// An index that no `sweep` and no `for` gives a value.
    UnknownParameter = 94,
    /// A parameter or an index where a name is expected.
    ParameterAsName = 95,
    /// An index without a value that a name can end with.
    IndexOutside = 96,
    /// A sweep over too many combinations.
    TooManyCombinations = 97,
    /// Sweeps and `for` that make too much of a file.
    UnfoldsTooMuch = 98,
    /// A combination of which two verdicts are expected, or none.
    ExpectedTwice = 99,
    /// A verdict that is expected of no combination.
    ExpectedNever = 100,
    /// A line that a scenario has once, where there may be several of it.
    StandsOnce = 101,
}

impl Code {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:04}", self.number())
    }
}

/// A word that is no code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCode;

impl FromStr for Code {
    type Err = NoCode;

    /// Reads `AI0012`, in any case, or its number alone.
    fn from_str(word: &str) -> Result<Self, NoCode> {
        let upper = word.to_ascii_uppercase();
        let number: u16 = upper.strip_prefix(PREFIX).unwrap_or(&upper).parse().map_err(|_| NoCode)?;
        Self::ALL.iter().find(|code| code.number() == number).copied().ok_or(NoCode)
    }
}
