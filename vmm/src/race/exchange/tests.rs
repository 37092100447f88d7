//! An exchange, with the guest's part played by the test.

use super::*;

#[test]
fn an_answer_is_there_once_its_count_is_and_says_what_came_of_it() {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let exchange = Exchange { memory: Arc::clone(&memory), at: PhysAddr(0x1000) };
    let number = exchange.ask(Deed::Store(VirtAddr(0x4000), 7));
    assert_eq!(number, 1);
    assert_eq!(exchange.load(player::DEED), player::STORE);
    assert_eq!((exchange.load(player::ADDRESS), exchange.load(player::VALUE)), (0x4000, 7));

    exchange.store(player::OUTCOME, player::DONE);
    assert_eq!(exchange.answer(number), None);
    exchange.store(player::ANSWERED, 1);
    assert_eq!(exchange.answer(number), Some(Answer::Done(7)));

    let number = exchange.ask(Deed::Load(VirtAddr(0x5000)));
    assert_eq!(exchange.answer(number), None, "the answer before is no answer");
    exchange.store(player::OUTCOME, player::REFUSED);
    exchange.store(player::ANSWERED, 2);
    assert_eq!(exchange.answer(number), Some(Answer::Refused));
}
