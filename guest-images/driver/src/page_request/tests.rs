//! Requests and answers, held against words written by hand.

use super::{Answer, Asked};
use crate::id::{Iova, Pasid, Source};

const ASKED: Asked = Asked {
    source: Source(0x0108),
    pasid: Some(Pasid(0x12345)),
    page: Iova(0x7_8000),
    group: 0x1ab,
    is_last: true,
    reads: true,
    writes: false,
};

#[test]
fn a_request_is_read_field_by_field() {
    let (low, high) = (0x0001_2345_0108_0101, 0x7_8000 | 0x1ab << 3 | 0b101);
    assert_eq!(Asked::decode(low, high), ASKED);
    assert!(!ASKED.is_stop_marker());
    assert!(Asked::decode(low, 0b100).is_stop_marker());
    assert_eq!(Asked::decode(low & !(1 << 8), high).pasid, None);
}

#[test]
fn an_answer_names_the_process_and_the_group() {
    assert_eq!(ASKED.answer(Answer::Success), [0x0001_2345_0108_0019, 0x1ab << 3 | 1 << 2, 0, 0]);
    assert_eq!(ASKED.answer(Answer::Failure)[0], 0x0001_2345_0108_f019);
    assert_eq!(Asked { pasid: None, ..ASKED }.answer(Answer::Invalid)[0], 0x0108_1009);
}
