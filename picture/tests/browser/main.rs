//! Pages in a browser: what is drawn, what keys and clicks do, what hostile names cannot do. Without chromium the tests say
//! "skipped: ..." and pass.
//!
//! Invariant: boxes, texts and states of elements are looked at, never pixels: no font of a machine changes an answer.

mod chromium;
mod drawn;
mod hostile;
mod pages;
mod stepping;
mod zoo;
