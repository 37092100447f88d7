//! Chromium without a window, told what to do through pipes.
//!
//! Invariant: a browser that does not answer is ended, and the test with it; its profile lies in a folder of its own, which
//! is removed. Source: the Chrome DevTools protocol; `--remote-debugging-pipe` takes messages from descriptor 3 and answers
//! at 4, each with a zero byte behind it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A browser needs seconds; a busy machine makes them minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A browser with one page.
pub(crate) struct Chromium {
    child: Arc<Mutex<Child>>,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    next: u64,
    session: Option<String>,
    /// What the page has said by itself since it was opened.
    pub(crate) events: Vec<Value>,
    folder: PathBuf,
    /// Dropped when the browser has been ended in time.
    _alive: Sender<()>,
}

/// Whether the browser is there; if not, says so.
pub(crate) fn is_there() -> bool {
    let found =
        Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let told = writeln!(std::io::stdout(), "skipped: there is no chromium (apt-get install chromium)");
        told.expect("a test can be read");
    }
    found
}

impl Chromium {
    /// Starts the browser; `name` is the test's.
    pub(crate) fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("afterimage-browser-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the browser can be made");
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-extensions --remote-debugging-pipe \"--user-data-dir=$0\" about:blank 3<&0 4>&1 \
                      0</dev/null 1>/dev/null 2>/dev/null";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(folder.join("profile"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let to = child.stdin.take().expect("it is a pipe");
        let from = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let child = Arc::new(Mutex::new(child));
        let (alive, ended) = channel::<()>();
        let watched = Arc::clone(&child);
        thread::spawn(move || {
            // The end of the browser is the end of what it writes, so whoever reads goes on.
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ended = watched.lock().expect("nobody panics with it").kill();
            }
        });
        let mut browser =
            Self { child, to, from, next: 0, session: None, events: Vec::new(), folder, _alive: alive };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.call("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }));
        browser
    }

    /// The folder for pages of the test.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens a file and waits until it is there.
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        let opened = self.call("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        // The page before it may say late that it has been loaded.
        self.wait_for(|event| {
            let what = &event["params"];
            what["name"] == "load" && what["loaderId"] == opened["loaderId"]
        });
    }

    /// Clicks what leads to another page, and waits until that is there.
    pub(crate) fn follow(&mut self, selector: &str) {
        self.events.clear();
        self.click(selector);
        self.wait_for(|event| event["method"] == "Page.loadEventFired");
    }

    /// Waits for an event.
    fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) {
        self.wait_for_many(1, is_it);
    }

    /// Waits until so many events have come.
    pub(crate) fn wait_for_many(&mut self, number: usize, is_it: impl Fn(&Value) -> bool) {
        while self.events.iter().filter(|event| is_it(event)).count() < number {
            let message = self.read();
            self.events.push(message);
        }
    }

    /// Waits until an expression is true in the page: some of what a click does comes later.
    pub(crate) fn until(&mut self, expression: &str) {
        self.value(&format!(
            "new Promise((done) => {{ const look = () => {{ if ({expression}) done(); else setTimeout(look, 20); }}; look(); }})"
        ));
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer:#}");
        answer["result"]["value"].take()
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = match key {
                "Tab" => 9,
                "Escape" => 27,
                "End" => 35,
                "Home" => 36,
                "ArrowLeft" => 37,
                "ArrowRight" => 39,
                other => panic!("no number for {other}"),
            };
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Clicks the middle of the first element that the selector finds.
    pub(crate) fn click(&mut self, selector: &str) {
        let middle = self.value(&format!(
            "(() => {{ const element = document.querySelector({selector:?}); element.scrollIntoView({{ block: 'center' }}); \
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Says something and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut answer = self.read();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {answer:#}");
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("the browser speaks");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended, or was ended after {PATIENCE:?}");
        serde_json::from_slice(&bytes).expect("it speaks JSON")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let mut child = self.child.lock().expect("nobody panics with it");
        let _ended = child.kill();
        let _status = child.wait();
        // What a process of the browser still writes lies in the system's folder for temporary files.
        drop(fs::remove_dir_all(&self.folder));
    }
}
