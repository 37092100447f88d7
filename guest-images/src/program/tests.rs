//! Every program is there.

use super::Program;

#[test]
fn the_programs_are_different_and_not_empty() {
    let images = [Program::Coherence, Program::Probe, Program::FirstOutput].map(Program::code);
    assert!(images.iter().all(|image| !image.is_empty()));
    assert_ne!(images[0], images[1]);
    assert_ne!(images[1], images[2]);
}
