//! Debian's Chromium, driven by chromedriver, each with a profile of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::Capabilities;
use thirtyfour::prelude::*;

/// Where a person would look for a page.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser; it and its driver end with the test, also when it panics.
pub struct Chrome {
    driver: WebDriver,
    process: Child,
    address: String,
    downloads: tempfile::TempDir,
    _profile: tempfile::TempDir,
    base: String,
}

impl Chrome {
    /// A browser for the panel at `base` that asks for pages in `language`,
    /// with JavaScript or without.
    pub async fn start(base: &str, language: &str, javascript: bool) -> Self {
        // chromedriver and all it starts form a group, which ends as one.
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is installed (Debian package chromium-driver)");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let rest = line.split_once("started successfully on port ")?.1;
                rest.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (profile, downloads) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let profile_arg = format!("--user-data-dir={}", profile.path().display());
        let language_arg = format!("--accept-lang={language}");
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                "--ignore-certificate-errors", "--hide-scrollbars", "--window-size=1280,900",
                profile_arg, language_arg,
            ],
            "prefs": {
                "download.default_directory": downloads.path(),
                "download.prompt_for_download": false,
                "intl.accept_languages": language,
                "profile.managed_default_content_settings.javascript": if javascript { 1 } else { 2 },
            },
        });
        let mut caps = Capabilities::new();
        caps.set("browserName", "chrome").unwrap();
        caps.set("acceptInsecureCerts", true).unwrap();
        caps.set("goog:chromeOptions", options).unwrap();
        caps.set("goog:loggingPrefs", json!({ "browser": "ALL" }))
            .unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&address, caps)
            .await
            .expect("chromium starts");
        let chrome = Self {
            driver,
            process,
            address,
            downloads,
            _profile: profile,
            base: base.to_owned(),
        };
        chrome.size(1280, 900).await;
        chrome
    }

    /// The page's window, in CSS pixels; narrower than a real window may be.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Light or dark.
    pub async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// `print`, or nothing for the screen.
    pub async fn media(&self, media: &str) {
        self.cdp("Emulation.setEmulatedMedia", json!({ "media": media }))
            .await;
    }

    async fn cdp(&self, method: &str, params: Value) {
        self.driver.cdp().send_raw(method, params).await.unwrap();
    }

    pub async fn open(&self, path: &str) {
        self.driver
            .goto(format!("{}{path}", self.base))
            .await
            .unwrap();
    }

    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        url.path().to_owned()
    }

    /// Path and query of the page that is open.
    pub async fn here(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.base).unwrap().to_owned()
    }

    /// Waits until the address is `path`.
    pub async fn arrives(&self, path: &str) {
        let start = Instant::now();
        while self.path().await != path {
            if start.elapsed() > PATIENCE {
                let text = self.text("body").await;
                panic!(
                    "waited for {path}, but is at {}:\n{text}",
                    self.path().await
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The element of a style selector, waited for.
    pub async fn find(&self, css: &str) -> WebElement {
        let start = Instant::now();
        loop {
            match self.driver.find(By::Css(css)).await {
                Ok(element) => return element,
                Err(e) if start.elapsed() > PATIENCE => {
                    panic!("{css} is not on {}: {e}", self.path().await)
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub async fn count(&self, css: &str) -> usize {
        self.driver.find_all(By::Css(css)).await.unwrap().len()
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Clicks the link or button (within the main part) whose words contain `words`.
    pub async fn press(&self, words: &str) {
        let start = Instant::now();
        loop {
            for element in self
                .driver
                .find_all(By::Css("main a, main button"))
                .await
                .unwrap()
            {
                if element.text().await.is_ok_and(|text| text.contains(words)) {
                    element.scroll_into_view().await.unwrap();
                    return element.click().await.unwrap();
                }
            }
            assert!(start.elapsed() < PATIENCE, "nothing says {words:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks what `css` finds in the row of a table that contains `words`.
    pub async fn press_in_row(&self, words: &str, css: &str) {
        for row in self
            .driver
            .find_all(By::Css("main tbody tr"))
            .await
            .unwrap()
        {
            if row.text().await.unwrap().contains(words) {
                let target = row.find(By::Css(css)).await.unwrap();
                target.scroll_into_view().await.unwrap();
                return target.click().await.unwrap();
            }
        }
        panic!("no row says {words:?}");
    }

    /// Types into the field of this name, replacing what stands there.
    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("[name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses an option of the list of this name.
    pub async fn choose(&self, name: &str, value: &str) {
        self.click(&format!("select[name='{name}'] option[value='{value}']"))
            .await;
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// The text of an element that may vanish any moment.
    pub async fn try_text(&self, css: &str) -> Option<String> {
        self.driver.find(By::Css(css)).await.ok()?.text().await.ok()
    }

    /// Waits until the page's text contains `words`.
    pub async fn says(&self, words: &str) {
        let start = Instant::now();
        loop {
            let text = self.try_text("body").await.unwrap_or_default();
            if text.contains(words) {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE * 4,
                "{} never said {words:?}:\n{text}",
                self.path().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The names of all lists to choose from.
    pub async fn lists(&self) -> Vec<String> {
        let mut names = Vec::new();
        for list in self
            .driver
            .find_all(By::Css("main select[name]"))
            .await
            .unwrap()
        {
            names.extend(list.attr("name").await.unwrap());
        }
        names
    }

    /// Replaces the session's cookie by one the box does not know.
    pub async fn lose_session(&self) {
        let mut cookie = Cookie::new("__Host-colca", "0".repeat(64));
        cookie.set_path("/");
        cookie.set_secure(true);
        self.driver.add_cookie(cookie).await.unwrap();
    }

    /// The answer of a script run in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.driver
            .execute(script, vec![])
            .await
            .unwrap()
            .json()
            .clone()
    }

    pub async fn screenshot(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.unwrap()
    }

    /// Waits for a finished download of this name; its bytes.
    pub async fn downloaded(&self, name: &str) -> Vec<u8> {
        let start = Instant::now();
        let path: PathBuf = self.downloads().join(name);
        while !path.exists() {
            assert!(
                start.elapsed() < PATIENCE,
                "{name} was not downloaded; there are {:?}",
                std::fs::read_dir(self.downloads())
                    .unwrap()
                    .map(|e| e.unwrap().file_name())
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::fs::read(path).unwrap()
    }

    pub fn downloads(&self) -> &Path {
        self.downloads.path()
    }

    /// What the browser's console has said since last asked: errors of
    /// scripts, violations of the content security policy, failed loads.
    pub async fn complaints(&self) -> Vec<String> {
        let url = format!(
            "{}/session/{}/se/log",
            self.address,
            self.driver.session_id()
        );
        let entries = tokio::task::spawn_blocking(move || {
            let mut answer = ureq::post(&url)
                .send_json(json!({ "type": "browser" }))
                .unwrap();
            answer.body_mut().read_json::<Value>().unwrap()
        })
        .await
        .unwrap();
        let entries = entries["value"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|e| e["message"].to_string()).collect()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id()).unwrap();
        let group = nix::unistd::Pid::from_raw(group);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.wait();
    }
}
