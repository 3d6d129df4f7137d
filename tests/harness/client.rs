//! The box's HTTP API as a test or the demonstration uses it.
//!
//! The certificate is the box's own and its address a forwarded port, so the
//! connection is not checked against an authority; [`Client::fingerprint`]
//! gives what the console must show.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// A connection to one box.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// For the panel on a port of this machine.
    pub fn new(port: u16) -> Self {
        let tls = ureq::tls::TlsConfig::builder()
            .disable_verification(true)
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(300)))
            .build()
            .into();
        Self {
            agent,
            base: format!("https://127.0.0.1:{port}"),
            token: None,
        }
    }

    /// Uses this bearer token from now on.
    pub fn set_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Waits until the panel answers; the box's status.
    pub fn wait_up(&self, limit: Duration) -> Result<Value> {
        self.wait_status(limit, |_| true)
    }

    /// Waits until a claimed box has opened its pool; its status.
    pub fn wait_ready(&self, limit: Duration) -> Result<Value> {
        self.wait_status(limit, |status| status["ready"] == true)
    }

    fn wait_status(&self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let start = Instant::now();
        loop {
            match self.status() {
                Ok(status) if wanted(&status) => return Ok(status),
                other if start.elapsed() > limit => {
                    bail!("the box did not come up in {limit:?}: {other:?}")
                }
                _ => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    /// The box's status, soon or not at all: a forwarded port takes connections before the box does.
    fn status(&self) -> Result<Value> {
        let request = self.agent.get(self.url("status")).config();
        let request = request
            .timeout_global(Some(Duration::from_secs(15)))
            .build();
        Self::answer("status", request.call()?)
    }

    /// `GET /api/v1/PATH`.
    pub fn get(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.get(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer(path, request.call()?)
    }

    /// `POST /api/v1/PATH`.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer(path, request.send_json(body)?)
    }

    /// `PUT /api/v1/PATH`.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.put(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer(path, request.send_json(body)?)
    }

    /// `DELETE /api/v1/PATH`.
    pub fn delete(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.delete(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer(path, request.call()?)
    }

    /// The bytes of `GET /api/v1/PATH`.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let mut request = self.agent.get(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call()?;
        ensure!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        Ok(response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec()?)
    }

    /// Starts a job and waits for its end; fails unless it ended in one of `states`.
    pub fn job(&self, path: &str, body: &Value, states: &[&str], limit: Duration) -> Result<Value> {
        let id = self.begin(path, body)?;
        let job = self.wait_job(&id, limit, |_| {})?;
        let state = job["state"].as_str().unwrap_or_default();
        ensure!(
            states.contains(&state),
            "{path} ended as {state:?}: {job:#}"
        );
        Ok(job)
    }

    /// Starts a job; its id.
    pub fn begin(&self, path: &str, body: &Value) -> Result<String> {
        let started = self.post(path, body)?;
        let id = &started["job"];
        Ok(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    /// Waits for a job's end, showing each reading to `watch`.
    pub fn wait_job(
        &self,
        id: &str,
        limit: Duration,
        mut watch: impl FnMut(&Value),
    ) -> Result<Value> {
        let start = Instant::now();
        loop {
            let job = self.get(&format!("jobs/{id}"))?;
            watch(&job);
            if !matches!(job["state"].as_str(), Some("queued" | "running")) {
                return Ok(job);
            }
            ensure!(
                start.elapsed() < limit,
                "job {id} did not end in {limit:?}: {job:#}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Claims the box with the console's code and stays logged in.
    pub fn claim(&mut self, code: &str, user: &str, password: &str) -> Result<()> {
        let claimed = self.post(
            "claim",
            &json!({ "code": code, "user": user, "password": password }),
        )?;
        self.token = Some(
            claimed["token"]
                .as_str()
                .context("claim gave no token")?
                .to_owned(),
        );
        Ok(())
    }

    /// Logs in.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        let login = self.post("login", &json!({ "user": user, "password": password }))?;
        self.token = Some(
            login["token"]
                .as_str()
                .context("login gave no token")?
                .to_owned(),
        );
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.base)
    }

    fn answer(path: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()?;
        let value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?
        };
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            value["detail"].as_str().unwrap_or(&text)
        );
        Ok(value)
    }
}
