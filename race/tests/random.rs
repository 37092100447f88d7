//! Random scenarios on the live machine: whatever the language can say agrees with the model, and nothing panics.
//!
//! Invariant: scenarios are drawn from the tables of the language, so that a step, an option, a bit or a look that is new
//! is drawn as soon as it has a row. Lines that the language refuses are left out, and what is left is run.
//!
//! A scenario is named by its seed. `AFTERIMAGE_RACE=first..last` tries other ones; a failure prints the seed and the
//! fewest lines that still fail.

#[cfg(test)]
mod random {
    mod census;
    mod draw;
    mod program;
    mod run;
    mod step;
    mod things;
}
