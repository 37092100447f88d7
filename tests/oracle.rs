//! The explorer against another one: random scenarios are written twice, in the scenario language and in Promela, and
//! Spin must find what our explorer finds: the same verdict, and a shortest violation of the same length.
//!
//! Invariant: the translator is written from docs/language.md alone and shares nothing with the crate `ordering`: no
//! parser, no table of steps, no search. A scenario has an AST of its own here.
//!
//! `never livelock` is no safety property: it is not compared, and every scenario switches it off.
//!
//! A scenario is named by its seed. `AFTERIMAGE_ORACLE=first..last` tries other ones, as many as one likes; a failure
//! prints the seed, the scenario with the fewest rows that still fails, what either side says, and the line that replays
//! it. Without `spin` or a C compiler the tests say so and pass, except where `CI` is `true`.
//!
//! Read in this order: `entry`, `step`, `program`, `setting` (what a scenario is), `random` (random ones), `flow` and `promela`
//! (the translation), `spin` and `explorer` (who decides), `agreement` (side by side).

#[cfg(test)]
mod oracle {
    mod entry;
    mod program;
    mod setting;
    mod step;

    mod random;

    mod flow;
    mod promela;

    mod explorer;
    mod spin;

    mod agreement;
    mod census;
    mod shrink;
}
