//! Who the box is, and where it can be reached.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use serde::{Deserialize, Serialize};

use super::{Record, Settings, files};
use crate::engine::storage::hex;
use crate::engine::{Error, Kind, Result};

/// The box's lasting identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// 32 hex digits, made at first start.
    pub id: String,
}

impl Record for Identity {
    const VERSION: u32 = 1;
}

impl Identity {
    pub(super) fn open(settings: &Settings) -> Result<Self> {
        if let Some(identity) = settings.get("box")? {
            return Ok(identity);
        }
        let identity = Self {
            id: hex(&files::random::<16>()?),
        };
        settings.put("box", &identity)?;
        Ok(identity)
    }
}

/// The host's name.
pub fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// The box's own addresses, IPv4 first, without loopback and link-local ones.
pub fn addresses() -> Result<Vec<IpAddr>> {
    let interfaces = getifaddrs().map_err(|e| {
        Error::with_source(
            Kind::Io,
            format!("the network interfaces cannot be listed: {e}"),
            e,
        )
    })?;
    let mut addresses: Vec<IpAddr> = interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}
