//! An address space that ends late: no test can have its release come when its PASID stands for another one.

use super::Generation;
use crate::sva::tests::fixture::{PAGE, fixture, pasid, space};
use mmu::address_space::SpaceOptions;

#[test]
fn the_release_of_a_former_binding_leaves_the_one_that_stands() {
    let mut fixture = fixture();
    let other = space(fixture.driver.frames(), 2, SpaceOptions::default());
    fixture.driver.unbind(pasid());
    fixture.driver.bind(pasid(), &other).unwrap();
    fixture.driver.release(pasid(), Generation(1));
    assert!(fixture.port.read(PAGE).is_ok(), "the second binding was not meant");
    fixture.driver.release(pasid(), Generation(2));
    assert!(fixture.port.read(PAGE).is_err());
}
