//! `afterimage generate`.

use std::fs;

use super::{afterimage, text};

/// The zap has the cheapest orders.
const NEAR: [&str; 7] = ["generate", "--operation", "zap", "--users", "vcpu,device", "--steps", "1"];

#[test]
fn each_order_has_its_verdicts_and_each_user_its_needs() {
    let output = afterimage(&NEAR);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [
        "\nstart clear flush notify end put  0      safe ",
        "\n[1] never use of a freed frame\n",
        "clear before notify, notify before put, and no other",
        "orders of which at most 1 are moved or left out",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    assert_eq!(text(&afterimage(&NEAR).stdout), shown, "the same again");
}

#[test]
fn json_has_the_same_and_only_leaves_out_the_others() {
    let read = |only: &[&str]| -> serde_json::Value {
        let output = afterimage(&[&NEAR[..], only, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    };
    let all = read(&[]);
    let orders = |object: &serde_json::Value| object["orders"].as_array().expect("orders").clone();
    assert_eq!(all["looked_at"], orders(&all).len());
    assert_eq!(all["users"], serde_json::json!(["vcpu", "device", "all"]));
    let verdicts = |order: &serde_json::Value, word: &str| {
        order["verdicts"].as_array().expect("verdicts").iter().filter(|one| one["verdict"] == word).count()
    };
    for (only, is_one) in [
        (
            "safe",
            Box::new(|order: &serde_json::Value| verdicts(order, "safe") == 3) as Box<dyn Fn(&_) -> bool>,
        ),
        ("broken", Box::new(|order: &serde_json::Value| verdicts(order, "broken") > 0)),
    ] {
        let expected: Vec<_> = orders(&all).into_iter().filter(|order| is_one(order)).collect();
        assert!(!expected.is_empty(), "{only}");
        assert_eq!(orders(&read(&["--only", only])), expected, "{only}");
    }
    let minimal = orders(&read(&["--only", "minimal"]));
    assert!(!minimal.is_empty() && minimal.iter().all(|order| verdicts(order, "broken") > 0));
}

#[test]
fn what_is_saved_is_checked_as_it_was_found_and_pictures_are_drawn() {
    let folder = std::env::temp_dir().join(format!("afterimage-generate-{}", std::process::id()));
    let path = |name: &str| folder.join(name).to_str().expect("plain letters").to_owned();
    let (saved, svg, html) = (path("orders"), path("o.svg"), path("o.html"));
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    let arguments = ["--only", "minimal", "--save", &saved, "--svg", &svg, "--html", &html];
    let output = afterimage(&[&NEAR[..], &arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(" files in "), "{}", text(&output.stdout));
    let checked = afterimage(&["check", &saved]);
    let (picture, page) = (fs::read_to_string(&svg), fs::read_to_string(&html));
    fs::remove_dir_all(&folder).expect("it was written");
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stdout));
    assert!(text(&checked.stdout).contains("VIOLATED"), "{}", text(&checked.stdout));
    assert!(picture.expect("a picture").contains("start clear flush notify end put"));
    assert!(page.expect("a page").contains("What each user needs"));
}

#[test]
fn what_cannot_be_generated_is_said_with_what_can() {
    for (arguments, told) in [
        (vec!["--operation", "cwo"], "did you mean `cow`?"),
        (vec!["--operation", "fork"], "the operations are cow, ksm, zap, mremap"),
        (vec!["--operation", "cow", "--users", "cpu,devise"], "did you mean `device`?"),
        (vec!["--operation", "cow", "--steps", "0"], "--steps is 1 to 6, not 0"),
        (vec!["--operation", "cow", "--steps", "7"], "--steps is 1 to 6, not 7"),
        (vec!["--operation", "cow", "--svg", "/proc/none/o.svg"], "cannot write /proc/none/o.svg"),
        (vec!["--operation", "cow", "--save", "/proc/none"], "cannot write /proc/none"),
    ] {
        let output = afterimage(&[&["generate"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.contains(told), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_bound_is_a_status_of_its_own_and_no_verdict() {
    let output = afterimage(&[&NEAR[..], &["--max-states", "20"]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("BOUND HIT"));
}
