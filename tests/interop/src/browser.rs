use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::network::Network;
use crate::{Program, missing};

/// For each call; Firefox takes its time to start.
const LIMIT: Duration = Duration::from_secs(60);

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Chromium.
    Chromium,
    /// Firefox ESR.
    Firefox,
}

impl Kind {
    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
        }
    }

    fn executable(self) -> &'static str {
        match self {
            Self::Chromium => "/usr/bin/chromium",
            Self::Firefox => "/usr/bin/firefox-esr",
        }
    }
}

/// A browser with one page, which is a secure context with fake microphone and camera. All browsers of a process
/// share a network of their own, in which they reach each other and [`Browser::host`]. Each call panics
/// if the browser answers with an error, or with nothing for a minute.
#[derive(Debug)]
pub struct Browser {
    driver: Program,
    /// Where the browser keeps its profile.
    directory: PathBuf,
    network: &'static Network,
    /// As the browser says it: `firefox/153.7.0`.
    pub version: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.finish(Duration::from_secs(5));
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Browser {
    /// Starts one, with an empty profile. `None` if it is not installed, as [`missing`] has said.
    pub fn start(kind: Kind) -> Option<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
        for needed in [Path::new(kind.executable()), &package.join("node_modules/puppeteer-core")] {
            if !needed.exists() {
                missing(kind.name(), &format!("no {}; `tests/run setup` installs it", needed.display()));
                return None;
            }
        }
        let network = Network::shared().map_err(|why| missing(kind.name(), why)).ok()?;

        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kaon-browser-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut command = network.command(Path::new("node"));
        command.arg(package.join("driver.mjs")).env("TMPDIR", &directory).env("HOME", &directory);
        let driver = Program::start(&mut command);
        let mut browser = Self { driver, directory, network, version: String::new() };
        let version = browser.call("start", json!({ "kind": kind.name() })).unwrap();
        browser.version = version.as_str().unwrap().to_owned();
        Some(browser)
    }

    /// The address of this process that the browsers reach. A socket bound to it reaches them.
    pub fn host(&self) -> IpAddr {
        self.network.host
    }

    /// The address at which this process reaches the browsers and their [neighbours](Self::neighbour).
    pub fn address(&self) -> IpAddr {
        self.network.inside
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        self.call("open", json!({ "url": url })).unwrap();
    }

    /// Runs the body of a JavaScript async function, to which `args` are known under that name, and returns what
    /// it returned. What it leaves in `globalThis` is there for the next.
    pub fn eval(&mut self, script: &str, args: Value) -> Value {
        self.try_eval(script, args).unwrap_or_else(|error| panic!("{error}\n{script}"))
    }

    /// The same for what may throw: `Err` is the error with its stack.
    pub fn try_eval(&mut self, script: &str, args: Value) -> Result<Value, String> {
        self.call("eval", json!({ "script": script, "args": args }))
    }

    /// Makes the page so many pixels large.
    pub fn resize(&mut self, width: u32, height: u32) {
        self.call("resize", json!({ "width": width, "height": height })).unwrap();
    }

    /// Presses a key and lets it go, as a user does: `Tab`, `Enter`, `f`.
    pub fn press(&mut self, key: &str) {
        self.call("press", json!({ "key": key })).unwrap();
    }

    /// What axe-core finds that keeps people from using the page, by WCAG and good practice: a rule and what breaks it,
    /// each. `None` if it is not installed, as [`missing`] has said.
    pub fn barriers(&mut self) -> Option<Vec<String>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules/axe-core/axe.min.js");
        let Ok(axe) = fs::read_to_string(&path) else {
            missing("axe-core", &format!("no {}; `tests/run setup` installs it", path.display()));
            return None;
        };
        self.eval("if (!globalThis.axe) (0, eval)(args);", json!(axe));
        let found = self.eval(
            "const { violations } = await axe.run();
             return violations.flatMap(({ id, help, nodes }) =>
                 nodes.map(({ html, any, all, none }) =>
                     `${id}: ${help}: ${html}: ${[...any, ...all, ...none].map((it) => it.message)}`));",
            Value::Null,
        );
        Some(found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect())
    }

    /// A command that starts a program in the network of the browsers, where `localhost` is theirs.
    pub fn neighbour(&self, program: &Path) -> Command {
        self.network.command(program)
    }

    /// Writes a PNG of the page.
    pub fn screenshot(&mut self, path: &Path) {
        self.call("screenshot", json!({ "path": path })).unwrap();
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.driver.tell(&json!({ "method": method, "params": params }).to_string());
        let mut answer: Value = serde_json::from_str(&self.driver.next_line(LIMIT)).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["result"].take()),
        }
    }
}
