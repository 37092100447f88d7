//! Test results as JUnit's Ant task writes them: a suite for each file, a case for each scenario.
//!
//! Invariant: the order and the attributes are those of the schema of Ant's results, which Jenkins' is wider than; text
//! holds no character that XML 1.0 has not. Source: windyroad/JUnit-Schema JUnit.xsd, jenkinsci/xunit-plugin junit-10.xsd.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::super::origin;
use super::report::{Error, Group, Report, UNFINISHED};

/// What writes.
type Xml = Writer<Vec<u8>>;

/// The whole document.
pub(super) fn xml(report: &Report<'_>) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    match written(&mut xml, report).map(|()| String::from_utf8(xml.into_inner())) {
        Ok(Ok(text)) => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}"),
        Ok(Err(error)) => unreachable!("what is written is text: {error}"),
        Err(error) => unreachable!("memory takes what is written: {error}"),
    }
}

fn written(xml: &mut Xml, report: &Report<'_>) -> std::io::Result<()> {
    let began = origin::began_utc();
    element(xml, "testsuites", &[], |xml| {
        (0..)
            .zip(&report.groups)
            .try_for_each(|(id, group)| suite(xml, report.command, id, &began, group))?;
        let Some(lack) = report.lack() else { return Ok(()) };
        rest(xml, report.command, report.groups.len(), &began, &lack)
    })
}

/// A suite for what is missing: no suite of a file would tell that there are others.
fn rest(xml: &mut Xml, command: &str, id: usize, began: &str, lack: &str) -> std::io::Result<()> {
    let name = format!("afterimage {command}");
    let attributes = numbers(&name, command, id, [1, 0, 1], 0.0, began);
    element(xml, "testsuite", &attributes, |xml| {
        empty(xml, "properties")?;
        let told = [("message", lack.to_owned()), ("type", UNFINISHED.to_owned())];
        case(xml, &name, UNFINISHED, 0.0, |xml| filled(xml, "error", &told, lack))?;
        empty(xml, "system-out")?;
        empty(xml, "system-err")
    })
}

/// The attributes of a suite with so many cases, failures and errors.
fn numbers<'n>(
    name: &str,
    command: &str,
    id: usize,
    [tests, failures, errors]: [usize; 3],
    seconds: f64,
    began: &str,
) -> [(&'n str, String); 9] {
    [
        ("name", name.to_owned()),
        ("package", format!("afterimage.{command}")),
        ("id", id.to_string()),
        ("tests", tests.to_string()),
        ("failures", failures.to_string()),
        ("errors", errors.to_string()),
        ("time", format!("{seconds:.3}")),
        ("timestamp", began.to_owned()),
        ("hostname", "localhost".to_owned()),
    ]
}

fn suite(xml: &mut Xml, command: &str, id: usize, began: &str, group: &Group<'_>) -> std::io::Result<()> {
    let failures = group.cases.iter().filter(|case| case.fault.is_some()).count();
    let seconds = group.cases.iter().fold(0.0, |all, case| all + case.seconds);
    let errors = group.errors.len();
    let counts = [group.cases.len() + errors, failures, errors];
    let attributes = numbers(group.file, command, id, counts, seconds, began);
    element(xml, "testsuite", &attributes, |xml| {
        empty(xml, "properties")?;
        for Error { rule, place: [(line, column), _], message, help } in &group.errors {
            let name = format!("line {line}, column {column}");
            let told = [("message", message.clone()), ("type", rule.id())];
            let text =
                format!("{}:{line}:{column}: error[{}]: {message}\nhelp: {help}", group.file, rule.id());
            case(xml, group.file, &name, 0.0, |xml| filled(xml, "error", &told, &text))?;
        }
        for one in &group.cases {
            case(xml, group.file, &one.scenario, one.seconds, |xml| {
                let Some(fault) = &one.fault else { return Ok(()) };
                let told = [
                    ("message", format!("{}: {}", one.verdict, fault.text.join("; "))),
                    ("type", fault.rule.id()),
                ];
                let trace = fault.table.as_deref().unwrap_or_default();
                let text = format!(
                    "{}:{}: {}\n{}\n\n{trace}",
                    group.file,
                    fault.line,
                    one.verdict,
                    fault.text.join("\n")
                );
                filled(xml, "failure", &told, text.trim_end())
            })?;
        }
        empty(xml, "system-out")?;
        empty(xml, "system-err")
    })
}

fn case(
    xml: &mut Xml,
    file: &str,
    name: &str,
    seconds: f64,
    inside: impl FnOnce(&mut Xml) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let attributes =
        [("name", name.to_owned()), ("classname", file.to_owned()), ("time", format!("{seconds:.3}"))];
    element(xml, "testcase", &attributes, inside)
}

fn element(
    xml: &mut Xml,
    name: &str,
    attributes: &[(&str, String)],
    inside: impl FnOnce(&mut Xml) -> std::io::Result<()>,
) -> std::io::Result<()> {
    xml.write_event(Event::Start(start(name, attributes)))?;
    inside(xml)?;
    xml.write_event(Event::End(BytesEnd::new(name)))
}

fn filled(xml: &mut Xml, name: &str, attributes: &[(&str, String)], text: &str) -> std::io::Result<()> {
    element(xml, name, attributes, |xml| xml.write_event(Event::Text(BytesText::new(&printable(text)))))
}

fn empty(xml: &mut Xml, name: &str) -> std::io::Result<()> {
    xml.write_event(Event::Empty(BytesStart::new(name)))
}

fn start<'n>(name: &'n str, attributes: &[(&str, String)]) -> BytesStart<'n> {
    let mut start = BytesStart::new(name);
    for (key, value) in attributes {
        start.push_attribute((*key, printable(value).as_str()));
    }
    start
}

/// With a mark in the place of each character that XML 1.0 has not (2.2).
fn printable(text: &str) -> String {
    let is_one = |letter: char| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|letter| if is_one(letter) { letter } else { '\u{fffd}' }).collect()
}
