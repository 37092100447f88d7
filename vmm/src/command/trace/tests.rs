//! How a file for a trace is named, and what is said of one that is not whole.

use std::io::ErrorKind;

use tracks::trace::LeftOut;

use super::{Blamed, Conclusion, LIMIT, told, words};
use crate::spool::Account;

#[test]
fn a_name_may_have_commas_and_a_limit() {
    let read = |text: &str| words(text).map(|words| (words.name, words.limit_bytes));
    assert_eq!(read("a.json"), Ok(("a.json".to_owned(), LIMIT)));
    assert_eq!(read("a,b.json,limit=1M"), Ok(("a,b.json".to_owned(), 1 << 20)));
    for (wrong, what) in [
        ("a.json,limit=", "a size"),
        ("a.json,limit=4", "at least"),
        (",limit=1M", "name a file"),
        ("a.scn", "scenario"),
    ] {
        assert!(read(wrong).is_err_and(|message| message.contains(what)), "{wrong}");
    }
}

#[test]
fn what_is_missing_is_told_with_its_number_and_a_failure_has_its_author() {
    let of = |behind_limit, not_taken, unwritten, failure| Conclusion {
        left_out: LeftOut { behind_limit, not_taken },
        account: Account { lost: 0, unwritten, failure },
    };
    assert_eq!(told("f", &of(0, 0, 0, None)), []);
    for (conclusion, blamed, part) in [
        (of(7, 0, 0, None), vec![Blamed::Nobody], "7 events are left out"),
        (of(7, 3, 0, None), vec![Blamed::Nobody; 2], "3 events and 0 bytes of the trace are lost"),
        (of(0, 0, 9, None), vec![Blamed::Nobody], "9 bytes of the trace are lost"),
        (of(0, 0, 0, Some(ErrorKind::BrokenPipe)), vec![Blamed::Reader], "gone away"),
        (of(0, 3, 0, Some(ErrorKind::StorageFull)), vec![Blamed::Host], "make room"),
    ] {
        let told = told("f", &conclusion);
        assert_eq!(told.iter().map(|lack| lack.blamed).collect::<Vec<_>>(), blamed);
        assert!(told.iter().any(|lack| lack.text.contains(part)), "{told:?}");
    }
}
