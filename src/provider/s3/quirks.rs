//! How S3 servers differ, in one table (the same as in `docs/provider.md`).
//! Everything else about them is taken to be as in the S3 API reference, or is
//! asked of the server itself.

use rusty_s3::UrlStyle;
use serde::{Deserialize, Serialize};

/// Which S3 this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// Nothing is known of it.
    #[default]
    Generic,
    /// Amazon's.
    Aws,
    /// Ceph's object gateway.
    Ceph,
    /// MinIO.
    Minio,
    /// Garage.
    Garage,
    /// RustFS.
    Rustfs,
}

/// How addresses are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// As the server is known to want it; with the path if nothing is known.
    #[default]
    Auto,
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    Virtual,
}

/// A row of the table.
pub(super) struct Quirks {
    /// Addresses carry the bucket in the host name, unless told otherwise.
    pub virtual_host: bool,
    /// It may keep versions of objects, and lock them.
    pub versions: bool,
    /// A new bucket's region is named in the request that makes it.
    pub region_named: bool,
    /// Codes, besides `AccessDenied`, with which it refuses to delete or to
    /// shorten what is locked.
    pub locked: &'static [&'static str],
}

impl Flavor {
    /// By the host's name, which tells only Amazon's.
    pub(super) fn of_host(endpoint: &str) -> Self {
        let host = endpoint.trim_end_matches('/');
        match host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn") {
            true => Self::Aws,
            false => Self::Generic,
        }
    }

    pub(super) fn quirks(self) -> &'static Quirks {
        const COMMON: Quirks = Quirks {
            virtual_host: false,
            versions: true,
            region_named: true,
            locked: &["ObjectLocked", "InvalidRequest", "InvalidRetentionPeriod"],
        };
        match self {
            Self::Generic => &COMMON,
            Self::Aws => {
                &const {
                    Quirks {
                        virtual_host: true,
                        locked: &[],
                        ..COMMON
                    }
                }
            }
            Self::Ceph => {
                &const {
                    Quirks {
                        // It takes the name of its zone group there, which nobody knows.
                        region_named: false,
                        locked: &[],
                        ..COMMON
                    }
                }
            }
            // An object under a lock is "WORM protected": an InvalidRequest.
            Self::Minio | Self::Rustfs => &COMMON,
            Self::Garage => {
                &const {
                    Quirks {
                        versions: false,
                        locked: &[],
                        ..COMMON
                    }
                }
            }
        }
    }
}

impl Style {
    pub(super) fn of(self, flavor: Flavor) -> UrlStyle {
        match self {
            Self::Path => UrlStyle::Path,
            Self::Virtual => UrlStyle::VirtualHost,
            Self::Auto if flavor.quirks().virtual_host => UrlStyle::VirtualHost,
            Self::Auto => UrlStyle::Path,
        }
    }
}

impl std::str::FromStr for Flavor {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_value(text.into())
            .map_err(|_| "one of generic, aws, ceph, minio, garage, rustfs".to_owned())
    }
}

impl std::str::FromStr for Style {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_value(text.into()).map_err(|_| "one of auto, path, virtual".to_owned())
    }
}
