//! `colca serve`, and the programs of the box beside the daemon.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Context, Outcome};
use crate::{appliance, devices, panel};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address of the panel where the system hands over no socket
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Run on this plain folder, with folders for disks, for development
    #[arg(long, value_name = "FOLDER")]
    dev: Option<PathBuf>,
}

/// Where the image's socket unit puts the disk helper.
const HELPER_SOCKET: &str = "/run/colca/disk-helper.sock";
/// And the TPM helper.
const TPM_SOCKET: &str = "/run/colca/tpm-helper.sock";
/// The daemon's state on the box, unless another folder is named.
pub(super) const BOX_STATE: &str = "/var/lib/colca";

pub(crate) fn run(context: Context, arguments: Arguments) -> anyhow::Result<Outcome> {
    let options = panel::ServeOptions {
        state: context.state,
        listen: arguments.listen,
        dev: arguments.dev,
        helper_socket: HELPER_SOCKET.into(),
        tpm_socket: TPM_SOCKET.into(),
    };
    panel::serve(&options)?;
    Ok(Outcome::Done)
}

pub(crate) fn console() -> anyhow::Result<Outcome> {
    appliance::console::run()?;
    Ok(Outcome::Done)
}

pub(crate) fn disk_helper() -> anyhow::Result<Outcome> {
    devices::helper::run()?;
    Ok(Outcome::Done)
}

pub(crate) fn tpm_helper() -> anyhow::Result<Outcome> {
    appliance::log::init();
    appliance::tpm::helper::run()?;
    Ok(Outcome::Done)
}
