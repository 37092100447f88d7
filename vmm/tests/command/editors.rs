//! The grammars for editors have every word of the language, and no other.

use std::fs;

use ordering::catalogue;
use ordering::language::vocabulary::vocabulary;
use serde_json::Value;

const GRAMMAR: &str = "vscode/syntaxes/afterimage.tmLanguage.json";
const VIM: &str = "vim/syntax/afterimage.vim";

fn editor(path: &str) -> String {
    let path = format!("{}/../editors/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sorted(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = words.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The words between the last `(` and `)` of the rule of that name: `\b(a|b)\b`.
fn of_grammar(rule: &str) -> Vec<String> {
    let grammar: Value = serde_json::from_str(&editor(GRAMMAR)).expect("it is JSON");
    let pattern =
        grammar["repository"][rule]["match"].as_str().unwrap_or_else(|| panic!("no rule {rule}")).to_owned();
    let words =
        pattern.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("a list in parentheses").0;
    sorted(words.split('|').map(str::to_owned))
}

/// The words behind `syntax keyword GROUP`, over all its lines.
fn of_vim(group: &str) -> Vec<String> {
    let text = editor(VIM);
    let head = format!("syntax keyword {group} ");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(&head))
        .map(|line| line.trim_start_matches("contained "));
    sorted(lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()))
}

#[test]
fn both_grammars_have_the_words_of_the_language() {
    let words = vocabulary();
    for (rule, group, known) in [
        ("keywords", "afterimageKeyword", &words.keywords),
        ("statements", "afterimageStatement", &words.statements),
        ("looks", "afterimageLook", &words.looks),
        ("features", "afterimageFeature", &words.features),
        ("options", "afterimageOption", &words.options),
    ] {
        let known = sorted(known.iter().map(|word| (*word).to_owned()));
        assert_eq!(of_grammar(rule), known, "{GRAMMAR}: write the list of {rule} so: {}", known.join("|"));
        assert_eq!(of_vim(group), known, "{VIM}: write the list of {group} so: {}", known.join(" "));
    }
}

#[test]
fn every_line_of_the_catalogue_begins_with_a_word_that_the_grammars_know() {
    let words = vocabulary();
    let mut margins = 0;
    for entry in catalogue::entries() {
        // Tables and labels begin otherwise.
        let margin =
            entry.file.text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        for line in margin.filter(|line| !line.contains('|') && !line.trim_end().ends_with(':')) {
            let word = line.split([' ', ':']).next().expect("a line has a word");
            let known = words.keywords.contains(&word) || words.statements.contains(&word);
            assert!(known || line.split(' ').count() < 4, "{}: {line}", entry.file.path);
            margins += usize::from(known);
        }
    }
    assert!(margins > 3000, "{margins} lines");
}

#[test]
fn what_vscode_reads_names_files_that_are_there() {
    let package: Value = serde_json::from_str(&editor("vscode/package.json")).expect("it is JSON");
    let contributes = &package["contributes"];
    let language = &contributes["languages"][0];
    assert_eq!(language["extensions"], serde_json::json!([".scn"]));
    for path in [&language["configuration"], &contributes["grammars"][0]["path"]] {
        let path = path.as_str().and_then(|path| path.strip_prefix("./")).expect("a path below the folder");
        let _object: Value = serde_json::from_str(&editor(&format!("vscode/{path}"))).expect("it is JSON");
    }
    let grammar: Value = serde_json::from_str(&editor(GRAMMAR)).expect("it is JSON");
    assert_eq!(grammar["scopeName"], contributes["grammars"][0]["scopeName"]);
    for rule in grammar["patterns"].as_array().expect("rules") {
        let name =
            rule["include"].as_str().and_then(|name| name.strip_prefix('#')).expect("a rule of its own");
        assert!(grammar["repository"][name].is_object(), "there is no rule {name}");
    }
}

#[test]
fn a_word_that_begins_a_row_is_a_step_also_where_it_declares_something_elsewhere() {
    let words = vocabulary();
    assert!(words.keywords.contains(&"lock") && words.statements.contains(&"lock"), "lock is both");
    let grammar: Value = serde_json::from_str(&editor(GRAMMAR)).expect("it is JSON");
    let rows = &grammar["repository"]["rows"];
    let begin = rows["begin"].as_str().expect("tables begin");
    for table in ["race", "trace"] {
        assert!(words.keywords.contains(&table) && begin.contains(table), "{table}: {begin}");
    }
    let has = |rule: &str| {
        let rules = rows["patterns"].as_array().expect("a table has rules");
        rules.iter().any(|known| known["include"] == format!("#{rule}"))
    };
    assert!(has("statements") && !has("keywords"), "rows are of steps: {rows}");
    // It comes before the rule that would take the word at the margin.
    let order: Vec<_> =
        grammar["patterns"].as_array().expect("rules").iter().map(|rule| &rule["include"]).collect();
    let at = |rule: &str| order.iter().position(|known| **known == format!("#{rule}"));
    assert!(at("rows") < at("keywords") && at("rows").is_some(), "{order:?}");
    let vim = editor(VIM);
    for rule in ["syntax region afterimageRows ", "syntax match afterimageRow "] {
        let line = vim.lines().find(|line| line.starts_with(rule)).unwrap_or_else(|| panic!("no {rule}"));
        assert!(line.contains("contains=ALLBUT,afterimageKeyword,"), "{line}");
    }
}
