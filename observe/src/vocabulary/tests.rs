//! Every row is a step of the language, and every row is met by a line.

use ordering::lowering::load;

use super::{BUILT_IN, Kernel, Meaning, Row, Vocabulary};
use crate::line::Line;
use crate::reader::read;

/// A line for each row.
const LINES: &str = include_str!("lines.txt");

fn built_in() -> Vocabulary {
    Vocabulary::with(None).unwrap()
}

#[test]
fn every_step_of_every_row_is_read_as_a_program_of_the_language() {
    let vocabulary = built_in();
    let steps: Vec<&str> =
        vocabulary.rows().iter().flat_map(Row::steps).map(|step| step.text.as_str()).collect();
    assert!(steps.len() > 50, "{}", steps.len());
    for step in steps {
        let agent = if step.starts_with("walk") { "agent V0" } else { "agent mm" };
        let text = format!(
            "scenario step\npage A under M, B under M\ntable T\nframe old = 0, new = 1 free\npmd M -> T\nmap A -> old ro\nrefs old = 2\n\
             cpu T0\nvcpu V0\ndevice DEV ats\n{agent}\n  {step}\nnever out of range\n"
        );
        let wrong = load(&text).err().map(|found| found[0].message.clone());
        assert_eq!(wrong, None, "{step}");
    }
}

#[test]
fn every_row_is_met_by_its_line() {
    let vocabulary = built_in();
    let lines: Vec<&str> = LINES.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), vocabulary.rows().len(), "a row has no line in lines.txt");
    for (index, line) in lines.iter().enumerate() {
        let (kernel, text) = line.split_once(' ').unwrap();
        let Line::Event(event) = read(text) else { panic!("{text} is no event") };
        let row = &vocabulary.rows()[index];
        assert_eq!(
            vocabulary.find(&event, Some(kernel.parse().unwrap())),
            Some(index),
            "{} by {text}",
            row.name
        );
        let places = row
            .places
            .iter()
            .any(|place| matches!(place, super::row::Where::Address(_) | super::row::Where::Range(_)));
        assert_eq!(row.range(&event).is_some(), places, "{text}");
    }
}

#[test]
fn a_flush_tells_the_devices_only_in_a_kernel_that_is_known_to_do_it() {
    let vocabulary = built_in();
    let text = "t-9 [000] ...1. 1.5: flush_tlb_mm_range <-ptep_clear_flush";
    let Line::Event(event) = read(text) else { panic!("{text}") };
    let steps = |kernel: Option<Kernel>| {
        let row = &vocabulary.rows()[vocabulary.find(&event, kernel).unwrap()];
        row.steps().map(|step| step.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(steps(None), ["flush_tlb A"]);
    assert_eq!(steps(Some(Kernel(6, 1))), ["flush_tlb A"]);
    assert_eq!(steps(Some(Kernel(7, 0))), ["flush_tlb A", "notify A"]);
}

#[test]
fn rows_that_are_added_come_first_and_name_any_function() {
    let added = "my_flush | | flush_tlb A | every | address VA\nptep_clear_flush | | - | some |\n";
    let vocabulary = Vocabulary::with(Some(added)).unwrap();
    for (text, meaning) in [("my_flush: VA=0x1000", true), ("ptep_clear_flush: x", false)] {
        let text = format!("t-9 [000] ...1. 1.5: {text}");
        let Line::Event(event) = read(&text) else { panic!("{text}") };
        let row = &vocabulary.rows()[vocabulary.find(&event, None).unwrap()];
        assert_eq!(row.meaning != Meaning::Nothing, meaning, "{text}");
        assert_eq!(row.range(&event).is_some(), meaning, "{text}");
    }
}

#[test]
fn a_row_that_cannot_be_read_is_named_by_its_line() {
    for (text, line, what) in [
        (
            "# fine\nf | | flush_everything A | some |",
            2,
            "`flush_everything` is no step; `afterimage steps` lists them",
        ),
        ("f | | flush_tlb A | often |", 1, "write every or some"),
        ("f | 6 | flush_tlb A | some |", 1, "5.15..6.5"),
        ("f | 6.6..6.1 | flush_tlb A | some |", 1, "the older one comes first"),
        ("f | x..6.1 | flush_tlb A | some |", 1, "`x` is no version"),
        ("f | | in nowhere | some |", 1, "no line says what the operation `nowhere` is"),
        ("f | | flush_tlb A | some | at addr", 1, "write address, range"),
        ("two words | | - | some |", 1, "is no name"),
        ("f | | flush_tlb ( | some |", 1, "cannot be read"),
        ("f | | set_pte | some |", 1, "a step is of page A"),
        ("f | | pte_clear Q | some |", 1, "a step is of page A"),
        ("f | | flush_tlb A; set_pte A -> nowhere | some |", 1, "`set_pte A -> nowhere` cannot be read"),
        ("f | | notify_end A around notify Z9 | some |", 1, "`notify Z9` cannot be read"),
        ("f | | flush_tlb \u{1b}[31m | some |", 1, "a character that is not shown"),
        ("f\u{202e} | | - | some |", 1, "a character that is not shown"),
        ("f", 1, "name | kernels | step | shows | where"),
        ("operation x | y | z | a | b", 1, "`z` is no shape"),
    ] {
        let wrong = Vocabulary::with(Some(text)).unwrap_err();
        assert_eq!(wrong.line, line, "{text}");
        assert!(wrong.what.contains(what), "{text}: {wrong}");
    }
}

#[test]
fn each_operation_has_scenarios_in_the_catalogue() {
    let vocabulary = built_in();
    for operation in &vocabulary.operations {
        for begin in &operation.scenarios {
            let is_there =
                ordering::catalogue::FILES.iter().any(|file| file.path.starts_with(begin.as_str()));
            assert!(is_there, "{}: {begin}", operation.id);
        }
    }
    assert!(BUILT_IN.lines().all(|line| line.len() <= 140));
}

#[test]
fn a_label_names_an_operation_by_whole_words() {
    let vocabulary = built_in();
    let named = |text: &str| vocabulary.named_in(text).map(|operation| operation.id.clone());
    for (text, id) in [
        ("swapper test", None),
        ("cleanup done", None),
        ("forkbomb", None),
        ("scow", None),
        ("migratory", None),
        ("== cow begin", Some("cow")),
        ("afterimage: swap begin", Some("reclaim")),
        ("MADV_DONTNEED of a page", Some("dontneed")),
        ("MAP_FIXED|POPULATE: 4", Some("unmap")),
        ("page migration", Some("migrate")),
        ("wp_page of A", Some("cow")),
    ] {
        assert_eq!(named(text).as_deref(), id, "{text}");
    }
}

#[test]
fn kernels_outside_of_the_table_are_refused_with_its_bounds() {
    for (text, known) in
        [("5.14", false), ("5.15", true), ("6.18.44", true), ("7.9", true), ("8.0", false), ("9.9", false)]
    {
        let told = text.parse::<Kernel>().unwrap().known();
        assert_eq!(told.is_ok(), known, "{text}");
        assert!(known || told.unwrap_err().contains("5.15 to 7.x"));
    }
}
