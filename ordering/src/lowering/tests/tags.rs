//! CPUs with tags: what a switch keeps, what a flush reaches, and whose translations a tag holds.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\nmm P, Q\ntag X, Y\npage A in P, B in Q at A\nframe f = 0, g = 1\n\
                    map A -> f rw, B -> g rw\ncpu C in P tag X, D in P tag X\nvar x = 0..3\n";

fn found(source: &str) -> Found {
    explore(&loaded("s.scn", source).remove(0).model, MOST)
}

fn holds(rest: &str) {
    let source = format!("{HEAD}{rest}");
    let found = found(&source);
    assert!(matches!(found, Found::Proved(_)), "{source}\n{found:?}");
}

fn breaks(rest: &str) {
    let source = format!("{HEAD}{rest}");
    let found = found(&source);
    assert!(!matches!(found, Found::Proved(_)), "{source}\n{found:?}");
}

/// C has A under X and B under Y, and then the step is taken by an agent that runs on D.
fn after(step: &str, options: &str) -> String {
    format!(
        "agent c on C\n  walk A; switch Q tag Y; walk B; x = 1\nagent d on D\n  when x == 1; {step}\n\
         option evict = off\n{options}\n"
    )
}

const FLUSHES: [&str; 3] = ["", "option flush = split", "option flush = ipi"];

#[test]
fn a_switch_keeps_what_the_tlb_holds_unless_it_says_flush() {
    let back = |step: &str| format!("agent c on C\n  walk A; switch Q tag Y; walk B; {step}\n");
    holds(&format!("{}finally tlb(C, A, X) && tlb(C, B, Y)\n", back("switch P tag X")));
    holds(&format!("{}finally !tlb(C, A, X) && tlb(C, B, Y)\n", back("switch P tag X flush")));
}

#[test]
fn a_flush_reaches_the_tag_in_use_or_the_one_that_it_names() {
    for options in FLUSHES {
        for (step, first, second) in [
            ("flush_tlb B", "", "!"),
            ("flush_tlb A", "", "!"),
            ("flush_tlb A tag X", "!", ""),
            ("flush_tlb B tag X on C", "!", ""),
            ("flush_tlb A tag X own", "", ""),
            ("flush_tag X", "!", ""),
            ("flush_tag Y others", "", "!"),
            ("flush_tag X own", "", ""),
            ("flush_tlb_mm P", "", "!"),
        ] {
            holds(&format!("{}finally {first}tlb(C, A, X) && {second}tlb(C, B, Y)\n", after(step, options)));
        }
    }
}

#[test]
fn what_is_posted_reaches_the_tag_that_is_in_use_when_it_is_done() {
    let posted = "agent c on C\n  walk A; x = 1; switch Q tag Y\nagent d on D\n  when x == 1; flush_tlb A post; inv_wait\n\
                  option evict = off\n";
    breaks(&format!("{posted}finally tlb(C, A, X)\n"));
    breaks(&format!("{posted}finally !tlb(C, A, X)\n"));
}

#[test]
fn an_access_waits_until_its_cpu_runs_in_the_address_space() {
    holds(
        "agent c on C\n  x = 1; x = 2; switch Q tag X\nagent u on C\n  load B\nnever u load B after x = 1 until x = 2\n\
           always x != 0 || loaded_mm(C) == P\n",
    );
    breaks("agent u on C\n  load B\nnever deadlock\n");
    breaks("agent c on C\n  switch Q tag X\nagent u on C\n  load A\nnever deadlock\n");
}

#[test]
fn what_was_filled_for_one_address_space_is_used_for_another_under_the_same_tag_alone() {
    let given = |tag: &str| {
        format!(
            "agent c on C\n  load A; switch Q tag {tag}; load B\noption evict = off\nnever c reads B == 0\n"
        )
    };
    breaks(&given("X"));
    holds(&given("X flush"));
    holds(&given("Y"));
}

#[test]
fn a_tlb_holds_one_translation_at_an_address_under_a_tag() {
    for walk in ["whole", "split"] {
        holds(&format!(
            "agent c on C\n  load A; switch Q tag X; repeat 0..2: load B\noption walk = {walk}\n\
             always !(tlb(C, A, X) && tlb(C, B, X))\n"
        ));
    }
}

#[test]
fn a_walk_that_has_begun_ends_with_the_switch_and_with_a_flush_of_its_own_tag() {
    let walks = |step: &str| {
        format!(
            "agent c on C spontaneous\n  load A\nagent k on C\n  pte_clear A; {step}; x = 1\n\
             option walk = split\noption evict = off\nalways x == 0 || !tlb(C, A, X)\n"
        )
    };
    holds(&walks("flush_tlb A"));
    holds(&walks("flush_tag X"));
    holds(&walks("switch Q tag Y; switch P tag X flush"));
    breaks(&walks("flush_tag Y"));
    breaks(&walks("switch P tag X").replace("agent k on C", "agent k on D"));
}

#[test]
fn hardware_walks_by_itself_where_its_cpu_runs() {
    let walked = "agent c on C\n  if x == 2: load A\nagent k on C\n  switch Q tag X flush; x = 1\n\
                  option speculation = on\n";
    holds(&format!("{walked}always x == 0 || !tlb(C, A, X)\n"));
    breaks(&format!("{walked}always !tlb(C, A, X)\n"));
}

#[test]
fn a_clean_entry_of_another_address_space_is_not_made_dirty() {
    let text = HEAD.replace("A -> f rw, B -> g rw", "A -> f rw -dirty, B -> g rw -dirty");
    let source = format!(
        "{text}agent c on C\n  load A; switch Q tag X; store B = 2\noption evict = off\n\
         finally content(f) == 0 && content(g) == 2 && pte(B) has dirty\n"
    );
    let found = found(&source);
    assert!(matches!(found, Found::Proved(_)), "{source}\n{found:?}");
}

#[test]
fn a_flush_with_too_many_ways_to_use_tags_is_refused() {
    let wrong = |cpus: usize, step: &str| {
        let each = |text: &dyn Fn(usize) -> String| (0..cpus).map(text).collect::<Vec<_>>();
        let declared = each(&|cpu| format!("C{cpu} in P tag X")).join(", ");
        let agents = each(&|cpu| format!("agent u{cpu} on C{cpu}\n  switch P tag Y\n")).concat();
        let source = format!(
            "scenario s\nmm P\ntag X, Y\npage A in P\nframe f = 0\nmap A -> f rw\ncpu {declared}\n{agents}\
             agent k on C0\n  {step}\n"
        );
        super::load(&source).err().map(|wrong| wrong[0].message.clone())
    };
    assert_eq!(wrong(10, "flush_tlb A"), None);
    let too_many = Some("this flush has more than 1024 cases: one for each way to use tags".to_owned());
    assert_eq!(wrong(11, "flush_tlb A"), too_many);
    assert_eq!(wrong(20, "flush_tlb_mm P post"), too_many);
    assert_eq!(wrong(20, "flush_tlb A tag X"), None);
    assert_eq!(wrong(20, "flush_tlb A on C1"), None);
    assert_eq!(wrong(20, "flush_tlb A\noption flush = ipi"), None);
}
