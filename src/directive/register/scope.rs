//! What the directive covers: nine classes of sources, inside and outside,
//! and the units that it leaves out.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Tipo de backup (6.1.t).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// On this box, at the main site.
    Internal,
    /// At the contracted provider.
    External,
}

/// The nine classes of 6.2. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceClass {
    /// Configuration of perimeter security.
    PerimeterSecurity,
    /// Configuration of the Active Directory, with its accounts.
    ActiveDirectory,
    /// Configuration of switches.
    Switches,
    /// Files of the backup software, this box's own among them.
    BackupSoftware,
    /// File servers (shared folders).
    FileServers,
    /// Database servers.
    DatabaseServers,
    /// Servers of network services: DNS, DHCP, antivirus and the like.
    NetworkServices,
    /// Servers of information systems.
    InformationSystems,
    /// Virtual servers, the telephone exchange included.
    VirtualServers,
}

impl SourceClass {
    /// Every class, in the order of 6.2.
    pub const ALL: [Self; 9] = [
        Self::PerimeterSecurity,
        Self::ActiveDirectory,
        Self::Switches,
        Self::BackupSoftware,
        Self::FileServers,
        Self::DatabaseServers,
        Self::NetworkServices,
        Self::InformationSystems,
        Self::VirtualServers,
    ];
}

/// A unit that the directive leaves out, by the article that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excluded {
    /// DVUCEPT, with the platform of the VUCE.
    #[error("DVUCEPT and the VUCE are out of scope (articles III and VIII)")]
    Vuce,
    /// Plan COPESCO Nacional.
    #[error("Plan COPESCO Nacional is out of scope (article III)")]
    Copesco,
}

/// Whether a unit is left out, however it is written: capitals, accents and
/// punctuation do not matter.
pub fn excluded(unit: &str) -> Option<Excluded> {
    let plain: String = unit
        .nfkd()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .flat_map(char::to_uppercase)
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let spelled = words.join(" ");
    let word = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    if word(&["DVUCEPT", "VUCE"]) || spelled.contains("VENTANILLA UNICA DE COMERCIO EXTERIOR") {
        return Some(Excluded::Vuce);
    }
    word(&["COPESCO"]).then_some(Excluded::Copesco)
}
