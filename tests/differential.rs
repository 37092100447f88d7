//! The model against the live machine: random sequential programs of steps run on both, and after every step both must
//! be in the same state.
//!
//! Invariant: neither side is asked what the other should do. The model takes a step by its text, the machine by a call
//! of its own; what they answer (done, a value, waits, met a freed frame) and what can be looked at afterwards (entries,
//! caches, locks, counts, contents) is compared as text.
//!
//! A program is named by its seed. `AFTERIMAGE_DIFFERENTIAL=first..last` runs other ones, as many as one likes; a failure
//! prints the seed, the shortest part of its program that still fails, and a scenario that replays it on the model.
//!
//! Read in this order: `setting` (what there is), `act` (what can be done), `program` (random ones), `operation`, `model` and `machine`
//! (the two sides), `lockstep` (side by side), `scenario` (as text).

#[cfg(test)]
mod differential {
    mod act;
    mod lockstep;
    mod machine;
    mod model;
    mod operation;
    mod program;
    mod scenario;
    mod setting;

    mod agreement;
}
