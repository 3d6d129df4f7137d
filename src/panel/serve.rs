//! The daemon: `colca serve`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::server::{PeerAddress, TlsListener};
use super::{AppState, router};
use crate::appliance::{console, tpm};
use crate::devices::{self, Devices};
use crate::engine::{Error, Kind, Result};
use crate::service::{self, Service};

/// The name systemd's socket unit gives the panel's port (`FileDescriptorName=`).
const FD_NAME: &str = "https";
/// Disks a development folder is given.
const DEV_DISKS: u32 = 4;
const DEV_PORT: u16 = 8443;
/// Threads for blocking work: requests that wait for disks or servers.
const BLOCKING: usize = 64;
/// How long jobs have to stop, then answers to end. Together shorter than
/// systemd's patience of 90 seconds.
const JOBS_PATIENCE: Duration = Duration::from_secs(45);
const ANSWERS_PATIENCE: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The state folder; `/var/lib/colca` on the box. With `dev` it is not used.
    pub state: PathBuf,
    /// Address to listen on; without, the socket systemd passes.
    pub listen: Option<SocketAddr>,
    /// Development: a plain folder that holds the state (`state`) and folders
    /// that stand for disks (`disks`).
    pub dev: Option<PathBuf>,
    /// Unix socket of the disk helper.
    pub helper_socket: PathBuf,
    /// Unix socket of the TPM helper.
    pub tpm_socket: PathBuf,
}

/// Serves until told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the daemon from starting; `Busy` if another one runs on the
/// state folder.
pub fn serve(options: &ServeOptions) -> Result<()> {
    crate::appliance::log::init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .thread_name("panel")
        .build()
        .map_err(|e| Error::io("starting the panel's threads", e))?;
    // The port first: while the pool is looked for, people see that.
    let tcp = listener(options)?;
    let options_of_service = match &options.dev {
        Some(folder) => service::Options {
            state: folder.join("state"),
            devices: dev_disks(folder)?,
            sealer: tpm::direct(),
        },
        None => service::Options {
            state: options.state.clone(),
            devices: devices::helper_client(&options.helper_socket),
            sealer: tpm::helper_client(&options.tpm_socket),
        },
    };
    let service = Service::open(options_of_service)?;
    let ended = runtime.block_on(run(service, tcp, options.dev.is_some()));
    // Blocking requests still under way have had their time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn run(service: Arc<Service>, tcp: StdListener, dev: bool) -> Result<()> {
    let failed = |e| Error::io("starting the panel", e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let listener = TcpListener::from_std(tcp).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let listener =
        TlsListener::new(listener, service.certificate().server_config()?).map_err(failed)?;

    let (stop, stopping) = watch::channel(false);
    let app = AppState::new(service.clone(), stopping.clone());
    let make: IntoMakeServiceWithConnectInfo<Router, PeerAddress> =
        router(app).into_make_service_with_connect_info();
    let mut asked = stopping.clone();
    let server = axum::serve(listener, make).with_graceful_shutdown(async move {
        // An error means that the sender is gone: an end as well.
        let _ = asked.wait_for(|stop| *stop).await;
    });
    let server = tokio::spawn(server.into_future());
    tokio::spawn(show_on_console(service.clone(), address.port(), stopping));
    tokio::spawn(watchdog());
    tell_systemd(&[NotifyState::Ready]);
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the panel is open");
    if dev {
        announce(&service, address)?;
    }

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    tell_systemd(&[NotifyState::Stopping]);
    // The receivers end with this function; there is always one.
    let _ = stop.send(true);
    let jobs = tokio::task::spawn_blocking(move || service.stop(JOBS_PATIENCE));
    if !jobs.await.unwrap_or(false) {
        tracing::warn!("a job did not stop in time; it will be shown as interrupted");
    }
    if tokio::time::timeout(ANSWERS_PATIENCE, server)
        .await
        .is_err()
    {
        tracing::info!("some answers were cut off");
    }
    Ok(())
}

/// The socket systemd passes, or one of our own.
fn listener(options: &ServeOptions) -> Result<StdListener> {
    let address = match (options.listen, &options.dev) {
        (Some(address), _) => address,
        (None, Some(_)) => (Ipv4Addr::LOCALHOST, DEV_PORT).into(),
        (None, None) => return passed_listener(),
    };
    let bind = || {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|e| Error::io(format_args!("listening on {address}"), e))
}

fn passed_listener() -> Result<StdListener> {
    // Read before the descriptors are taken, which clears the environment.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let index = names.split(':').position(|name| name == FD_NAME);
    ListenFd::from_env()
        .take_tcp_listener(index.unwrap_or(0))
        .and_then(|listener| {
            listener
                .as_ref()
                .map(|l| l.set_nonblocking(true))
                .transpose()?;
            Ok(listener)
        })
        .map_err(|e| Error::io("taking over the socket from systemd", e))?
        .ok_or_else(|| {
            Error::new(
                Kind::Refused,
                "no socket was passed by systemd; give an address with --listen, or a folder with --dev",
            )
        })
}

fn dev_disks(folder: &Path) -> Result<Box<dyn Devices>> {
    let disks = folder.join("disks");
    for n in 1..=DEV_DISKS {
        let disk = disks.join(format!("disk{n}"));
        std::fs::create_dir_all(&disk)
            .map_err(|e| Error::io(format_args!("making the folder {}", disk.display()), e))?;
    }
    Ok(devices::folders(&disks))
}

/// Tells a developer where the panel is and how to claim it.
fn announce(service: &Service, address: SocketAddr) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    let mut text = format!(
        "https://{address}/\ncertificate SHA-256 {}\n",
        service.certificate().fingerprint()
    );
    if let Some(code) = service.claim_code()? {
        text.push_str(&format!("claim code {code}\n"));
    }
    // A closed output is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// Keeps the console's file fresh.
async fn show_on_console(service: Arc<Service>, port: u16, mut stopping: watch::Receiver<bool>) {
    let mut said = false;
    loop {
        let service = service.clone();
        let written = tokio::task::spawn_blocking(move || service.write_console(port)).await;
        match written {
            Ok(Err(e)) if !said => {
                said = true;
                tracing::warn!("the console cannot be told what to show: {e}");
            }
            Ok(_) | Err(_) => {}
        }
        // Ends when told to stop, or when nobody can tell any more.
        let stop = stopping.wait_for(|stop| *stop);
        if tokio::time::timeout(console::REFRESH, stop).await.is_ok() {
            return;
        }
    }
}

/// Tells systemd that the panel still works: that its threads, those for
/// blocking work too, take on something new.
async fn watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        if tokio::task::spawn_blocking(|| ()).await.is_ok() {
            tell_systemd(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(patience / 3).await;
    }
}

fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::warn!("systemd could not be told: {e}");
    }
}
