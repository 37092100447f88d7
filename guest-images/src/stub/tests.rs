//! The handler table leads where it should.

use super::*;

#[test]
fn every_handler_lies_behind_the_table_and_inside_the_image() {
    let table = 4 * (SLOT_SPURIOUS as u64 + 1);
    for number in 0..=u8::MAX {
        let offset = handler(number);
        assert!(
            (table..code().len() as u64).contains(&offset),
            "vector {number} has its handler at {offset:#x}"
        );
    }
}

#[test]
fn the_vectors_with_a_meaning_have_handlers_of_their_own() {
    let named = [vector::INVALID_OPCODE, vector::PAGE_FAULT, vector::KICK, vector::SPURIOUS];
    for (i, a) in named.iter().enumerate() {
        for b in &named[i + 1..] {
            assert_ne!(handler(*a), handler(*b), "vectors {a} and {b} share a handler");
        }
    }
}

#[test]
fn an_exception_with_an_error_code_pushes_no_second_one() {
    let push_imm8 = 0x6a;
    let byte = |vector: u8, at: usize| code()[usize::try_from(handler(vector)).unwrap() + at];
    assert_eq!((byte(13, 0), byte(13, 1)), (push_imm8, 13), "#GP pushes its own error code");
    assert_eq!((byte(0, 0), byte(0, 1), byte(0, 3)), (push_imm8, 0, 0), "#DE needs a zero in its place");
}
