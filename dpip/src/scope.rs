//! The scope of an address or a route.

use cli::CliError;
use proto::v1::Scope;

use crate::words::unknown;

/// A scope by name.
pub(crate) fn scope(word: &str) -> Result<Scope, CliError> {
    match word {
        "host" => Ok(Scope::Host),
        "kni_host" => Ok(Scope::KniHost),
        "link" => Ok(Scope::Link),
        "global" => Ok(Scope::Global),
        "site" => Ok(Scope::Site),
        _ => Err(unknown(word, &["host", "link", "global", "kni_host"])),
    }
}

/// A scope's name.
pub(crate) const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Host => "host",
        Scope::KniHost => "kni_host",
        Scope::Link => "link",
        Scope::Site => "site",
        Scope::Global | Scope::Unspecified => "global",
    }
}
