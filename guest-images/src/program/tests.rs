//! Every program is there.

use std::collections::HashSet;

use super::Program;

#[test]
fn the_programs_are_different_and_not_empty() {
    let programs = [Program::Coherence, Program::Probe, Program::FirstOutput, Program::Player];
    let images: HashSet<_> = programs.map(Program::code).into_iter().collect();
    assert!(images.iter().all(|image| !image.is_empty()));
    assert_eq!(images.len(), programs.len());
}
