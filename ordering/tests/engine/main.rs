//! The explorer against a plain one that shares nothing with it, on protocols with known counts and on random models.

mod catalogue;
mod counts;
mod ends;
mod naive;
mod outcomes;
mod parts;
mod random;
mod reductions;
mod returned;
mod scenarios;
